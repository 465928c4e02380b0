// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"maps"
	"slices"
	"strings"
)

// passive are domains of labels and annotations that are read by who leads requests, or counts them, and that say the same of a copy.
// Every other domain is of a controller that may act on what carries it: DNS names, load balancers, other clusters, or
// tools that take it for something they have deployed. Kubernetes reserves keys with a domain for such, and those without
// one are the user's own: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
var passive = []string{
	"app.kubernetes.io", "prometheus.io", "gateway.networking.k8s.io",
	"ingress.kubernetes.io", "nginx.ingress.kubernetes.io", "traefik.ingress.kubernetes.io", "alb.ingress.kubernetes.io", "mse.ingress.kubernetes.io",
	"nginx.org", "nginx.com", "traefik.io", "higress.io", "konghq.com", "apisix.apache.org", "k8s.apisix.apache.org", "projectcontour.io", "haproxy.org", "haproxy-ingress.github.io",
	"istio.io", "networking.istio.io", "traffic.istio.io", "ambient.istio.io", "security.istio.io", "topology.istio.io", "kuma.io",
	"linkerd.io", "config.linkerd.io", "balancer.linkerd.io", "retry.linkerd.io", "timeout.linkerd.io",
}

// passiveKeys are such of domains that controllers act on, too.
var passiveKeys = []string{
	"service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints", // where requests go, nearer or farther
	"kubernetes.io/ingress.class",
}

// isCopied tells whether a copy of an object may have a label or annotation, too.
func isCopied(key string) bool {
	domain, _, has := strings.Cut(key, "/")
	return !has || slices.Contains(passive, domain) || slices.Contains(passiveKeys, key) ||
		strings.HasSuffix(domain, ".service.kuma.io") // by port
}

// follow returns the labels or annotations of a copy: those of the original, and what others have put on the copy.
func follow(own, of map[string]string) map[string]string {
	kept := maps.Clone(own)
	maps.DeleteFunc(kept, func(key, _ string) bool { return isCopied(key) })
	for key, value := range of {
		if isCopied(key) {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[key] = value
		}
	}
	return kept
}
