// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
)

// split is how large a part of its requests a stable Service gives to a canary.
type split struct {
	Backends
	percent  int64
	modifier *gatewayv1beta1.HTTPHeaderFilter
}

// divide divides the weights that stable Services have in a rule: they keep what their canaries do not get, and other
// backends keep theirs to the last request. The canaries' backends come last, so that those of the user keep their places,
// by which gateways name their metrics.
func divide(u *unstructured.Unstructured, rule map[string]any, splits []split) error {
	refs := mapsIn(rule["backendRefs"])
	all := slices.Clone(refs)
	for _, s := range splits {
		for _, ref := range refs {
			if leadsTo(u, ref, s.Stable) {
				canary := runtime.DeepCopyJSON(ref)
				canary["name"] = s.Canary
				modify(canary, s.modifier)
				all = append(all, canary)
			}
		}
	}
	if len(all) > maxBackends {
		return fmt.Errorf("would have %d backends; the Gateway API takes %d", len(all), maxBackends)
	}
	for i, weight := range weights(u, refs, splits) {
		all[i]["weight"] = weight
	}
	setBackends(rule, all)
	return nil
}

// weights are those of a rule's backends and, after them, of the canary backends of each split. A stable backend
// alone gets (100-w, w). Next to others all weights are multiplied by 100 and divided by what they have in common with
// it, so that every weight is exact in whole numbers.
func weights(u *unstructured.Unstructured, refs []map[string]any, splits []split) []int64 {
	if len(refs) == 1 && len(splits) == 1 && weightOf(refs[0]) > 0 {
		return []int64{100 - splits[0].percent, splits[0].percent}
	}
	kept := make([]int64, len(refs))
	var taken []int64
	for i, ref := range refs {
		kept[i] = weightOf(ref) * 100
	}
	for _, s := range splits {
		for i, ref := range refs {
			if leadsTo(u, ref, s.Stable) {
				part := weightOf(ref) * s.percent
				kept[i], taken = max(0, kept[i]-part), append(taken, part)
			}
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
