// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
)

// TestCountedBy: whose counters are read, and where a query names pods, that it is asked with them.
func TestCountedBy(t *testing.T) {
	t.Parallel()
	virtualService := v1beta1.TrafficRoutingRef{Service: "web", CustomNetworkRefs: []v1beta1.ObjectRef{{APIVersion: "networking.istio.io/v1", Kind: "VirtualService", Name: "web"}}}
	nginx := v1beta1.TrafficRoutingRef{Service: "web", Ingress: &v1beta1.IngressTrafficRouting{Name: "web", ClassType: "nginx"}}
	for name, c := range map[string]struct {
		routings []v1beta1.TrafficRoutingRef
		source   *v1beta1.PrometheusSource
		shared   bool
		query    []string
		byPods   bool
		unknown  string
	}{
		"nginx":              {routings: []v1beta1.TrafficRoutingRef{nginx}, query: []string{`namespace="default"`, `canary=~"default-web-canary-.+"`}},
		"nginx, exported":    {routings: []v1beta1.TrafficRoutingRef{nginx}, source: &v1beta1.PrometheusSource{ExportedLabels: true}, query: []string{`exported_namespace="default"`}},
		"nginx, one Service": {routings: []v1beta1.TrafficRoutingRef{nginx}, shared: true, unknown: "both versions have one Service"},
		"Istio":              {routings: []v1beta1.TrafficRoutingRef{virtualService}, query: []string{`reporter="source"`, `destination_service_name="web-canary"`}},
		"Istio, one Service": {
			routings: []v1beta1.TrafficRoutingRef{virtualService}, shared: true, byPods: true,
			query: []string{`reporter="destination"`, `pod=~"` + analysis.CanaryPods + `"`, `pod=~"` + analysis.StablePods + `"`},
		},
		"no routes": {unknown: "the Rollout has no trafficRoutings"},
		"the application's own": {
			source: &v1beta1.PrometheusSource{PodMetrics: &v1beta1.PodMetrics{Requests: "r_total", ErrorSelector: `code=~"5.."`, PodLabel: "name"}}, byPods: true,
			query: []string{`r_total{namespace="default", name=~"` + analysis.CanaryPods + `"`, `code=~"5.."`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := inStep(1, v1beta1.StepMetricsAnalysis, "20%", "100%")
			canary := s.Rollout.Spec.Strategy.Canary
			canary.TrafficRoutings, canary.DisableGenerateCanaryService = c.routings, c.shared
			canary.Steps[0].Analysis = &v1beta1.StepAnalysis{Analysis: v1beta1.Analysis{SuccessRate: new(intstr.FromInt32(99)), Prometheus: c.source}}
			s.Rollout.Status.CanaryStatus.RolloutHash = strategyHash(s.Rollout.Spec.Strategy)
			d := Rollout(s)
			if c.unknown != "" {
				if !strings.Contains(d.Object.Status.Message, c.unknown) {
					t.Errorf("the message is %s", d.Object.Status.Message)
				}
				return
			}
			i := 0
			for i < len(d.Asks) && d.Asks[i].Source == nil {
				i++
			}
			if i == len(d.Asks) {
				t.Fatalf("nothing is asked: %s", d.Object.Status.Message)
			}
			ask := d.Asks[i]
			for _, part := range c.query {
				if !strings.Contains(ask.Query, part) {
					t.Errorf("%s lacks %s", ask.Query, part)
				}
			}
			if ask.ByPods != c.byPods {
				t.Errorf("by pods: %v", ask.ByPods)
			}
			if run := d.Object.Status.Analysis.Step; run.Metrics[0].Query != ask.Query {
				t.Errorf("the status has the query %s", run.Metrics[0].Query)
			}
		})
	}
}
