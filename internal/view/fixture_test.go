// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

const (
	hash1, hash2, hash3 = "6c7764b765", "6dd59d49b5", "75b4f9c6d8"
	confirm             = "Rollout is in step(1/3), and you need manually confirm to enter the next step"
)

// rollout is the tutorial's, paused at step 1 of 3.
func rollout(edits ...func(*rolloutsv1beta1.Rollout)) *rolloutsv1beta1.Rollout {
	size := func(s string) *intstr.IntOrString { v := intstr.Parse(s); return &v }
	ro := &rolloutsv1beta1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Name: "rollouts-demo", Namespace: "default", Generation: 2},
		Spec: rolloutsv1beta1.RolloutSpec{
			WorkloadRef: rolloutsv1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "workload-demo"},
			Strategy: rolloutsv1beta1.RolloutStrategy{Canary: &rolloutsv1beta1.CanaryStrategy{Steps: []rolloutsv1beta1.CanaryStep{
				{Replicas: size("1")}, {Replicas: size("50%")}, {Replicas: size("100%")},
			}}},
		},
		Status: rolloutsv1beta1.RolloutStatus{
			ObservedGeneration: 2, Phase: rolloutsv1beta1.PhaseProgressing, Message: confirm,
			CurrentStepIndex: 1, CurrentStepState: rolloutsv1beta1.StepPaused,
			Conditions: []rolloutsv1beta1.RolloutCondition{{
				Type: rolloutsv1beta1.ConditionProgressing, Status: metav1.ConditionTrue, Reason: rolloutsv1beta1.ReasonInRolling,
			}},
			CanaryStatus: &rolloutsv1beta1.CanaryStatus{
				CommonStatus: rolloutsv1beta1.CommonStatus{
					StableRevision: hash1, PodTemplateHash: hash2, CurrentStepIndex: 1, NextStepIndex: 2,
					CurrentStepState: rolloutsv1beta1.StepPaused, LastUpdateTime: &metav1.Time{Time: noon},
					Message: "BatchRelease is at state Ready, rollout-id , step 1",
				},
				CanaryRevision: hash2, CanaryReplicas: 1, CanaryReadyReplicas: 1,
			},
		},
	}
	for _, edit := range edits {
		edit(ro)
	}
	return ro
}

func state(s rolloutsv1beta1.CanaryStepState) func(*rolloutsv1beta1.Rollout) {
	return func(ro *rolloutsv1beta1.Rollout) {
		ro.Status.CurrentStepState, ro.Status.CanaryStatus.CurrentStepState = s, s
	}
}

func reason(r string) func(*rolloutsv1beta1.Rollout) {
	return func(ro *rolloutsv1beta1.Rollout) { ro.Status.Conditions[0].Reason = r }
}

// healthy ends the release, well or not.
func healthy(succeeded metav1.ConditionStatus) func(*rolloutsv1beta1.Rollout) {
	return func(ro *rolloutsv1beta1.Rollout) {
		ro.Status.Phase, ro.Status.Message = rolloutsv1beta1.PhaseHealthy, "Rollout progressing has been completed"
		ro.Status.Conditions = []rolloutsv1beta1.RolloutCondition{
			{Type: rolloutsv1beta1.ConditionProgressing, Status: metav1.ConditionFalse, Reason: rolloutsv1beta1.ReasonCompleted},
			{Type: rolloutsv1beta1.ConditionSucceeded, Status: succeeded},
		}
		if succeeded == metav1.ConditionTrue {
			ro.Status.CanaryStatus.CurrentStepIndex = 3
			state(rolloutsv1beta1.StepCompleted)(ro)
			return
		}
		ro.Status.Message = "Rollout progressing has been canceled"
		ro.Status.CanaryStatus.CanaryRevision = hash1
	}
}

func template(version string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "busybox", Image: "busybox:1.28.3", Env: []corev1.EnvVar{{Name: "VERSION", Value: version}},
	}}}}
}

func deployment(version string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "workload-demo", Namespace: "default", Annotations: map[string]string{
			rolloutsv1beta1.AnnotationOriginalStrategy: "{}",
		}},
		Spec:   appsv1.DeploymentSpec{Replicas: ptr.To[int32](10), Template: template(version)},
		Status: appsv1.DeploymentStatus{Replicas: 10, UpdatedReplicas: 1, ReadyReplicas: 10, AvailableReplicas: 9},
	}
}

func set(number int, hash string, wanted, ready int32) *appsv1.ReplicaSet {
	t := template(fmt.Sprintf("version-%d", number))
	t.Labels = map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: hash}
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: "workload-demo-" + hash, UID: types.UID(hash), Labels: map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: hash},
			Annotations: map[string]string{revisionAnnotation: fmt.Sprint(number)},
		},
		Spec:   appsv1.ReplicaSetSpec{Replicas: &wanted, Template: t},
		Status: appsv1.ReplicaSetStatus{Replicas: wanted, ReadyReplicas: ready},
	}
}

// podsOf makes n pods of a ReplicaSet, all of them ready.
func podsOf(s *appsv1.ReplicaSet, n int, batch string) []*corev1.Pod {
	result := []*corev1.Pod{}
	for i := range n {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprintf("%s-%05d", s.Name, i), CreationTimestamp: metav1.NewTime(noon.Add(-25 * time.Minute)),
				Labels:          map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: Hash(s)},
				OwnerReferences: []metav1.OwnerReference{{UID: s.UID, Controller: new(true)}},
			},
			Spec: s.Spec.Template.Spec,
			Status: corev1.PodStatus{
				Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
				ContainerStatuses: []corev1.ContainerStatus{{Ready: true}},
			},
		}
		if batch != "" {
			p.Labels[rolloutsv1beta1.LabelBatchID] = batch
		}
		result = append(result, p)
	}
	return result
}
