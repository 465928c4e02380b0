// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
)

// noted are annotations that a class's canary Ingress has as the user's.
func noted(keys ...string) []cell {
	var cells []cell
	for _, key := range keys {
		prefix, _, _ := strings.Cut(key, "/")
		cells = append(cells, cell{at: "metadata.annotations[" + key + "]", value: `"1"`, name: "other annotations of `" + prefix + "/`"})
	}
	return cells
}

// cleared are the user's annotations that would be said of the canary of a release.
func cleared(keys ...string) []cell {
	var cells []cell
	for _, key := range keys {
		o := leftOut("left out: the release says how its canary is asked")
		cells = append(cells, cell{at: "metadata.annotations[" + key + "]", value: `"7"`, share: o, match: o, name: "`" + key[:strings.Index(key, "/")] + "/canary-...` of the user's, but for those of the step"})
	}
	return cells
}

// marked are the annotations by which the user's Ingress is a canary, of which a gateway takes one for each other.
func marked(keys ...string) []cell {
	var cells []cell
	for _, key := range keys {
		o := refused("Ingress web is a canary itself")
		c := cell{at: "metadata.annotations[" + key + "]", value: `"true"`, share: o, match: o, name: "`" + key + "` that is true"}
		no := c
		no.value, no.name = `"false"`, "`"+key+"` that is false"
		no.share = becomes(`"true"`, "`true`")
		no.match = no.share
		cells = append(cells, c, no)
	}
	return cells
}

// acted are labels and annotations by which other controllers act on an Ingress.
func acted(at string) cell {
	o := leftOut("left out: other controllers act by them")
	return cell{at: at, value: "x", share: o, match: o, name: "labels and annotations of domains that are no gateway's (of a class with a script of yours: those of kubectl, Argo CD, Flux, Helm, external-dns, cert-manager)"}
}

// ingressCells are the fields of the object; classes differ in annotations only.
func ingressCells() []cell {
	const none = "Ingress web has no path that routes to Service api"
	away := leftOut("left out: its requests stay the user's own")
	return slices.Concat([]cell{
		{at: "metadata.labels.team", value: "a", name: "`metadata.labels`"},
		{at: "metadata.labels[app.kubernetes.io/name]", value: "a", name: "`metadata.labels`"},
		{at: "metadata.annotations[note]", value: "b", name: "annotations without a domain"},
		{at: "metadata.annotations[kubernetes.io/ingress.class]", value: "web", name: "`kubernetes.io/ingress.class`"},
		acted("metadata.annotations[example.com/a]"), acted("metadata.annotations[kubectl.kubernetes.io/last-applied-configuration]"), acted("metadata.annotations[argocd.argoproj.io/tracking-id]"),
		acted("metadata.annotations[meta.helm.sh/release-name]"), acted("metadata.annotations[cert-manager.io/cluster-issuer]"), acted("metadata.annotations[kubernetes.io/tls-acme]"),
		acted("metadata.annotations[external-dns.alpha.kubernetes.io/hostname]"), acted("metadata.labels[applyset.kubernetes.io/part-of]"), acted("metadata.labels[kustomize.toolkit.fluxcd.io/name]"),
		{at: "spec.ingressClassName", value: "web"},
		{at: "spec.tls", value: `[{hosts: [a.example.com], secretName: s}]`},
		{at: "spec.rules[0].host", value: "a.example.com"},
		{at: "spec.rules[0].http.paths[0].path", value: "/a"},
		{at: "spec.rules[0].http.paths[0].pathType", value: "Exact"},
		{at: "spec.rules[0].http.paths[0].backend.service.name", value: "api", share: becomes("api-canary", "the canary Service's"), match: becomes("api-canary", "the canary Service's")},
		{at: "spec.rules[0].http.paths[0].backend.service.port", value: `{number: 81}`},
		{at: "spec.rules[0].http.paths[0].backend.service.port", value: `{name: web}`},
		{
			at: "spec.rules[0].http.paths[0].backend", value: `{resource: {apiGroup: example.com, kind: Bucket, name: api}}`, name: "a path that leads to a resource",
			share: refused(none), match: refused(none),
		},
		{at: "spec.rules[0].http.paths[1]", value: `{path: /b, pathType: Prefix, backend: {service: {name: other, port: {number: 80}}}}`, name: "a path of another Service", share: away, match: away},
		{at: "spec.rules[1]", value: `{host: b.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: other, port: {number: 80}}}}]}}`, name: "a rule of another Service", share: away, match: away},
		{at: "spec.rules[1]", value: `{host: b.example.com}`, name: "a rule without paths", share: away, match: away},
		{
			at: "spec.defaultBackend", value: `{service: {name: api, port: {number: 80, name: web}}, resource: {apiGroup: a, kind: A, name: a}}`,
			share: leftOut("left out: requests that no rule names stay the user's own"), match: leftOut("left out: requests that no rule names stay the user's own"),
		},
	}, unknownAt("spec", "spec.rules[0]", "spec.rules[0].http", "spec.rules[0].http.paths[0]", "spec.rules[0].http.paths[0].backend", "spec.rules[0].http.paths[0].backend.service"))
}

