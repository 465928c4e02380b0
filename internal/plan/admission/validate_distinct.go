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
	if len(r.routings) == 0 {
		f.Required(at, "successRate, latency and compare need trafficRoutings, by which the requests of the two versions are told apart; "+
			"write templates with queries of the application's own metrics instead")
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
			"; write templates with queries of the application's own metrics instead")
	}
}
