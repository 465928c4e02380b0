// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Capabilities are what a kind of gateway can do. What it cannot is refused at admission and never done in part.
type Capabilities struct {
	Provider       string // as messages name it
	Weight         bool   // a percentage of the requests
	Header         bool   // a header with a value
	HeaderRegex    bool   // a header by a regular expression
	SeveralHeaders bool   // several headers, all of which a request has to have
	SeveralMatches bool   // several matches of one kind, one of which a request has to have
	Cookie         bool   // a cookie, written as a header named canary-by-cookie
	Query          bool   // query parameters
	Path           bool   // paths
	Method         bool   // gRPC methods, written as paths
	ModifyHeaders  bool   // headers of the requests for the new version can be changed
	WeightAndMatch bool   // a weight and matches in one step, of which rules take the matches
	Alone          bool   // the same where the canary has no Service of its own
	ModifyAlone    bool   // and there headers can be changed for a percentage of the requests, too
}

// cookieHeader is the name by which a header match means a cookie.
const cookieHeader = "canary-by-cookie"

// ingressCapabilities are those of the built-in classes, as the documentation of each gateway has them.
var ingressCapabilities = map[string]Capabilities{
	"nginx":      {Weight: true, Header: true, HeaderRegex: true, Cookie: true, WeightAndMatch: true},
	"higress":    {Weight: true, Header: true, HeaderRegex: true, Cookie: true, WeightAndMatch: true},
	"aliyun-alb": {Weight: true, Header: true, Cookie: true},
	"mse": {
		Weight: true, Header: true, HeaderRegex: true, Cookie: true, Query: true, ModifyHeaders: true, WeightAndMatch: true,
		Alone: true, ModifyAlone: true,
	},
}

// ofRules are what kinds can do that have rules with matches, backends and filters.
var ofRules = Capabilities{
	Weight: true, Header: true, HeaderRegex: true, SeveralHeaders: true, SeveralMatches: true, Query: true, Path: true,
	ModifyHeaders: true, WeightAndMatch: true, Alone: true,
}

// routeCapabilities are those of the kinds of the Gateway API.
var routeCapabilities = map[string]Capabilities{
	httpRoute: ofRules.called("Gateway API HTTPRoute"),
	grpcRoute: {
		Provider: "Gateway API GRPCRoute", Weight: true, Header: true, HeaderRegex: true, SeveralHeaders: true, SeveralMatches: true,
		Path: true, Method: true, ModifyHeaders: true, WeightAndMatch: true, Alone: true,
	},
}

// customCapabilities are those of custom kinds with a built-in script, as the documentation that each script names has them.
var customCapabilities = map[schema.GroupKind]Capabilities{
	{Group: istio, Kind: "VirtualService"}: bySubset(ofRules.called("Istio VirtualService")),
	{Group: "apisix.apache.org", Kind: "ApisixRoute"}: {
		Provider: "APISIX ApisixRoute", Weight: true, Header: true, HeaderRegex: true, SeveralMatches: true, Cookie: true, Query: true,
	},
	{Group: "traefik.io", Kind: "TraefikService"}: {Provider: "Traefik TraefikService", Weight: true},
	{Group: "kuma.io", Kind: "MeshHTTPRoute"}:     {Provider: "Kuma MeshHTTPRoute", Weight: true},
}

// called are the same ones under the name of a provider.
func (c Capabilities) called(name string) Capabilities {
	c.Provider = name
	return c
}

// bySubset are those of a kind that distinguishes pods of one Service.
func bySubset(c Capabilities) Capabilities {
	c.ModifyAlone = true
	return c
}

// Able says what the gateways of a routing cannot do of what is asked for; nil: nothing. Of the Config it goes by the user's own
// scripts, and by whether the canary has a Service of its own.
func Able(t rolloutsv1beta1.TrafficRoutingRef, c Config, route rolloutsv1beta1.TrafficRoutingStrategy) error {
	if err := namedOnce(route.RequestHeaderModifier); err != nil {
		return err
	}
	for _, capabilities := range CapabilitiesOf(t, c.Scripts) {
		lacks := capabilities.Lacks(route)
		if lacks == "" && c.Backends.Stable == c.Backends.Canary {
			lacks = capabilities.lacksAlone(route)
		}
		if lacks != "" {
			return errors.New(lacks)
		}
	}
	if c.Backends.Stable == c.Backends.Canary && (route.Traffic != nil || len(route.Matches) > 0) {
		return defined(t)
	}
	return nil
}

