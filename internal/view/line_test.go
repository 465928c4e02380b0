// SPDX-License-Identifier: Apache-2.0

package view

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

func TestLine(t *testing.T) {
	sets := func(s ...*appsv1.ReplicaSet) []*appsv1.ReplicaSet { return s }
	for name, c := range map[string]struct {
		rollout    *rolloutsv1beta1.Rollout
		deployment *appsv1.Deployment
		sets       []*appsv1.ReplicaSet
		want       string
	}{
		"paused at the first step": {
			rollout(), deployment("version-2"), sets(set(1, hash1, 9, 9), set(2, hash2, 1, 1)),
			"Progressing 1/3 StepPaused | stable 9/9 updated 1/1 ready | " + confirm,
		},
		"a pod that does not get ready": {
			rollout(state(rolloutsv1beta1.StepUpgrade)), deployment("version-2"), sets(set(1, hash1, 9, 9), set(2, hash2, 1, 0)),
			"Progressing 1/3 StepUpgrade | stable 9/9 updated 0/1 ready | " + confirm,
		},
		"superseded: pods of the second version are on their way out": {
			rollout(func(ro *rolloutsv1beta1.Rollout) {
				ro.Status.CanaryStatus.CanaryRevision, ro.Status.CanaryStatus.PodTemplateHash = hash3, hash3
			}), deployment("version-3"), sets(set(1, hash1, 8, 8), set(2, hash2, 1, 1), set(3, hash3, 1, 1)),
			"Progressing 1/3 StepPaused | stable 8/8 updated 1/1 old 1/1 ready | " + confirm,
		},
		"on the way back": {
			rollout(reason(rolloutsv1beta1.ReasonCancelling), func(ro *rolloutsv1beta1.Rollout) { ro.Status.CanaryStatus.CanaryRevision = hash1 }),
			deployment("version-1"), sets(set(1, hash1, 9, 9), set(2, hash2, 1, 1)),
			"Progressing 1/3 StepPaused | stable 9/9 old 1/1 ready | " + confirm,
		},
		"done": {
			rollout(healthy(metav1.ConditionTrue)), deployment("version-2"), sets(set(1, hash1, 0, 0), set(2, hash2, 10, 10)),
			"Healthy 3/3 Completed | stable 10/10 ready | Rollout progressing has been completed",
		},
		"rolled back": {
			rollout(healthy(metav1.ConditionFalse)), deployment("version-1"), sets(set(3, hash1, 10, 10), set(2, hash2, 0, 0)),
			"Healthy 1/3 StepPaused | stable 10/10 ready | Rollout progressing has been canceled",
		},
		"a revision that an older controller computed in its own way": {
			rollout(func(ro *rolloutsv1beta1.Rollout) {
				ro.Status.CanaryStatus.CanaryRevision, ro.Status.CanaryStatus.PodTemplateHash = "66f4b7", ""
			}), func() *appsv1.Deployment { d := deployment("version-2"); return d }(), sets(set(1, hash1, 9, 9), set(2, hash2, 1, 1)),
			"Progressing 1/3 StepPaused | stable 9/9 updated 1/1 ready | " + confirm,
		},
		"no ReplicaSets known": {
			rollout(), nil, nil, "Progressing 1/3 StepPaused | " + confirm,
		},
		"nothing but a name": {&rolloutsv1beta1.Rollout{}, nil, nil, "Unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Line(c.rollout, c.deployment, c.sets); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
