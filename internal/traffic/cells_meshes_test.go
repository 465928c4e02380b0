// SPDX-License-Identifier: Apache-2.0

package traffic

import "slices"

// meshTables are of kinds whose scripts were written from documentation; each script names the page that has the fields.
func meshTables() []table {
	canary := becomes("api-canary", "the canary Service's")
	return []table{apisixTable(canary), traefikTable(canary), kumaTable(canary)}
}

func apisixTable(canary outcome) table {
	const exprs = "rule main has exprs of its own; a match cannot be added to them"
	narrowed := func(m string) outcome {
		return becomes(m[:len(m)-1]+`, exprs: [{subject: {scope: Header, name: x}, op: Equal, value: "1"}]}`, "the same, and what the step asks for")
	}
	matches := func(m string) cell {
		return cell{at: "spec.http[0].match", value: m, match: narrowed(m), name: "`http[].match.paths`, `hosts`, `methods`, `remoteAddrs`, `filter_func`"}
	}
	subset := leftOut("left out: a subset has pods of the stable version")
	return table{
		title: "ApisixRoute", routing: `{service: api, customNetworkRefs: [{apiVersion: apisix.apache.org/v2, kind: ApisixRoute, name: web}]}`,
		object: `{metadata: {name: web, namespace: shop}, spec: {http: [{name: main, match: {paths: [/*]}, backends: [{serviceName: api, servicePort: 80}]}]}}`,
		share:  way{step: byShareOf20, twins: map[string]string{"spec.http[0].backends[0]": "spec.http[0].backends[1]"}},
		match: way{
			step: byHeaderX, twins: map[string]string{"spec.http[0]": "spec.http[1]"}, moved: map[string]string{"spec.http[1]": "spec.http[2]"},
		},
		cells: slices.Concat([]cell{
			{at: "metadata.labels.team", value: "a", name: "`metadata.labels`"},
			{at: "spec.ingressClassName", value: "apisix"},
			{at: "spec.http[0].name", value: "main", match: becomes("main-canary-1", "with `-canary-` and a number behind")},
			{at: "spec.http[0].priority", value: "5", match: becomes("6", "greater by one")},
			{at: "spec.http[0].timeout", value: `{connect: 1s, send: 2s, read: 3s}`},
			{at: "spec.http[0].websocket", value: "true"},
			{at: "spec.http[0].plugins", value: `[{name: cors, enable: true, config: {}, secretRef: a}]`},
			{at: "spec.http[0].plugin_config_name", value: "a"},
			{at: "spec.http[0].plugin_config_namespace", value: "b"},
			{at: "spec.http[0].authentication", value: `{enable: true, type: keyAuth, keyAuth: {header: a}, jwtAuth: {header: b}, ldapAuth: {}}`},
			{at: "spec.http[0].upstreams", value: `[{name: far, weight: 10}]`, share: refused("has upstreams in addition to its backends; their weights cannot be kept")},
			matches(`{paths: [/a, /b/*], hosts: [a.example.com], methods: [GET], remoteAddrs: [10.0.0.0/8], filter_func: "a"}`),
			{at: "spec.http[0].match.exprs", value: `[{subject: {scope: Header, name: y}, op: Equal, value: a, set: [b]}]`, match: refused(exprs)},
			{at: "spec.http[0].backends[0].serviceName", value: "api", share: canary, match: canary},
			{at: "spec.http[0].backends[0].servicePort", value: "http"},
			{at: "spec.http[0].backends[0].resolveGranularity", value: "service"},
			{at: "spec.http[0].backends[0].subset", value: "v1", share: subset, match: subset},
			{at: "spec.http[0].backends[0].weight", value: "50", share: divides("80", "20", "the share; other backends keep theirs")},
			{
				at: "spec.http[0].backends", value: `[{serviceName: api, servicePort: 80, weight: 0}, {serviceName: other, servicePort: 80}]`, name: "`http[].backends[].weight` of 0 beside others",
				share: refused("no rule in spec.http has a backend that is Service api and gets requests"), match: refused("no rule in spec.http has a backend that is Service api and gets requests"),
			},
			{at: "spec.http[0].backends[1]", value: `{serviceName: other, servicePort: 80, weight: 100}`, name: "a backend that is another Service", share: divides(`{serviceName: other, servicePort: 80, weight: 100}`, "", "stays, and keeps its share")},
			{at: "spec.http[1]", value: `{name: pay, match: {paths: [/pay]}, backends: [{serviceName: pay, servicePort: 80}]}`, name: "a rule of another Service"},
			{at: "spec.http[1]", value: `{name: pay, priority: 1, match: {paths: [/*]}, backends: [{serviceName: pay, servicePort: 80}]}`, name: "a rule of another Service with a priority that is greater by one", match: refused("rule pay has priority 1, which the new version's part of rule main gets")},
			{at: "spec.stream[0]", value: `{name: db, protocol: TCP, match: {ingressPort: 5432}, backend: {serviceName: db, servicePort: 5432, resolveGranularity: service, subset: a}, plugins: []}`, name: "a rule of `stream` to another Service"},
			{at: "spec.stream[0]", value: `{name: raw, protocol: TCP, match: {ingressPort: 9000}, backend: {serviceName: api, servicePort: 9000}}`, name: "a rule of `stream` to the Service", share: refused("rule raw in spec.stream routes to Service api, and cannot have a second backend")},
		}, unknownAt("spec", "spec.http[0]", "spec.http[0].backends[0]")),
	}
}