// namedOnce checks that a change of headers names each of them once, in any case: of several values, or verbs, gateways take the first, the
// last or all, so that one step would mean something else with each. That is so with users' own scripts, too.
func namedOnce(m *gatewayv1.HTTPHeaderFilter) error {
	fields, _ := plain(m).(map[string]any)
	verbs := map[string]string{}
	for _, verb := range []string{"set", "add", "remove"} {
		list, _ := fields[verb].([]any)
		for _, entry := range list {
			name := headerName(entry)
			if before, named := verbs[name]; named {
				return fmt.Errorf("requestHeaderModifier names header %s twice (%s and %s), and gateways differ in what that means; name each header once, in any case, in one of set, add and remove", name, before, verb)
			}
			verbs[name] = verb
		}
	}
	return nil
}

// defined checks that the subset to which a VirtualService routes without a canary Service is defined: Istio answers 503 for one that
// is not, and only a DestinationRule that is routed with, too, is known to get it.
func defined(t rolloutsv1beta1.TrafficRoutingRef) error {
	of := func(kind string) bool {
		return slices.ContainsFunc(t.CustomNetworkRefs, func(ref rolloutsv1beta1.ObjectRef) bool {
			return ref.Kind == kind && strings.HasPrefix(ref.APIVersion, istio+"/")
		})
	}
	if !of("VirtualService") || of("DestinationRule") {
		return nil
	}
	return errors.New("Istio VirtualService cannot distinguish the new version's pods from the others of the same Service without a DestinationRule, in which the release adds the subset canary; name the Service's DestinationRule in customNetworkRefs, too") //nolint:staticcheck // a kind's name
}

// lacksAlone says what the gateway cannot do of a step where the canary has no Service of its own; "" if it can do it all.
func (c Capabilities) lacksAlone(s rolloutsv1beta1.TrafficRoutingStrategy) string {
	switch {
	case s.Traffic == nil && len(s.Matches) == 0:
		return ""
	case !c.Alone:
		return c.Provider + " cannot distinguish the new version's pods from the others of the same Service; remove disableGenerateCanaryService, or use trafficRoutings instead of a TrafficRouting"
	case s.RequestHeaderModifier != nil && len(s.Matches) == 0 && !c.ModifyAlone:
		return c.Provider + " cannot change headers of weighted traffic to one Service; use matches instead of traffic"
	default:
		return ""
	}
}

// CapabilitiesOf returns what the gateways of a routing can do. A user's own script is not in it: no one knows but the
// user.
func CapabilitiesOf(t rolloutsv1beta1.TrafficRoutingRef, own map[string]string) []Capabilities {
	var all []Capabilities
	for _, ref := range t.CustomNetworkRefs {
		if k, ok := codedOf(ref); ok {
			all = append(all, k.Capabilities)
			continue
		}
		group, _, _ := strings.Cut(ref.APIVersion, "/")
		kind := schema.GroupKind{Group: group, Kind: ref.Kind}
		_, overridden := own[ScriptKey(kind)]
		if c, known := customCapabilities[kind]; known && (!overridden || group == istio) {
			all = append(all, c)
		}
	}
	if t.Ingress != nil {
		class := class(t)
		_, overridden := own["lua.traffic.routing.ingress."+class]
		if c, known := ingressCapabilities[class]; known && !overridden {
			all = append(all, c.called("Ingress class "+class))
		}
	}
	for _, route := range gatewayRoutes(t) {
		all = append(all, routeCapabilities[route.Kind])
	}
	return all
}

