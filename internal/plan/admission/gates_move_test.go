// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"slices"
	"strings"
	"testing"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan/admission"
)

// TestGatesStayWithTheirSteps: a client of v1alpha1, which does not see gates, cannot move one to another step by steps that it adds or
// removes. Steps behind the gated one may come and go, and what a step asks for may be edited.
func TestGatesStayWithTheirSteps(t *testing.T) {
	t.Parallel()
	const hook = `webhooks: [{name: change-window, when: Before, url: "http://gate/c"}]`
	insert := func(s []v1alpha1.CanaryStep) []v1alpha1.CanaryStep { return slices.Insert(s, 0, *s[0].DeepCopy()) }
	drop := func(s []v1alpha1.CanaryStep) []v1alpha1.CanaryStep { return s[1:] }
	add := func(s []v1alpha1.CanaryStep) []v1alpha1.CanaryStep { return append(s, *s[len(s)-1].DeepCopy()) }
	resize := func(s []v1alpha1.CanaryStep) []v1alpha1.CanaryStep {
		s[1].Replicas = s[0].Replicas
		return s
	}
	for name, c := range map[string]struct {
		steps   string
		edit    func([]v1alpha1.CanaryStep) []v1alpha1.CanaryStep
		refused bool
	}{
		"inserted before the last":       {`[{replicas: 20%}, {replicas: 40%}, {replicas: 100%, ` + hook + `}]`, insert, true},
		"inserted before an analysis":    {`[{replicas: 20%}, {replicas: 40%, analysis: {templates: [{templateName: a}]}}, {replicas: 100%}]`, insert, true},
		"dropped before an analysis":     {`[{replicas: 20%}, {replicas: 40%, analysis: {templates: [{templateName: a}]}}, {replicas: 100%}]`, drop, true},
		"dropped before webhooks":        {`[{replicas: 20%}, {replicas: 40%, ` + hook + `}, {replicas: 100%}]`, drop, true},
		"added behind":                   {`[{replicas: 20%}, {replicas: 40%, ` + hook + `}, {replicas: 100%}]`, add, false},
		"inserted, and nothing is gated": {`[{replicas: 20%}, {replicas: 40%}, {replicas: 100%}]`, insert, false},
		"edited":                         {`[{replicas: 20%}, {replicas: 40%, ` + hook + `}, {replicas: 100%}]`, resize, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stored := parse[v1beta1.Rollout](t, beta(`{canary: {steps: `+c.steps+`}}`))
			old := &v1alpha1.Rollout{}
			if err := old.ConvertFrom(stored); err != nil {
				t.Fatal(err)
			}
			edited := old.DeepCopy()
			edited.Spec.Strategy.Canary.Steps = c.edit(edited.Spec.Strategy.Canary.Steps)
			errs := admission.ValidateRolloutV1alpha1(edited, old, nil, everything)
			if refused := len(errs) > 0; refused != c.refused || refused && !strings.Contains(errs.ToAggregate().Error(), "this edit through v1alpha1 would") {
				t.Errorf("refused: %v: %v", refused, errs)
			}
		})
	}
}