func traefikTable(canary outcome) table {
	const none = "spec.weighted.services does not have Service api"
	copied := func(at, value string) cell { return cell{at: "spec.weighted.services[0]." + at, value: value} }
	return table{
		title: "TraefikService", routing: `{service: api, customNetworkRefs: [{apiVersion: traefik.io/v1alpha1, kind: TraefikService, name: web}]}`,
		object: `{metadata: {name: web, namespace: shop}, spec: {weighted: {services: [{name: api, port: 80}]}}}`,
		share:  way{step: byShareOf20, twins: map[string]string{"spec.weighted.services[0]": "spec.weighted.services[1]"}},
		cells: slices.Concat([]cell{
			{at: "metadata.labels.team", value: "a", name: "`metadata.labels`"},
			{at: "spec.weighted.sticky", value: `{cookie: {name: a, secure: true, httpOnly: true, sameSite: lax, maxAge: 5, path: /, domain: a}}`},
			{at: "spec.weighted.services[0].name", value: "api", share: canary},
			copied("namespace", "shop"), copied("kind", "Service"), copied("port", "web"), copied("scheme", "h2c"), copied("strategy", "p2c"), copied("passHostHeader", "false"),
			copied("sticky", `{cookie: {name: a}}`), copied("responseForwarding", `{flushInterval: 1ms}`), copied("serversTransport", "a"), copied("nativeLB", "true"),
			copied("nodePortLB", "false"), copied("healthCheck", `{path: /, interval: 5s}`), copied("passiveHealthCheck", `{maxFailedAttempts: 3}`), copied("middlewares", `[{name: a}]`),
			{at: "spec.weighted.services[0].weight", value: "5", share: divides("80", "20", "the share; other services keep theirs")},
			{at: "spec.weighted.services[0].namespace", value: "elsewhere", name: "`weighted.services[].namespace` of another", share: refused(none)},
			{at: "spec.weighted.services[0].kind", value: "TraefikService", name: "`weighted.services[].kind` of another kind", share: refused(none)},
			{
				at: "spec.weighted.services", value: `[{name: api, port: 80, weight: 0}, {name: other, port: 80, weight: 1}]`, name: "`weighted.services[].weight` of 0 beside others",
				share: refused("Service api has no weight above 0"),
			},
			{at: "spec.weighted.services[1]", value: `{name: other, port: 80}`, name: "a service that is another Service", share: divides(`{name: other, port: 80, weight: 5}`, "", "stays, and keeps its share")},
			{
				at: "spec.weighted.services", value: `[{name: api, port: 80, weight: 0}, {name: other, port: 80, weight: 1}]`, name: "`weighted.services[].weight` of 0 beside others",
				share: refused("Service api has no weight above 0"),
			},
			{at: "spec.weighted.services[1]", value: `{name: other, port: 80, weight: 5}`, name: "weights of some services and not of others", share: refused("some of spec.weighted.services have a weight and others have none")},
			{at: "spec.weighted", value: `{}`, name: "no `weighted`, as with `mirroring`, `highestRandomWeight`, `failover`", share: refused(none)},
			{at: "spec.mirroring", value: `{name: api, port: 80, mirrors: [{name: shadow, percent: 5}], mirrorBody: true, maxBodySize: 5}`},
		}, unknownAt("spec", "spec.weighted", "spec.weighted.services[0]")),
	}
}