// Lacks says what a step asks for that the gateway cannot do, and what it can; "" if it can do it all.
func (c Capabilities) Lacks(s rolloutsv1beta1.TrafficRoutingStrategy) string {
	l := lacking{kinds: map[string]int{}}
	l.note(s.Traffic != nil, c.Weight, "route by weight")
	l.note(s.Traffic != nil && len(s.Matches) > 0, c.WeightAndMatch, "combine traffic and matches in one step")
	if s.RequestHeaderModifier != nil {
		l.note(true, c.ModifyHeaders, "change headers of requests")
		l.note(s.Traffic == nil && len(s.Matches) == 0, false, "change headers of requests without traffic or matches; write one of them next to requestHeaderModifier")
	}
	for i, m := range s.Matches {
		l.match(c, m, fmt.Sprintf(" (match %d)", i+1))
	}
	for _, kind := range sortedKeys(l.kinds) {
		l.note(l.kinds[kind] > 1 && len(s.Matches) > 1, c.SeveralMatches, "match by more than one %s", kind)
	}
	if len(l.all) == 0 {
		return ""
	}
	return fmt.Sprintf("%s cannot %s; it can %s", c.Provider, strings.Join(l.all, ", or "), strings.Join(c.list(), ", "))
}

// lacking is what a gateway cannot do, and how many matches of each kind a step has.
type lacking struct {
	all   []string
	kinds map[string]int
}

// note notes what is asked for and cannot be done.
func (l *lacking) note(asked, can bool, what string, args ...any) {
	if asked && !can {
		l.all = append(l.all, fmt.Sprintf(what, args...))
	}
}

// match notes what a match asks for that a gateway cannot do.
func (l *lacking) match(c Capabilities, m rolloutsv1beta1.HttpRouteMatch, at string) {
	l.note(m.Path != nil, c.Path, "match paths%s", at)
	if m.Path != nil && c.Method {
		_, err := gateway{kind: grpcRoute}.condition(rolloutsv1beta1.HttpRouteMatch{Path: m.Path})
		l.note(err != nil, false, "match %v%s", err, at)
	}
	l.note(len(m.QueryParams) > 0, c.Query, "match query parameters%s", at)
	entries := len(m.Headers) + len(m.QueryParams)
	l.note(entries > 1, c.SeveralHeaders, "match several headers or parameters of one request%s", at)
	l.note(entries == 0 && m.Path == nil, false, "match without a header, a parameter or a path%s", at)
	for _, h := range m.Headers {
		l.header(c, h, at)
	}
	if len(m.QueryParams) > 0 {
		l.kinds["query parameter"]++
	}
}

// header notes what a header of a match asks for that a gateway cannot do.
func (l *lacking) header(c Capabilities, h gatewayv1.HTTPHeaderMatch, at string) {
	regex := h.Type != nil && *h.Type == gatewayv1.HeaderMatchRegularExpression
	if string(h.Name) == cookieHeader {
		l.kinds["cookie"]++
		l.note(true, c.Cookie, "match cookies by %s%s; match the header cookie by a regular expression", cookieHeader, at)
		l.note(regex, false, "match cookies by regular expressions%s", at)
		return
	}
	l.kinds["header"]++
	l.note(true, c.Header, "match headers%s", at)
	l.note(regex, c.HeaderRegex, "match headers by regular expressions%s", at)
}

// list is what the gateway can do, in words.
func (c Capabilities) list() []string {
	all := []string{}
	can := func(able bool, what string) {
		if able {
			all = append(all, what)
		}
	}
	number := "one"
	if c.SeveralHeaders && c.SeveralMatches {
		number = "any number"
	}
	can(c.Weight, "route by weight")
	can(c.Header && !c.HeaderRegex, "match headers by value ("+number+")")
	can(c.Header && c.HeaderRegex, "match headers by value or regular expression ("+number+")")
	can(c.Cookie, "match a cookie that is always ("+cookieHeader+")")
	can(c.Query, "match query parameters ("+number+")")
	can(c.Path, "match paths")
	can(c.Method, "match gRPC methods written as paths")
	can(c.ModifyHeaders, "change headers of requests")
	return all
}
