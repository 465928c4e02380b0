// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan/admission"
)

// askedFor is what package traffic renders in its own test, TestAsked.
type askedFor struct {
	Asks []struct {
		Name string                         `json:"name"`
		Step v1beta1.TrafficRoutingStrategy `json:"step"`
	} `json:"asks"`
	Gateways []struct {
		Title   string                    `json:"title"`
		Routing v1beta1.TrafficRoutingRef `json:"routing"`
		Asked   map[string]string         `json:"asked"`
		Alone   map[string]string         `json:"alone"`
	} `json:"gateways"`
}

// eachAsked calls for every gateway and everything that can be asked for, with and without a canary Service; refusal is a part
// of what the answer says, "" where it is taken.
func eachAsked(t *testing.T, call func(t *testing.T, routing v1beta1.TrafficRoutingRef, step v1beta1.TrafficRoutingStrategy, alone bool, refusal string)) {
	t.Helper()
	text, err := os.ReadFile("../../traffic/testdata/asked.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := askedFor{}
	if err := yaml.Unmarshal(text, &all); err != nil || len(all.Gateways) == 0 {
		t.Fatal("nothing is asked for", err)
	}
	for _, g := range all.Gateways {
		for _, ask := range all.Asks {
			for _, alone := range []bool{false, true} {
				refusal, refused := strings.CutPrefix(g.Asked[ask.Name], "! ")
				for _, name := range []string{"*", ask.Name} {
					if text, told := strings.CutPrefix(g.Alone[name], "! "); alone && told && !refused {
						refusal, refused = text, true
					}
				}
				if !refused {
					refusal = ""
				}
				t.Run(fmt.Sprintf("%s, %s, alone %v", g.Title, ask.Name, alone), func(t *testing.T) {
					call(t, g.Routing, ask.Step, alone, refusal)
				})
			}
		}
	}
}

// refuses compares an answer with a part of it.
func refuses(t *testing.T, errs field.ErrorList, refusal string) {
	t.Helper()
	if (len(errs) > 0) != (refusal != "") || refusal != "" && !strings.Contains(errs.ToAggregate().Error(), refusal) {
		t.Errorf("got %v, want %q", errs, refusal)
	}
}

// TestAskedOfRollouts: what a gateway cannot do is refused when a Rollout that asks for it is written, and nothing else is.
func TestAskedOfRollouts(t *testing.T) {
	t.Parallel()
	eachAsked(t, func(t *testing.T, routing v1beta1.TrafficRoutingRef, step v1beta1.TrafficRoutingStrategy, alone bool, refusal string) {
		one := intstr.FromInt32(1)
		ro := parse[v1beta1.Rollout](t, beta(`{canary: {}}`))
		ro.Spec.Strategy.Canary = &v1beta1.CanaryStrategy{
			Steps:           []v1beta1.CanaryStep{{Replicas: &one, TrafficRoutingStrategy: step}},
			TrafficRoutings: []v1beta1.TrafficRoutingRef{routing}, DisableGenerateCanaryService: alone,
		}
		refuses(t, admission.ValidateRollout(ro, nil, nil, shipped), refusal)
	})
}

// TestAskedOfTrafficRoutings: and so is a TrafficRouting, which never makes a Service and matches headers only.
func TestAskedOfTrafficRoutings(t *testing.T) {
	t.Parallel()
	eachAsked(t, func(t *testing.T, routing v1beta1.TrafficRoutingRef, step v1beta1.TrafficRoutingStrategy, alone bool, refusal string) {
		tr := &v1alpha1.TrafficRouting{Spec: v1alpha1.TrafficRoutingSpec{ObjectRef: []v1beta1.TrafficRoutingRef{routing}}}
		tr.Spec.Strategy.RequestHeaderModifier = step.RequestHeaderModifier
		if step.Traffic != nil {
			tr.Spec.Strategy.Weight = new(int32(20))
		}
		for _, m := range step.Matches {
			if m.Path != nil || len(m.QueryParams) > 0 {
				return // it has no words for that
			}
			tr.Spec.Strategy.Matches = append(tr.Spec.Strategy.Matches, v1alpha1.HttpRouteMatch{Headers: m.Headers})
		}
		if !alone {
			return
		}
		refuses(t, admission.ValidateTrafficRouting(tr, nil, shipped), refusal)
		refuses(t, admission.ValidateTrafficRouting(tr, tr.DeepCopy(), shipped), "") // it was there before
	})
}
