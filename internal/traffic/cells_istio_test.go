// SPDX-License-Identifier: Apache-2.0

package traffic

import "slices"

// istioCells are the fields of a VirtualService, as https://istio.io/latest/docs/reference/config/networking/virtual-service/ has them.
func istioCells() []cell {
	var cells []cell
	for _, c := range [][2]string{
		{"hosts", `[a.example.com]`},
		{"gateways", `[mesh]`},
		{"exportTo", `["."]`},
		{"http[0].timeout", "5s"},
		{"http[0].retries", `{attempts: 3, perTryTimeout: 1s, retryOn: 5xx, retryRemoteLocalities: true, backoff: 1s, retryIgnorePreviousHosts: false}`},
		{"http[0].rewrite", `{uri: /a, authority: a, uriRegexRewrite: {match: a, rewrite: b}}`},
		{"http[0].headers", `{request: {set: {a: b}, add: {c: d}, remove: [e]}, response: {remove: [f]}}`},
		{"http[0].corsPolicy", `{allowOrigins: [{exact: a}], allowMethods: [GET], allowHeaders: [a], exposeHeaders: [b], maxAge: 24h, allowCredentials: true, unmatchedPreflights: IGNORE}`},
		{"http[0].mirror", `{host: api, subset: v1, port: {number: 80}}`},
		{"http[0].mirrors", `[{destination: {host: shadow}, percentage: {value: 5}}]`},
		{"http[0].mirrorPercentage", `{value: 10}`},
		{"http[0].fault", `{delay: {fixedDelay: 5s, percentage: {value: 1}}, abort: {httpStatus: 503, percentage: {value: 1}}}`},
		{"http[0].route[0].headers", `{request: {set: {a: b}}, response: {add: {c: d}}}`},
		{"http[0].route[0].destination.port", `{number: 8080}`},
	} {
		cells = append(cells, cell{at: "spec." + c[0], value: c[1]})
	}
	for _, rule := range []string{
		`{name: elsewhere, redirect: {uri: /a, authority: a, redirectCode: 302}}`,
		`{name: fixed, directResponse: {status: 200, body: {string: a}}}`,
		`{name: far, delegate: {name: a, namespace: b}}`,
		`{match: [{uri: {prefix: /pay}}], route: [{destination: {host: pay}}]}`,
	} {
		cells = append(cells, cell{at: "spec.http[1]", value: rule, name: "rules with `redirect`, `directResponse`, `delegate`, or of other hosts"})
	}
	return append(cells, cell{at: "spec.tcp[0]", value: "{match: [{port: 5432}], route: [{destination: {host: db}}]}", name: "rules of `tcp` and `tls` to other hosts"})
}

// matched are matches of a rule. A weight leaves the requests of such a rule.
func matched(m string) cell {
	narrowed := m[:len(m)-1] + `, headers: {x: {exact: "1"}}}`
	return cell{
		at: "spec.http[0].match", value: "[" + m + "]", name: "`http[].match` of any kind",
		share: refused("no rule without match routes to Service api"), match: becomes("["+narrowed+"]", "the same, and what the step asks for"),
	}
}

// twoRules are a rule of another host and one that a weight of 20% was taken from.
const twoRules = `[{match: [{headers: {X: {exact: "1"}}}], route: [{destination: {host: other}}]}, {route: [{destination: {host: api}, weight: 80}, {destination: {host: api-canary}, weight: 20}]}]`

