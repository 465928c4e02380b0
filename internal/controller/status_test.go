// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
)

// TestStatusPatch checks what is written of a status: all that is known, nothing that is not, and no list that stays as it is.
func TestStatusPatch(t *testing.T) {
	t.Parallel()
	condition := []v1beta1.RolloutCondition{{Type: v1beta1.ConditionProgressing, Status: "True"}}
	meta := metav1.ObjectMeta{ResourceVersion: "7", UID: "u"}
	release := func(status v1beta1.BatchReleaseStatus) *v1beta1.BatchRelease {
		return &v1beta1.BatchRelease{ObjectMeta: meta, Status: status}
	}
	const head = `{"metadata":{"resourceVersion":"7","uid":"u"},"status":`
	for name, c := range map[string]struct {
		seen, next v1beta1.BatchReleaseStatus
		want       string
	}{
		"zeros that are required are written though they do not differ": {
			v1beta1.BatchReleaseStatus{},
			v1beta1.BatchReleaseStatus{Phase: "Progressing"},
			`{"canaryStatus":{"currentBatch":0},"phase":"Progressing"}}`,
		},
		"what is known and gone is removed": {
			v1beta1.BatchReleaseStatus{Phase: "Progressing", Message: "m"},
			v1beta1.BatchReleaseStatus{Phase: "Progressing"},
			`{"canaryStatus":{"currentBatch":0},"message":null,"phase":"Progressing"}}`,
		},
		"a list that stays is left out": {
			v1beta1.BatchReleaseStatus{Conditions: condition},
			v1beta1.BatchReleaseStatus{Conditions: condition, Phase: "Completed"},
			`{"canaryStatus":{"currentBatch":0},"phase":"Completed"}}`,
		},
		"a list that changes is written": {
			v1beta1.BatchReleaseStatus{},
			v1beta1.BatchReleaseStatus{Conditions: condition},
			`{"canaryStatus":{"currentBatch":0},"conditions":[{"lastTransitionTime":null,"lastUpdateTime":null,"message":"","reason":"","status":"True","type":"Progressing"}]}}`,
		},
	} {
		data, err := (&statusPatch{seen: release(c.seen)}).Data(release(c.next))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(data); got != head+c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, head+c.want)
		}
	}
}
