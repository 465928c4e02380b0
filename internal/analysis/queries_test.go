// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var shop = Names{
	Namespace: "default", Route: "web", Ingress: "ing", Service: "shop", CanaryService: "shop-canary",
	CanaryPods: []string{"shop-b-1"}, StablePods: []string{"shop-a-1", "shop-a-2"},
	PodMetrics: PodMetrics{Requests: "http_requests_total", ErrorSelector: `code=~"5.."`, Buckets: "http_seconds_bucket"},
}

// TestQueries are the queries as a Prometheus gets them. All of these were parsed by Prometheus's own parser (v0.316.0), which is not
// among the dependencies: it would raise thirty others.
func TestQueries(t *testing.T) {
	for _, c := range []struct {
		gateway  Gateway
		change   func(*Names)
		requests string
		buckets  string
		unit     string
	}{
		{
			gateway: TraefikHTTPRoute,
			requests: `label_replace(sum by (instance, code) (traefik_service_requests_total{service=~"httproute-default-web-gw-.+-svc-default-shop-[0-9]+@kubernetesgateway"}), "rollout_side", "stable", "", "")` +
				` or label_replace(sum by (instance, code) (traefik_service_requests_total{service=~"httproute-default-web-gw-.+-svc-default-shop-canary-[0-9]+@kubernetesgateway"}), "rollout_side", "canary", "", "")`,
			buckets: `label_replace(sum by (instance, le) (traefik_service_request_duration_seconds_bucket{service=~"httproute-default-web-gw-.+-svc-default-shop-[0-9]+@kubernetesgateway"}), "rollout_side", "stable", "", "")` +
				` or label_replace(sum by (instance, le) (traefik_service_request_duration_seconds_bucket{service=~"httproute-default-web-gw-.+-svc-default-shop-canary-[0-9]+@kubernetesgateway"}), "rollout_side", "canary", "", "")`,
			unit: "s",
		},
		{
			gateway: TraefikIngress,
			requests: `label_replace(sum by (instance, code) (traefik_service_requests_total{service=~"default-ing-shop-[0-9a-z-]+@kubernetesingressnginx", service!~".+-canary@.+"}), "rollout_side", "stable", "", "")` +
				` or label_replace(sum by (instance, code) (traefik_service_requests_total{service=~"default-ing-shop-[0-9a-z-]+-canary@kubernetesingressnginx"}), "rollout_side", "canary", "", "")`,
			unit: "s",
		},
		{
			gateway: TraefikIngress, change: func(n *Names) { n.Port = "80"; n.Exported = true },
			requests: `label_replace(sum by (instance, code) (traefik_service_requests_total{exported_service=~"default-ing-shop-80@kubernetesingressnginx", exported_service!~".+-canary@.+"}), "rollout_side", "stable", "", "")` +
				` or label_replace(sum by (instance, code) (traefik_service_requests_total{exported_service=~"default-ing-shop-80-canary@kubernetesingressnginx"}), "rollout_side", "canary", "", "")`,
			unit: "s",
		},
		{
			gateway: IngressNginx,
			requests: `label_replace(sum by (instance, status) (nginx_ingress_controller_requests{namespace="default", ingress="ing", service="shop", canary=""}), "rollout_side", "stable", "", "")` +
				` or label_replace(sum by (instance, status) (nginx_ingress_controller_requests{namespace="default", ingress="ing", service="shop", canary=~"default-shop-canary-.+"}), "rollout_side", "canary", "", "")`,
			unit: "s",
		},
		{
			gateway: IngressNginx, change: func(n *Names) { n.Exported = true },
			requests: `label_replace(sum by (instance, status) (nginx_ingress_controller_requests{exported_namespace="default", ingress="ing", exported_service="shop", canary=""}), "rollout_side", "stable", "", "")` +
				` or label_replace(sum by (instance, status) (nginx_ingress_controller_requests{exported_namespace="default", ingress="ing", exported_service="shop", canary=~"default-shop-canary-.+"}), "rollout_side", "canary", "", "")`,
			unit: "s",
		},
		{
			gateway: Istio,
			requests: `label_replace(sum by (instance, response_code) (istio_requests_total{reporter="source", destination_service_namespace="default", destination_service_name="shop"}), "rollout_side", "stable", "", "")` +
				` or label_replace(sum by (instance, response_code) (istio_requests_total{reporter="source", destination_service_namespace="default", destination_service_name="shop-canary"}), "rollout_side", "canary", "", "")`,
			buckets: `label_replace(sum by (instance, le) (istio_request_duration_milliseconds_bucket{reporter="source", destination_service_namespace="default", destination_service_name="shop"}), "rollout_side", "stable", "", "")` +
				` or label_replace(sum by (instance, le) (istio_request_duration_milliseconds_bucket{reporter="source", destination_service_namespace="default", destination_service_name="shop-canary"}), "rollout_side", "canary", "", "")`,
			unit: "ms",
		},
		{
			gateway: IstioSubsets,
			requests: `label_replace(sum by (pod, response_code) (istio_requests_total{reporter="destination", destination_service_namespace="default", destination_service_name="shop", pod=~"shop-a-1|shop-a-2"}), "rollout_side", "stable", "", "")` +
				` or label_replace(sum by (pod, response_code) (istio_requests_total{reporter="destination", destination_service_namespace="default", destination_service_name="shop", pod=~"shop-b-1"}), "rollout_side", "canary", "", "")`,
			unit: "ms",
		},
		{
			gateway: Pods,
			requests: `label_replace(label_replace(sum by (pod) (http_requests_total{namespace="default", pod=~"shop-a-1|shop-a-2"}), "rollout_side", "stable", "", "")` +
				` or label_replace(sum by (pod) (http_requests_total{namespace="default", pod=~"shop-b-1"}), "rollout_side", "canary", "", ""), "rollout_count", "all", "", "")` +
				` or label_replace(label_replace(sum by (pod) (http_requests_total{namespace="default", pod=~"shop-a-1|shop-a-2", code=~"5.."}), "rollout_side", "stable", "", "")` +
				` or label_replace(sum by (pod) (http_requests_total{namespace="default", pod=~"shop-b-1", code=~"5.."}), "rollout_side", "canary", "", ""), "rollout_count", "bad", "", "")`,
			buckets: `label_replace(sum by (pod, le) (http_seconds_bucket{namespace="default", pod=~"shop-a-1|shop-a-2"}), "rollout_side", "stable", "", "")` +
				` or label_replace(sum by (pod, le) (http_seconds_bucket{namespace="default", pod=~"shop-b-1"}), "rollout_side", "canary", "", "")`,
			unit: "s",
		},
		{
			gateway: Pods, change: func(n *Names) {
				n.StablePods = nil
				n.PodMetrics = PodMetrics{Requests: "jobs_total", Errors: "jobs_failed_total", PodLabel: "worker"}
			},
			requests: `label_replace(label_replace(sum by (worker) (jobs_total{namespace="default", worker=~"shop-b-1"}), "rollout_side", "canary", "", ""), "rollout_count", "all", "", "")` +
				` or label_replace(label_replace(sum by (worker) (jobs_failed_total{namespace="default", worker=~"shop-b-1"}), "rollout_side", "canary", "", ""), "rollout_count", "bad", "", "")`,
			unit: "s",
		},
	} {
		names := shop
		if c.change != nil {
			c.change(&names)
		}
		q, err := QueriesFor(c.gateway, names)
		if err != nil {
			t.Errorf("%s: %v", c.gateway, err)
			continue
		}
		if q.Requests != c.requests {
			t.Errorf("%s: requests\n got %s\nwant %s", c.gateway, q.Requests, c.requests)
		}
		if c.buckets != "" && q.Buckets != c.buckets {
			t.Errorf("%s: buckets\n got %s\nwant %s", c.gateway, q.Buckets, c.buckets)
		}
		if q.Unit != c.unit {
			t.Errorf("%s: unit %q", c.gateway, q.Unit)
		}
	}
}

func TestQueriesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		gateway Gateway
		change  func(*Names)
		want    string
	}{
		{EnvoyGateway, nil, "AnalysisTemplate"},
		{NginxGatewayFabric, nil, "AnalysisTemplate"},
		{Higress, nil, "AnalysisTemplate"},
		{MSE, nil, "AnalysisTemplate"},
		{"", nil, "AnalysisTemplate"},
		{"kong", nil, `"kong" are not known; use an AnalysisTemplate`},
		{TraefikHTTPRoute, func(n *Names) { n.Route = "" }, "needs the name of the route"},
		{TraefikHTTPRoute, func(n *Names) { n.CanaryService = "" }, "needs the name of the canary Service"},
		{TraefikIngress, func(n *Names) { n.Ingress = "" }, "needs the name of the Ingress"},
		{IngressNginx, func(n *Names) { n.Namespace = "" }, "needs the name of the namespace"},
		{Istio, func(n *Names) { n.Service = "" }, "needs the name of the Service"},
		{IstioSubsets, func(n *Names) { n.CanaryPods, n.StablePods = nil, nil }, "names of pods"},
		{Pods, func(n *Names) { n.CanaryPods, n.StablePods = nil, nil }, "names of pods"},
		{Pods, func(n *Names) { n.Namespace = "" }, "namespace"},
		{Pods, func(n *Names) { n.PodMetrics.Requests = "" }, "podMetrics.requests"},
		{Pods, func(n *Names) { n.PodMetrics.Requests = "up or http" }, "podMetrics.requests"},
		{Pods, func(n *Names) { n.PodMetrics.ErrorSelector = "" }, "give errors"},
		{Pods, func(n *Names) { n.PodMetrics.Errors = "failed_total" }, "give one of them"},
		{Pods, func(n *Names) { n.PodMetrics.ErrorSelector = ""; n.PodMetrics.Errors = "rate(x[1m])" }, "podMetrics.errors"},
		{Pods, func(n *Names) { n.PodMetrics.Buckets = "x{}" }, "podMetrics.buckets"},
		{Pods, func(n *Names) { n.PodMetrics.PodLabel = `pod="x"` }, "podMetrics.podLabel"},
		{Pods, func(n *Names) { n.PodMetrics.ErrorSelector = `code="5"} or up{x="` }, "podMetrics.errorSelector"},
		{Pods, func(n *Names) { n.PodMetrics.ErrorSelector = `code="5\"} or up{x="y"` }, "podMetrics.errorSelector"},
		{Pods, func(n *Names) { n.PodMetrics.ErrorSelector = `code='5'` }, "podMetrics.errorSelector"},
		{Pods, func(n *Names) { n.PodMetrics.ErrorSelector = "code=\"5\n\"" }, "podMetrics.errorSelector"},
		{Pods, func(n *Names) { n.PodMetrics.ErrorSelector = "code=~`5..`" }, "podMetrics.errorSelector"},
	} {
		names := shop
		if c.change != nil {
			c.change(&names)
		}
		if _, err := QueriesFor(c.gateway, names); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.gateway, err, c.want)
		}
	}
	good := shop
	good.PodMetrics.ErrorSelector = ` code=~"5..|\\d" , path!="/health\"z" `
	if _, err := QueriesFor(Pods, good); err != nil {
		t.Error(err)
	}
}