func kumaTable(canary outcome) table {
	const at = "spec.to[0].rules[0].default.backendRefs[0]"
	const none = "no rule in spec.to has a backendRef that is MeshService api"
	copied := func(field, value string) cell { return cell{at: at + "." + field, value: value} }
	return table{
		title: "MeshHTTPRoute", routing: `{service: api, customNetworkRefs: [{apiVersion: kuma.io/v1alpha1, kind: MeshHTTPRoute, name: web}]}`,
		object: `{metadata: {name: web, namespace: shop}, spec: {to: [{rules: [{default: {backendRefs: [{kind: MeshService, name: api}]}}]}]}}`,
		share:  way{step: byShareOf20, twins: map[string]string{at: "spec.to[0].rules[0].default.backendRefs[1]"}},
		cells: slices.Concat([]cell{
			{at: "metadata.labels[kuma.io/mesh]", value: "a", name: "`metadata.labels`"},
			{at: "spec.targetRef", value: `{kind: MeshSubset, name: a, namespace: b, labels: {a: b}, tags: {a: b}, proxyTypes: [Sidecar], sectionName: a, mesh: a}`},
			{at: "spec.to[0].targetRef", value: `{kind: MeshService, name: api, namespace: shop, labels: {a: b}, sectionName: a}`},
			{at: "spec.to[0].hostnames", value: `[a.example.com]`},
			{at: "spec.to[0].rules[0].matches", value: `[{path: {type: PathPrefix, value: /}, method: GET, headers: [{type: Exact, name: a, value: b}], queryParams: [{type: Exact, name: a, value: b}]}]`},
			{at: "spec.to[0].rules[0].default.filters", value: `[{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}]}}, {type: RequestMirror, requestMirror: {percentage: 5, backendRef: {kind: MeshService, name: api}}}, {type: URLRewrite, urlRewrite: {hostname: a}}]`},
			copied("kind", "MeshService"), copied("namespace", "shop"), copied("port", "80"), copied("sectionName", "http"), copied("mesh", "a"), copied("labels", `{a: b}`), copied("tags", `{version: v1}`), copied("proxyTypes", `[Sidecar]`),
			{at: at + ".name", value: "api", share: canary},
			{at: at + ".name", value: "api_shop_svc_80", share: becomes("api-canary_shop_svc_80", "the canary Service's")},
			{at: at + ".weight", value: "5", share: divides("80", "20", "the share; other backends keep theirs")},
			{at: at + ".kind", value: "MeshExternalService", name: "`...backendRefs[].kind` of another kind", share: refused(none)},
			{at: at + ".namespace", value: "elsewhere", name: "`...backendRefs[].namespace` of another", share: refused(none)},
			{
				at: "spec.to[0].rules[0].default.backendRefs", value: `[{kind: MeshService, name: api, weight: 0}, {kind: MeshService, name: other}]`, name: "`to[].rules[].default.backendRefs[].weight` of 0 beside others",
				share: refused("no rule in spec.to has a backendRef that is MeshService api and gets requests"),
			},
			{at: "spec.to[0].rules[0].default.backendRefs[1]", value: `{kind: MeshService, name: other}`, name: "a backend that is another Service", share: divides(`{kind: MeshService, name: other, weight: 5}`, "", "stays, and keeps its share")},
			{at: "spec.to[1]", value: `{targetRef: {kind: MeshService, name: api}, rules: [{default: {}}]}`, name: "a rule without `backendRefs` whose target is the Service", share: refused("routes to its target, MeshService api, without backendRefs; write them")},
			{at: "spec.to[1]", value: `{targetRef: {kind: MeshService, name: api}, rules: [{default: {filters: [{type: RequestRedirect, requestRedirect: {hostname: a}}]}}]}`, name: "a rule that redirects"},
		}, unknownAt("spec", "spec.to[0]", "spec.to[0].rules[0]", "spec.to[0].rules[0].default", at)),
	}
}
