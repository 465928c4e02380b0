// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// weigh divides, in every rule that leads to the stable Service, the share it has there: its backends keep what the
// canary does not get, and other backends keep their share to the last request. The canary's backends come last, so
// that those of the user keep their places, by which gateways name their metrics.
func (g gateway) weigh(u *unstructured.Unstructured, rules []map[string]any, r *Route) ([]map[string]any, note, error) {
	n := note{}
	for i, rule := range rules {
		if !g.concerns(rule) || !g.has(u, rule, g.backends.Stable) {
			continue
		}
		refs := mapsIn(rule["backendRefs"])
		n.Rules = append(n.Rules, remember(rule, refs))
		var canaries []map[string]any
		for _, ref := range refs {
			if leadsTo(u, ref, g.backends.Stable) {
				canary := runtime.DeepCopyJSON(ref)
				canary["name"] = g.backends.Canary
				modify(canary, r.HeaderModifier)
				canaries = append(canaries, canary)
			}
		}
		all := slices.Concat(refs, canaries)
		if len(all) > maxBackends {
			return nil, n, fmt.Errorf("rule %d would have %d backends; the Gateway API takes %d", i+1, len(all), maxBackends)
		}
		for j, weight := range g.weights(u, refs, int64(*r.Weight)) {
			all[j]["weight"] = weight
		}
		setBackends(rule, all)
	}
	return rules, n, nil
}

// weights are those of a rule's backends and, after them, of a canary backend for each stable one. A stable backend
// alone gets (100-w, w). Beside others all weights are multiplied by 100 and divided by what they have in common with
// it, so that every share is exact in whole numbers.
func (g gateway) weights(u *unstructured.Unstructured, refs []map[string]any, w int64) []int64 {
	if len(refs) == 1 && weightOf(refs[0]) > 0 {
		return []int64{100 - w, w}
	}
	var kept, taken []int64
	for _, ref := range refs {
		weight := weightOf(ref)
		if leadsTo(u, ref, g.backends.Stable) {
			kept, taken = append(kept, weight*(100-w)), append(taken, weight*w)
		} else {
			kept = append(kept, weight*100)
		}
	}
	weights := slices.Concat(kept, taken)
	common := int64(100)
	for _, weight := range weights {
		common = divisor(common, weight)
	}
	// Beyond the largest weight there is, exactness ends, and what little is left of a weight must not become nothing.
	largest := slices.Max(weights) / common
	scale := max(1, (largest+maxWeight-1)/maxWeight)
	for i, weight := range weights {
		weights[i] = weight / common / scale
		if weight > 0 {
			weights[i] = max(1, weights[i])
		}
	}
	return weights
}

// divisor is the greatest common divisor.
func divisor(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