// TestEveryGatewayIsKnownOrRefused: a gateway is in the table, or there is a reason why not.
func TestEveryGatewayIsKnownOrRefused(t *testing.T) {
	for _, g := range []Gateway{TraefikHTTPRoute, TraefikIngress, IngressNginx, Istio, IstioSubsets, Pods} {
		if _, err := QueriesFor(g, shop); err != nil {
			t.Errorf("%s: %v", g, err)
		}
	}
}

// TestNamesAreQuoted draws names from what is special in strings and regular expressions: what comes of them are the quoted
// expressions for these names, and the query has no other string.
func TestNamesAreQuoted(t *testing.T) {
	name := rapid.StringOfN(rapid.SampledFrom([]rune("a-.|*+()[]{}\\\"'\n\t$^é,=~")), 1, 6, -1)
	literal := regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	rapid.Check(t, func(t *rapid.T) {
		n := Names{
			Namespace: name.Draw(t, "namespace"), Route: name.Draw(t, "route"), Ingress: name.Draw(t, "ingress"), Service: name.Draw(t, "service"),
			CanaryService: name.Draw(t, "canary"), Port: name.Draw(t, "port"), CanaryPods: []string{name.Draw(t, "pod")}, StablePods: []string{"other"},
			PodMetrics: shop.PodMetrics,
		}
		for _, s := range append(slices.Clone(sources), source{gateway: Pods}) {
			q, err := QueriesFor(s.gateway, n)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{q.Requests, q.Buckets} {
				if rest := literal.ReplaceAllString(text, "S"); strings.ContainsAny(rest, "\"'\n\\|") {
					t.Fatalf("%s: %s", s.gateway, text)
				}
				for _, l := range literal.FindAllString(text, -1) {
					if _, err := strconv.Unquote(l); err != nil {
						t.Fatalf("%s: %s", s.gateway, l)
					}
				}
			}
		}
		// A regular expression for the pod is one that matches its name and no other.
		re, err := regexp.Compile("^(?:" + anyOf(n.CanaryPods) + ")$")
		if err != nil || !re.MatchString(n.CanaryPods[0]) || re.MatchString(n.CanaryPods[0]+"x") {
			t.Fatalf("%q: %v", n.CanaryPods[0], err)
		}
	})
}