func istioTables() []table {
	const none = "no rule without match routes to Service api"
	destination := leftOut("left out: a subset has pods of the stable version; the subset `canary` without a canary Service")
	canary := becomes("api-canary", "the canary Service's")
	return []table{
		{
			title: "VirtualService", routing: `{service: api, customNetworkRefs: [{apiVersion: networking.istio.io/v1, kind: VirtualService, name: web}]}`,
			object: `{metadata: {name: web, namespace: shop}, spec: {http: [{route: [{destination: {host: api}}]}]}}`,
			share:  way{step: byShareOf20, twins: map[string]string{"spec.http[0].route[0]": "spec.http[0].route[1]"}},
			match: way{
				step: byHeaderX, twins: map[string]string{"spec.http[0]": "spec.http[0]"},
				moved: map[string]string{"spec.http[0]": "spec.http[1]", "spec.http[1]": "spec.http[2]"},
			},
			cells: slices.Concat([]cell{
				{at: "metadata.labels.team", value: "a", name: "`metadata.labels`"},
				{at: "metadata.annotations[example.com/a]", value: "b", name: "`metadata.annotations`"},
			}, istioCells(), []cell{
				{at: "spec.http[0].name", value: "main", match: becomes("main-canary", "with `-canary` behind")},
				{at: "spec.http[0].route[0].destination.host", value: "api.shop.svc.cluster.local", share: canary, match: canary},
				{
					at: "spec.http[0].route[0].destination.host", value: "api.elsewhere", name: "`http[].route[].destination.host` in another namespace",
					share: refused(none), match: refused("no http rule routes to Service api"),
				},
				{
					at: "spec.http[0].route[0].destination.host", value: "api.shop.com", name: "`http[].route[].destination.host` outside that begins with the Service's name",
					share: refused(none), match: refused("no http rule routes to Service api"),
				},
				{
					at: "spec.http[0].route", value: `[{destination: {host: api}, weight: 0}, {destination: {host: other}, weight: 100}]`, name: "a route with weight 0 beside others, whose requests are none",
					share: refused(none), match: refused("no http rule routes to Service api"),
				},
				{at: "spec.http[0].route[0].destination.subset", value: "v1", share: destination, match: destination},
				{at: "spec.http[0].route[0].weight", value: "100", share: divides("80", "20", "the share; other hosts keep theirs")},
				{
					at: "spec.http[0].route[1]", value: `{destination: {host: other}}`, name: "a route to another host",
					share: divides(`{destination: {host: other}, weight: 50}`, "", "stays, and keeps its share"),
				},
				matched(`{uri: {prefix: /a}, ignoreUriCase: true, scheme: {exact: https}}`),
				matched(`{method: {exact: GET}, authority: {exact: a}, port: 80}`),
				matched(`{withoutHeaders: {y: {exact: "1"}}, gateways: [mesh]}`),
				matched(`{queryParams: {q: {regex: a.*}}, sourceLabels: {app: a}, sourceNamespace: a, name: a, statPrefix: b}`),
				matched(`{newer: 1}`),
				{
					at: "spec.http[0].match", value: `[{headers: {x: {regex: a.*}}}]`, name: "`http[].match` with a pattern for the header of the step",
					share: refused(none), match: refused("both have header x"),
				},
				{
					at: "spec.http[0].match", value: `[{withoutHeaders: {X: {prefix: "1"}}}]`, name: "`http[].match[].withoutHeaders` with the header of the step",
					share: refused(none), match: refused("no request satisfies both a match of the step and one of a rule that routes to Service api"),
				},
				{
					at: "spec.http[0].match", value: `[{withoutHeaders: {x: {}}}]`, name: "`http[].match[].withoutHeaders` with the header of the step",
					share: refused(none), match: refused("no request satisfies both a match of the step and one of a rule that routes to Service api"),
				},
				{
					at: "spec.http", value: `[{match: [{headers: {X: {exact: "1"}}}], route: [{destination: {host: other}}]}, {route: [{destination: {host: api}}]}]`,
					name: "a rule of another host in front that asks for no more than the step", share: outcome{own: twoRules}, match: refused("match 1 of the step would route no request to the new version"),
				},
				{
					at: "spec.http", value: `[{match: [{uri: {prefix: /}}], route: [{destination: {host: other}}]}, {route: [{destination: {host: api}}]}]`,
					name:  "a rule of another host in front that has all requests",
					share: refused("no request reaches a rule of Service api that can have weights"), match: refused("match 1 of the step would route no request to the new version"),
				},
			}, unknownAt("spec", "spec.http[0]", "spec.http[0].route[0]", "spec.http[0].route[0].destination")),
		},
		l4Table("tcp", `[]`),
		l4Table("tls", `[{sniHosts: [a.example.com], port: 443}]`),
		{
			title: "DestinationRule", routing: `{service: api, customNetworkRefs: [{apiVersion: networking.istio.io/v1, kind: DestinationRule, name: web}]}`,
			object: `{metadata: {name: web, namespace: shop}, spec: {host: api}}`,
			share:  way{step: byShareOf20}, match: way{step: byHeaderX},
			cells: slices.Concat([]cell{
				{at: "metadata.labels.team", value: "a", name: "`metadata.labels`"},
				{at: "spec.trafficPolicy", value: `{loadBalancer: {simple: ROUND_ROBIN}, connectionPool: {}, outlierDetection: {}, tls: {mode: ISTIO_MUTUAL}, portLevelSettings: []}`},
				{at: "spec.exportTo", value: `["."]`},
				{at: "spec.workloadSelector", value: `{matchLabels: {a: b}}`},
				{at: "spec.subsets[0]", value: `{name: v1, labels: {version: v1}, trafficPolicy: {tls: {mode: DISABLE}}}`},
				{at: "spec.subsets[0]", value: `{name: canary, labels: {version: v2}}`, name: "a subset named `canary`", share: refused("give yours another name"), match: refused("give yours another name")},
			}, unknownAt("spec")),
		},
	}
}

// l4Table is of rules that have no requests to match.
func l4Table(protocol, match string) table {
	const none = "no http rule routes to Service api"
	at := "spec." + protocol + "[0]"
	cells := []cell{
		{at: at + ".route[0].destination.host", value: "api", share: becomes("api-canary", "the canary Service's"), match: refused(none)},
		{at: at + ".route[0].destination.port", value: `{number: 5432}`, match: refused(none)},
		{at: at + ".route[0].destination.subset", value: "v1", share: leftOut("left out: a subset has pods of the stable version"), match: refused(none)},
		{at: at + ".route[0].weight", value: "100", share: divides("80", "20", "the share; other hosts keep theirs"), match: refused(none)},
	}
	if protocol == "tls" {
		cells = append(cells, cell{at: at + ".match", value: `[{sniHosts: [b.example.com], destinationSubnets: [10.0.0.0/8], port: 443, sourceLabels: {a: b}, gateways: [mesh], sourceNamespace: a}]`, match: refused(none)})
	} else {
		cells = append(cells, cell{at: at + ".match", value: `[{port: 5432}]`, share: refused("no rule without match routes to Service api"), match: refused(none)})
	}
	for _, c := range unknownAt(at, at+".route[0]", at+".route[0].destination") {
		c.match = refused(none)
		cells = append(cells, c)
	}
	return table{
		title: "VirtualService, rules of " + protocol, routing: `{service: api, customNetworkRefs: [{apiVersion: networking.istio.io/v1, kind: VirtualService, name: web}]}`,
		object: `{metadata: {name: web, namespace: shop}, spec: {` + protocol + `: [{match: ` + match + `, route: [{destination: {host: api}}]}]}}`,
		share:  way{step: byShareOf20, twins: map[string]string{at + ".route[0]": at + ".route[1]"}}, match: way{step: byHeaderX},
		cells: cells,
	}
}
