// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const (
	byShareOf20 = `{traffic: 20%}`
	byHeaderX   = `{matches: [{headers: [{name: x, value: "1"}]}]}`
)

const someHeaders = `{set: [{name: a, value: b}], add: [{name: c, value: d}], remove: [e]}`

// gatewayFilters are filters of both kinds of routes, in a list at a path.
func gatewayFilters(at string, more ...string) []cell {
	var cells []cell
	for _, filter := range append([]string{
		`{type: RequestHeaderModifier, requestHeaderModifier: ` + someHeaders + `}`,
		`{type: ResponseHeaderModifier, responseHeaderModifier: ` + someHeaders + `}`,
		`{type: RequestMirror, requestMirror: {backendRef: {group: "", kind: Service, name: shadow, namespace: shop, port: 80}, percent: 10, fraction: {numerator: 1, denominator: 10}}}`,
		`{type: ExtensionRef, extensionRef: {group: example.com, kind: Filter, name: a}}`,
		`{type: newer, newer: {}}`,
	}, more...) {
		cells = append(cells, cell{at: at, value: "[" + filter + "]", name: "`" + anyIndex(at)[len("spec."):] + "` of each type"})
	}
	return cells
}

// httpFilters are those that only an HTTPRoute has.
var httpFilters = []string{
	`{type: RequestRedirect, requestRedirect: {scheme: https, hostname: a.example.com, path: {type: ReplaceFullPath, replaceFullPath: /a, replacePrefixMatch: /b}, port: 443, statusCode: 301}}`,
	`{type: URLRewrite, urlRewrite: {hostname: a.example.com, path: {type: ReplacePrefixMatch, replaceFullPath: /a, replacePrefixMatch: /b}}}`,
	`{type: CORS, cors: {allowOrigins: ["*"], allowCredentials: true, allowMethods: [GET], allowHeaders: [a], exposeHeaders: [b], maxAge: 5}}`,
	`{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {group: "", kind: Service, name: auth, namespace: shop, port: 80}, grpc: {allowedHeaders: [a]}, http: {path: /a, allowedHeaders: [a], allowedResponseHeaders: [b]}, forwardBody: {maxSize: 5}}}`,
}

// gatewayCells are the fields that both kinds of routes have.
func gatewayCells() []cell {
	return slices.Concat([]cell{
		{at: "metadata.labels.team", value: "a", name: "`metadata.labels`"},
		{at: "metadata.annotations[example.com/a]", value: "b", name: "`metadata.annotations`"},
		{at: "spec.parentRefs", value: `[{group: gateway.networking.k8s.io, kind: Gateway, namespace: infra, name: gw, sectionName: web, port: 80}]`},
		{at: "spec.useDefaultGateways", value: "All"},
		{at: "spec.hostnames", value: `[a.example.com]`},
		{at: "spec.rules[0].name", value: "main", match: leftOut("left out: no two rules have one name")},
		{at: "spec.rules[0].sessionPersistence", value: `{sessionName: a, absoluteTimeout: 1h, type: Cookie, cookieConfig: {lifetimeType: Permanent}}`},
		{at: "spec.rules[0].backendRefs[0].group", value: `""`},
		{at: "spec.rules[0].backendRefs[0].kind", value: "Service"},
		{
			at: "spec.rules[0].backendRefs[0].kind", value: "Bucket", name: "`rules[].backendRefs[]` that is no Service",
			share: refused("no rule routes to Service api"), match: refused("no rule routes to Service api"),
		},
		{at: "spec.rules[0].backendRefs[0].namespace", value: "shop", name: "`rules[].backendRefs[].namespace` of the route"},
		{
			at: "spec.rules[0].backendRefs[0].namespace", value: "elsewhere", name: "`rules[].backendRefs[].namespace` of another",
			share: refused("no rule routes to Service api"), match: refused("no rule routes to Service api"),
		},
		{
			at: "spec.rules[0].backendRefs[0].name", value: "api",
			share: becomes("api-canary", "the canary Service's"), match: becomes("api-canary", "the canary Service's"),
		},
		{at: "spec.rules[0].backendRefs[0].port", value: "8080"},
		{at: "spec.rules[0].backendRefs[0].weight", value: "7", share: divides("80", "20", "the share; other backends keep theirs")},
		{
			at: "spec.rules[0].backendRefs[0].weight", value: "0", name: "`rules[].backendRefs[].weight` of 0",
			share: refused("no rule routes to Service api"), match: refused("no rule routes to Service api"),
		},
		{
			at: "spec.rules[0].backendRefs[1]", value: `{name: other, port: 80, weight: 9}`, name: "a backend that is another Service",
			share: divides(`{name: other, port: 80, weight: 45}`, "", "stays, and keeps its share"),
		},
		{
			at: "spec.rules[1]", value: `{matches: [{headers: [{name: X, value: "1"}]}], backendRefs: [{name: other}]}`, name: "a rule of another Service that asks for what the new version's would",
			match: refused("match 1 of the step would route no request to the new version"),
		},
		{
			at: "spec.rules", value: `[{backendRefs: [{name: other}]}, {backendRefs: [{name: api}]}]`, name: "a rule of another Service that has all requests of the rule",
			share: refused("no request reaches a rule that routes to Service api"), match: refused("would lose requests to the new version's rule"),
		},
	}, unknownAt("spec", "spec.rules[0]", "spec.rules[0].backendRefs[0]"))
}

