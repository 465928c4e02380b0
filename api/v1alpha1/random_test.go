// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"encoding/json"
	"strconv"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"

	rolloutsv1alpha1 "kruise.io/rollouts/api/v1alpha1"
	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// words are few, so that random objects often agree in parts.
var words = []string{"", "a", "b", "canary", "partition", "Partition", "CANARY", "bluegreen", "5%", "50%", "100%"}

func word(c randfill.Continue) string { return words[c.Intn(len(words))] }

// random fills objects as the API server could store them.
func random(f *randfill.Filler) *randfill.Filler {
	return f.NilChance(.3).NumElements(0, 3).MaxDepth(30).Funcs(
		func(s *string, c randfill.Continue) { *s = word(c) },
		func(*metav1.TypeMeta, randfill.Continue) {}, // the webhook's to set
		func(m *metav1.ObjectMeta, c randfill.Continue) {
			*m = metav1.ObjectMeta{Name: "x", Namespace: "y", Generation: int64(c.Intn(4))}
			for _, key := range []string{rolloutsv1beta1.AnnotationRollingStyle, rolloutsv1beta1.AnnotationTrafficRouting, rolloutsv1beta1.AnnotationHash} {
				if c.Bool() {
					metav1.SetMetaDataAnnotation(m, key, word(c))
				}
			}
		},
		func(v *intstr.IntOrString, c randfill.Continue) {
			*v = intstr.FromInt32(int32(c.Intn(5)))
			if c.Bool() {
				*v = intstr.FromString(strconv.Itoa(c.Intn(5)*25) + "%")
			}
		},
		func(s *rolloutsv1beta1.TrafficRoutingStrategy, c randfill.Continue) {
			c.FillNoCustom(s)
			traffic := []string{"5%", "05%", "+5%", "50%", "100%", "0%", "7", "", "x%", "99999999999%", "-3%"}
			s.Traffic = nil
			if i := c.Intn(len(traffic) + 2); i < len(traffic) {
				s.Traffic = &traffic[i]
			}
		},
		func(s *rolloutsv1beta1.RolloutStrategy, c randfill.Continue) {
			c.FillNoCustom(s)
			if s.Canary != nil {
				s.BlueGreen = nil
			}
		},
	)
}

// wire returns what is left of an object once it has been sent.
func wire[T any](t *testing.T, in *T) *T {
	t.Helper()
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	out := new(T)
	if err := json.Unmarshal(data, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// text is an object as JSON, for comparison and for messages.
func text(t *testing.T, obj any) string {
	t.Helper()
	data, err := json.MarshalIndent(obj, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// toBeta and toAlpha convert as the webhook does: what arrives has been sent.
func toBeta(t *testing.T, in *rolloutsv1alpha1.Rollout) *rolloutsv1beta1.Rollout {
	t.Helper()
	out := &rolloutsv1beta1.Rollout{}
	if err := in.ConvertTo(out); err != nil {
		t.Fatal(err)
	}
	return wire(t, out)
}

func toAlpha(t *testing.T, in *rolloutsv1beta1.Rollout) *rolloutsv1alpha1.Rollout {
	t.Helper()
	out := &rolloutsv1alpha1.Rollout{}
	if err := out.ConvertFrom(in); err != nil {
		t.Fatal(err)
	}
	return wire(t, out)
}

func batchToBeta(t *testing.T, in *rolloutsv1alpha1.BatchRelease) *rolloutsv1beta1.BatchRelease {
	t.Helper()
	out := &rolloutsv1beta1.BatchRelease{}
	if err := in.ConvertTo(out); err != nil {
		t.Fatal(err)
	}
	return wire(t, out)
}

func batchToAlpha(t *testing.T, in *rolloutsv1beta1.BatchRelease) *rolloutsv1alpha1.BatchRelease {
	t.Helper()
	out := &rolloutsv1alpha1.BatchRelease{}
	if err := out.ConvertFrom(in); err != nil {
		t.Fatal(err)
	}
	return wire(t, out)
}

// same fails unless two objects are the same on the wire.
func same(t *testing.T, what string, got, want runtime.Object) {
	t.Helper()
	if got, want := text(t, got), text(t, want); got != want {
		t.Fatalf("%s changed the object.\ngot %s\nwant %s", what, got, want)
	}
}