func ingressTables() []table {
	nginx := slices.Concat(
		marked("nginx.ingress.kubernetes.io/canary"),
		cleared("nginx.ingress.kubernetes.io/canary-weight-total", "nginx.ingress.kubernetes.io/canary-by-header-pattern", "nginx.ingress.kubernetes.io/canary-by-cookie"),
		noted("nginx.ingress.kubernetes.io/rewrite-target", "nginx.ingress.kubernetes.io/affinity", "nginx.ingress.kubernetes.io/proxy-read-timeout", "nginx.ingress.kubernetes.io/enable-cors",
			"nginx.ingress.kubernetes.io/upstream-hash-by", "nginx.ingress.kubernetes.io/backend-protocol", "nginx.ingress.kubernetes.io/auth-url", "nginx.ingress.kubernetes.io/server-snippet"),
	)
	written := func(at, value string, o outcome) cell {
		return cell{at: "metadata.annotations[" + at + "]", value: value, share: o, match: o, name: "`" + at + "`"}
	}
	classes := map[string][]cell{
		"nginx":   nginx,
		"higress": slices.Concat(nginx, cleared("higress.io/canary-weight-total"), noted("higress.io/timeout")),
		"mse": slices.Concat(nginx, cleared("mse.ingress.kubernetes.io/canary-by-query"), noted("mse.ingress.kubernetes.io/timeout"), []cell{
			written("mse.ingress.kubernetes.io/service-subset", "stable", becomes("gray", "`gray`")),
			{at: "metadata.annotations[mse.ingress.kubernetes.io/request-header-control-update]", value: `"a b"`, name: "`mse.ingress.kubernetes.io/request-header-control-...` (with what the step changes behind)"},
		}),
		"aliyun-alb": slices.Concat(marked("alb.ingress.kubernetes.io/canary"), cleared("alb.ingress.kubernetes.io/canary-weight-total", "alb.ingress.kubernetes.io/canary-by-cookie"), noted("alb.ingress.kubernetes.io/healthcheck-enabled", "alb.ingress.kubernetes.io/rewrite-target"), []cell{
			written("alb.ingress.kubernetes.io/order", `"5"`, becomes(`"1"`, "`1`, so that the canary is asked first")),
			{
				at: "metadata.annotations[alb.ingress.kubernetes.io/order]", value: `"1"`, name: "`alb.ingress.kubernetes.io/order` of 1, than which none is lower",
				share: refused("write 2 or more, or leave it out for 10"), match: refused("write 2 or more, or leave it out for 10"),
			},
			{at: "metadata.annotations[alb.ingress.kubernetes.io/conditions.api]", value: `"[]"`, name: "`alb.ingress.kubernetes.io/conditions.<service>` and others that end so (beside it, one that ends with the canary Service, to which an action forwards then)"},
		}),
	}
	var all []table
	for i, class := range sortedKeys(classes) {
		cells := classes[class]
		if i == 0 { // the object is the same for all
			cells = slices.Concat(ingressCells(), cells)
		}
		w := func(step string) way {
			return way{step: step, twins: map[string]string{"spec": "canary.spec", "metadata": "canary.metadata"}}
		}
		t := table{
			title: "Ingress class " + class, routing: fmt.Sprintf(`{service: api, ingress: {name: web, classType: %s}}`, class),
			object: `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, namespace: shop}, spec: {rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: api, port: {number: 80}}}}]}}]}}`,
			share:  w(byShareOf20), match: w(byHeaderX), cells: cells,
		}
		if i == 0 {
			t.title += ", and fields of all classes"
			t.typed = func() any { return &networkingv1.Ingress{} }
		}
		all = append(all, t)
	}
	return all
}
