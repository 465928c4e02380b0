// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"cmp"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// defaultGrace is gracePeriodSeconds where a routing says nothing of it.
const defaultGrace = 3 * time.Second

// No gateway says when a change is in effect, so that is waited for by the clock. These are slower than the
// default: ingress-nginx 1.11 with its own rate of 0.3 syncs a second took 0.8 to 3.71 s to take up a weight, and 3.88 to
// 4.16 s to take up the endpoints of another selector (the slowest of 8 to 16 of each).
const (
	nginxRoutes    = 3800 * time.Millisecond
	nginxEndpoints = 4200 * time.Millisecond
)

// Settling is how long the gateways of a routing may take until a change is in effect.
type Settling struct {
	Routes    time.Duration // of weights and matches
	Endpoints time.Duration // of what Services select
}

// SettlingOf reads how long to wait after a change of a routing: its gracePeriodSeconds, or longer where its gateway was
// measured to be slower. A routing with gracePeriodSeconds 0 is not waited for at all.
func SettlingOf(t rolloutsv1beta1.TrafficRoutingRef) Settling {
	grace := defaultGrace
	if g := t.GracePeriodSeconds; g != nil && *g >= 0 {
		grace = time.Duration(*g) * time.Second
	}
	s := Settling{Routes: grace, Endpoints: grace}
	if grace > 0 && t.Ingress != nil && class(t) == "nginx" {
		s.Routes, s.Endpoints = max(grace, nginxRoutes), max(grace, nginxEndpoints)
	}
	for _, ref := range t.CustomNetworkRefs {
		if k, ok := codedOf(ref); ok && grace > 0 {
			s = s.Slowest(k.Settling)
		}
	}
	return s
}

// Slowest is what to wait for several routings that move as one.
func (s Settling) Slowest(other Settling) Settling {
	return Settling{Routes: max(s.Routes, other.Routes), Endpoints: max(s.Endpoints, other.Endpoints)}
}

// FallsBack reports whether the gateways of a routing give requests to the stable pods as long as they know none for the
// canary Service: ingress-nginx does (0 of 799 requests failed), Gateway API implementations and Istio answer 503 to the
// canary's weight.
func FallsBack(t rolloutsv1beta1.TrafficRoutingRef) bool {
	return t.Ingress != nil && class(t) == "nginx" && len(gatewayRoutes(t)) == 0 && len(t.CustomNetworkRefs) == 0
}

// class is the class of a routing's Ingress.
func class(t rolloutsv1beta1.TrafficRoutingRef) string {
	return cmp.Or(t.Ingress.ClassType, defaultClass)
}

// IsDefinition reports whether objects of a kind define what routes refer to: they are restored after those, once gateways have taken
// that up, or requests that are still routed there find nothing. Istio answers 503 for a subset that no DestinationRule has.
func IsDefinition(kind schema.GroupKind) bool {
	return kind == schema.GroupKind{Group: "networking.istio.io", Kind: "DestinationRule"}
}