// TestSeriesThatQueriesSelect holds the regular expressions to names of series as gateways have them. Those of Traefik were read off
// one.
func TestSeriesThatQueriesSelect(t *testing.T) {
	other := shop
	other.Port = "80"
	for _, c := range []struct {
		gateway  Gateway
		names    Names
		service  string
		selected Side
	}{
		{TraefikHTTPRoute, shop, "httproute-default-web-gw-default-gateway-ep-web-0-0123456789abcdef0123-svc-default-shop-0@kubernetesgateway", Stable},
		{TraefikHTTPRoute, shop, "httproute-default-web-gw-default-gateway-ep-web-0-0123456789abcdef0123-svc-default-shop-canary-1@kubernetesgateway", Canary},
		{TraefikHTTPRoute, shop, "httproute-default-web-gw-default-gateway-ep-web-0-0123456789abcdef0123-svc-default-shop-2-0@kubernetesgateway", ""},
		{TraefikHTTPRoute, shop, "httproute-default-web-gw-default-gateway-ep-web-0-0123456789abcdef0123-svc-other-shop-0@kubernetesgateway", ""},
		{TraefikIngress, shop, "default-ing-shop-80@kubernetesingressnginx", Stable},
		{TraefikIngress, shop, "default-ing-shop-80-canary@kubernetesingressnginx", Canary},
		{TraefikIngress, other, "default-ing-shop-80@kubernetesingressnginx", Stable},
		{TraefikIngress, other, "default-ing-shop-80-canary@kubernetesingressnginx", Canary},
		{TraefikIngress, other, "default-ing-shop-api-80@kubernetesingressnginx", ""},
		{TraefikIngress, shop, "default-ing-store-80@kubernetesingressnginx", ""},
	} {
		i := slices.IndexFunc(sources, func(s source) bool { return s.gateway == c.gateway })
		var got Side
		for side, s := range map[Side]selector{Stable: sources[i].stable(c.names), Canary: sources[i].canary(c.names)} {
			if selects(t, s, c.service) {
				if got != "" {
					t.Errorf("%s: %s is of both sides", c.gateway, c.service)
				}
				got = side
			}
		}
		if got != c.selected {
			t.Errorf("%s: %s: got %q, want %q", c.gateway, c.service, got, c.selected)
		}
	}
}

// selects reports whether all regular expressions of s match a value of the label service.
func selects(t *testing.T, s selector, service string) bool {
	for _, m := range s {
		label, value, _ := strings.Cut(m, "~")
		text, err := strconv.Unquote(value)
		if err != nil {
			t.Fatal(err)
		}
		if regexp.MustCompile("^(?:"+text+")$").MatchString(service) != strings.HasSuffix(label, "=") {
			return false
		}
	}
	return true
}

func TestAtMostFiftyPods(t *testing.T) {
	n := shop
	for i := range 80 {
		n.CanaryPods = append(n.CanaryPods, fmt.Sprintf("pod-%d-x", i))
	}
	q, err := QueriesFor(Pods, n)
	if err != nil || strings.Contains(q.Requests, "pod-49-x") || !strings.Contains(q.Requests, "pod-48-x") {
		t.Errorf("%v: %s", err, q.Requests)
	}
}

// TestAnswersAreRead takes the labels of an answer through to requests.
func TestAnswersAreRead(t *testing.T) {
	for _, c := range []struct {
		gateway Gateway
		labels  []map[string]string
		want    Counts // of the canary, where each series is 10
	}{
		{IngressNginx, []map[string]string{
			{"rollout_side": "canary", "instance": "a", "status": "200"},
			{"rollout_side": "canary", "instance": "a", "status": "503"},
			{"rollout_side": "canary", "instance": "a", "status": "5xx"},
			{"rollout_side": "canary", "instance": "a", "status": "4xx"},
			{"rollout_side": "stable", "instance": "a", "status": "503"},
		}, Counts{40, 20}},
		{TraefikHTTPRoute, []map[string]string{
			{"rollout_side": "canary", "instance": "a", "code": "0"},
			{"rollout_side": "canary", "instance": "a", "code": "5000"},
			{"rollout_side": "canary", "instance": "a", "code": "500"},
		}, Counts{30, 10}},
		{Istio, []map[string]string{
			{"rollout_side": "canary", "instance": "a", "response_code": "0"},
			{"rollout_side": "canary", "instance": "a", "response_code": "200"},
		}, Counts{20, 10}},
		{Pods, []map[string]string{
			{"rollout_side": "canary", "pod": "a", "rollout_count": "all"},
			{"rollout_side": "canary", "pod": "a", "rollout_count": "bad"},
		}, Counts{10, 10}},
	} {
		q, err := QueriesFor(c.gateway, shop)
		if err != nil {
			t.Fatal(err)
		}
		var samples []Sample
		for _, labels := range c.labels {
			samples = append(samples, q.Sample(labels, 10))
		}
		if got := ReadRequests(samples)["a"].Canary; got != c.want {
			t.Errorf("%s: got %v, want %v", c.gateway, got, c.want)
		}
	}
	q, err := QueriesFor(Pods, shop)
	if err != nil {
		t.Fatal(err)
	}
	if s := q.Sample(map[string]string{"rollout_side": "stable", "pod": "a", "le": "0.5"}, 3); s != (Sample{Side: Stable, Instance: "a", Le: "0.5", Value: 3}) {
		t.Errorf("%+v", s)
	}
}
