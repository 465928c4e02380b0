// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
	"kruise.io/rollouts/internal/plan"
)

// distinct checks that the requests of one version can be told from the other's, where they are counted: it is never passed over in
// silence that they cannot. Which gateway serves a route of the Gateway API is not known here, so that it is found out when it is asked.
func (f *faults) distinct(at *field.Path, a *v1beta1.Analysis, r routes) {
	if !analysis.HasChecks(*a) {
		return
	}
	if a.Prometheus != nil && a.Prometheus.PodMetrics != nil {
		f.podMetrics(at, a)
		return
	}
	if len(r.routings) == 0 {
		f.Required(at, "successRate, latency and compare need trafficRoutings, by which the requests of the two versions are told apart; "+
			"name the application's own counters in prometheus.podMetrics, or write templates with queries of its metrics")
		return
	}
	named := ""
	if a.Prometheus != nil {
		named = a.Prometheus.Gateway
	}
	gateway, names := plan.CountedBy(r.routings[0], named, r.shared)
	names.Namespace = "n" // which does not matter
	if gateway == "" || named != "" && !slices.Contains(gateways, named) {
		return // it is not known, or refused already
	}
	if _, err := analysis.QueriesFor(gateway, names); err != nil {
		why, _, _ := strings.Cut(err.Error(), ";")
		f.Invalid(at, string(gateway), "successRate, latency and compare need a gateway that tells the requests of the two versions apart: "+why+
			"; name the application's own counters in prometheus.podMetrics, or write templates with queries of its metrics")
	}
}

// podMetrics checks the names of an application's own counters.
func (f *faults) podMetrics(at *field.Path, a *v1beta1.Analysis) {
	m := *a.Prometheus.PodMetrics
	names := plan.CountedByPods(m)
	names.Namespace = "n" // which does not matter
	at = at.Child("Prometheus").Child("PodMetrics")
	if _, err := analysis.QueriesFor(analysis.Pods, names); err != nil {
		f.Invalid(at, m.Requests, err.Error())
		return
	}
	if m.Buckets == "" && (len(a.Latency) > 0 || a.Compare != nil && a.Compare.Slow != "off") {
		f.Required(at.Child("Buckets"), "latency and compare need a histogram; name its buckets, or set compare.slow to off")
	}
}
