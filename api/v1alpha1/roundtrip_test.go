// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/randfill"

	rolloutsv1alpha1 "kruise.io/rollouts/api/v1alpha1"
	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

const dataKey = rolloutsv1beta1.AnnotationConversionData

// moveData puts the conversion data of one object onto another, as if that were an edited copy of it.
func moveData(from, to metav1.Object) {
	annotations := to.GetAnnotations()
	if data, ok := from.GetAnnotations()[dataKey]; ok {
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[dataKey] = data
	}
	to.SetAnnotations(annotations)
}

// dropData removes the conversion data.
func dropData(from metav1.Object) {
	annotations := from.GetAnnotations()
	delete(annotations, dataKey)
	if len(annotations) == 0 {
		annotations = nil
	}
	from.SetAnnotations(annotations)
}

// checkRoundTrips converts random objects there and back.
func checkRoundTrips(t *testing.T, f *randfill.Filler) {
	t.Helper()
	alpha, beta := &rolloutsv1alpha1.Rollout{}, &rolloutsv1beta1.Rollout{}
	f.Fill(alpha)
	f.Fill(beta)
	alpha, beta = wire(t, alpha), wire(t, beta)
	same(t, "v1alpha1 -> v1beta1 -> v1alpha1", toAlpha(t, toBeta(t, alpha)), alpha)
	same(t, "v1beta1 -> v1alpha1 -> v1beta1", toBeta(t, toAlpha(t, beta)), beta)

	// Whatever data an object carries, what its client sees in it is what counts.
	edited := alpha.DeepCopy()
	moveData(toAlpha(t, beta), edited)
	back := toAlpha(t, toBeta(t, edited))
	dropData(back)
	same(t, "v1alpha1 with foreign data -> v1beta1 -> v1alpha1", back, alpha)

	editedBeta := beta.DeepCopy()
	moveData(toBeta(t, alpha), editedBeta)
	backBeta := toBeta(t, toAlpha(t, editedBeta))
	dropData(backBeta)
	same(t, "v1beta1 with foreign data -> v1alpha1 -> v1beta1", backBeta, beta)
}

// checkBatchRoundTrips converts random BatchReleases there and back.
func checkBatchRoundTrips(t *testing.T, f *randfill.Filler) {
	t.Helper()
	alpha, beta := &rolloutsv1alpha1.BatchRelease{}, &rolloutsv1beta1.BatchRelease{}
	f.Fill(alpha)
	f.Fill(beta)
	alpha, beta = wire(t, alpha), wire(t, beta)
	same(t, "v1alpha1 -> v1beta1 -> v1alpha1", batchToAlpha(t, batchToBeta(t, alpha)), alpha)
	same(t, "v1beta1 -> v1alpha1 -> v1beta1", batchToBeta(t, batchToAlpha(t, beta)), beta)

	edited := alpha.DeepCopy()
	moveData(batchToAlpha(t, beta), edited)
	back := batchToAlpha(t, batchToBeta(t, edited))
	dropData(back)
	same(t, "v1alpha1 with foreign data -> v1beta1 -> v1alpha1", back, alpha)

	editedBeta := beta.DeepCopy()
	moveData(batchToBeta(t, alpha), editedBeta)
	backBeta := batchToBeta(t, batchToAlpha(t, editedBeta))
	dropData(backBeta)
	same(t, "v1beta1 with foreign data -> v1alpha1 -> v1beta1", backBeta, beta)
}

func TestConversionLosesNothing(t *testing.T) {
	t.Parallel()
	for seed := range int64(2500) {
		f := random(randfill.NewWithSeed(seed))
		checkRoundTrips(t, f)
		checkBatchRoundTrips(t, f)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzConversionLosesNothing(f *testing.F) {
	f.Add([]byte("0"))
	f.Add([]byte("weight-only steps, a path match, a blue-green Rollout"))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkRoundTrips(t, random(randfill.NewFromGoFuzz(data)))
		checkBatchRoundTrips(t, random(randfill.NewFromGoFuzz(data)))
	})
}

// FuzzConversionNeverPanics feeds whatever decodes as one of the kinds.
func FuzzConversionNeverPanics(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"spec":{"objectRef":{"workloadRef":null},"strategy":{"canary":null}}}`,
		`{"spec":{"strategy":{"canary":{"steps":[{"weight":20},{"replicas":"50%","matches":[{}]}]}}},"status":{"canaryStatus":{}}}`,
		`{"spec":{"strategy":{"canary":{"steps":[{"traffic":"x"}]},"blueGreen":{}}}}`,
		`{"metadata":{"annotations":{"rollouts.kruise.io/conversion-data":"{\"v1beta1\":{\"steps\":{\"count\":-1,\"steps\":[{\"index\":-9,\"matches\":[{}]}]}},\"v1alpha1\":null}"}},"spec":{"strategy":{"canary":{"steps":[{"matches":[{},{}]}]}}}}`,
		`{"metadata":{"annotations":{"rollouts.kruise.io/conversion-data":"{"}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if alpha := (&rolloutsv1alpha1.Rollout{}); json.Unmarshal(data, alpha) == nil {
			toAlpha(t, toBeta(t, alpha))
		}
		if beta := (&rolloutsv1beta1.Rollout{}); json.Unmarshal(data, beta) == nil {
			toBeta(t, toAlpha(t, beta))
		}
		if alpha := (&rolloutsv1alpha1.BatchRelease{}); json.Unmarshal(data, alpha) == nil {
			batchToAlpha(t, batchToBeta(t, alpha))
		}
		if beta := (&rolloutsv1beta1.BatchRelease{}); json.Unmarshal(data, beta) == nil {
			batchToBeta(t, batchToAlpha(t, beta))
		}
	})
}