func gatewayTables() []table {
	share := way{step: byShareOf20, twins: map[string]string{"spec.rules[0].backendRefs[0]": "spec.rules[0].backendRefs[1]"}}
	match := way{step: byHeaderX, twins: map[string]string{"spec.rules[0]": "spec.rules[1]"}}
	const object = `{metadata: {name: web, namespace: shop}, spec: {rules: [{backendRefs: [{name: api, port: 80}]}]}}`
	narrowed := func(m string) outcome { return becomes(m, "the same, and what the step asks for") }
	return []table{
		{
			title: "HTTPRoute", routing: `{service: api, gateway: {httpRouteName: web}}`, object: object,
			typed: func() any { return &gatewayv1.HTTPRoute{} }, share: share, match: match,
			cells: slices.Concat(gatewayCells(), []cell{
				{at: "spec.rules[0].timeouts", value: `{request: 5s, backendRequest: 1s}`},
				{at: "spec.rules[0].retry", value: `{codes: [503], attempts: 2, backoff: 1s}`},
				{at: "spec.rules[0].matches", value: `[{path: {type: Exact, value: /a}, method: GET}]`, match: narrowed(`[{path: {type: Exact, value: /a}, method: GET, headers: [{type: Exact, name: x, value: "1"}]}]`)},
				{at: "spec.rules[0].matches", value: `[{path: {type: RegularExpression, value: /a.*}}]`, match: narrowed(`[{path: {type: RegularExpression, value: /a.*}, headers: [{type: Exact, name: x, value: "1"}]}]`)},
				{
					at: "spec.rules[0].matches", value: `[{headers: [{type: Exact, name: h, value: a}], queryParams: [{type: RegularExpression, name: q, value: b}]}]`,
					match: narrowed(`[{path: {type: PathPrefix, value: /}, headers: [{type: Exact, name: h, value: a}, {type: Exact, name: x, value: "1"}], queryParams: [{type: RegularExpression, name: q, value: b}]}]`),
				},
				{at: "spec.rules[0].matches", value: `[{newer: 1}]`, match: narrowed(`[{newer: 1, path: {type: PathPrefix, value: /}, headers: [{type: Exact, name: x, value: "1"}]}]`)},
				{
					at: "spec.rules[0].matches", value: `[{headers: [{type: RegularExpression, name: X, value: a.*}]}]`, name: "`rules[].matches[]` with a pattern for the header of the step",
					match: refused("the route matches headers x already"),
				},
				{
					at: "spec.rules[0].matches", value: `[{headers: [{name: X, value: "2"}]}]`, name: "`rules[].matches[]` with another value for the header of the step",
					match: refused("no request satisfies both a match of the step and one of a rule that routes to Service api"),
				},
				{
					at: "spec.rules[1]", value: `{matches: [{headers: [{name: a, value: b}]}], backendRefs: [{name: other}]}`, name: "a rule of another Service that asks for more than the rule",
				},
			}, gatewayFilters("spec.rules[0].filters", httpFilters...), gatewayFilters("spec.rules[0].backendRefs[0].filters", httpFilters...)),
		},
		{
			title: "GRPCRoute", routing: `{service: api, gateway: {grpcRouteName: web}}`, object: object,
			typed: func() any { return &gatewayv1.GRPCRoute{} }, share: share, match: match,
			cells: slices.Concat(gatewayCells(), []cell{
				{
					at: "spec.rules[0].matches", value: `[{method: {type: RegularExpression, service: s, method: m}, headers: [{type: Exact, name: h, value: a}]}]`,
					match: narrowed(`[{method: {type: RegularExpression, service: s, method: m}, headers: [{type: Exact, name: h, value: a}, {type: Exact, name: x, value: "1"}]}]`),
				},
				{at: "spec.rules[0].matches", value: `[{newer: 1}]`, match: narrowed(`[{newer: 1, headers: [{type: Exact, name: x, value: "1"}]}]`)},
			}, gatewayFilters("spec.rules[0].filters"), gatewayFilters("spec.rules[0].backendRefs[0].filters")),
		},
	}
}
