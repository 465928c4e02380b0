// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// besideIt is a view of a BatchRelease that has pods of v2 next to a Deployment.
func besideIt(edit ...func(s *BatchReleaseInput)) BatchReleaseInput {
	before := metav1.NewTime(noon.Add(-60e9))
	br := &v1beta1.BatchRelease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", UID: "br", Finalizers: []string{v1beta1.FinalizerBatchRelease}, CreationTimestamp: before},
		Spec: v1beta1.BatchReleaseSpec{
			WorkloadRef: v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			ReleasePlan: v1beta1.ReleasePlan{RollingStyle: v1beta1.CanaryRollingStyle, BatchPartition: new(int32(0))},
		},
	}
	template := func(image string) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}}}
	}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "d"},
		Spec:       appsv1.DeploymentSpec{Replicas: new(int32(5)), Template: template("v2")},
		Status:     appsv1.DeploymentStatus{Replicas: 5, UpdatedReplicas: 5, AvailableReplicas: 5},
	}
	canary := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "web-xxxxx", UID: "canary", Finalizers: []string{v1beta1.FinalizerCanaryDeployment},
			Labels:          map[string]string{v1beta1.LabelCanaryDeployment: "web"},
			OwnerReferences: []metav1.OwnerReference{ownerOf(br)},
		},
		Spec: appsv1.DeploymentSpec{Replicas: new(int32(1)), Template: template("v2")},
	}
	set := func(owner *appsv1.Deployment, replicas int32) *appsv1.ReplicaSet {
		return &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{
				Name: owner.Name + "-v2", UID: owner.UID + "-set", Labels: map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: "v2"},
				OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
			},
			Spec: appsv1.ReplicaSetSpec{Replicas: &replicas, Template: template("v2")},
		}
	}
	s := BatchReleaseInput{
		Now: noon, Release: br, Driver: workload.DriverFor(br.Spec.WorkloadRef, v1beta1.CanaryRollingStyle),
		Objects: workload.Objects{Workload: d, Canaries: []*appsv1.Deployment{canary}, Sets: []*appsv1.ReplicaSet{set(d, 5), set(canary, 1)}, Pods: []*corev1.Pod{}},
	}
	for _, e := range edit {
		e(&s)
	}
	if s.Objects.Workload != nil {
		s.Workload = s.Driver.State(s.Objects, noon)
	}
	return s
}

func going(m *metav1.ObjectMeta) { m.DeletionTimestamp = &metav1.Time{Time: noon} }

// changesBeside says what a decision does to objects.
func changesBeside(d Decision[*v1beta1.BatchRelease]) []string {
	said := []string{}
	for _, c := range d.Changes {
		switch {
		case c.From == nil:
			said = append(said, "make "+c.To.GetName())
		case c.To == nil:
			said = append(said, "delete "+c.From.GetName())
		default:
			said = append(said, fmt.Sprintf("change %s %v", c.To.GetName(), c.To.GetFinalizers()))
		}
	}
	return said
}

// TestLeavingClears checks that a BatchRelease stays until no request gets to what it has put next to its workload.
func TestLeavingClears(t *testing.T) {
	t.Parallel()
	deleted := func(s *BatchReleaseInput) { going(&s.Release.ObjectMeta) }
	ordered := func(s *BatchReleaseInput) { s.Release.Spec.ReleasePlan.BatchPartition = nil }
	canaryDeleted := func(s *BatchReleaseInput) {
		going(&s.Objects.Canaries[0].ObjectMeta)
		s.Objects.Canaries[0].Finalizers = nil
	}
	setDeleted := func(s *BatchReleaseInput) { going(&s.Objects.Sets[1].ObjectMeta) }
	gone := func(s *BatchReleaseInput) { s.Objects.Canaries, s.Objects.Sets = nil, s.Objects.Sets[:1] }
	pod := func(s *BatchReleaseInput) {
		s.Objects.Pods = append(s.Objects.Pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{UID: "canary-set", Controller: new(true)}}}})
	}
	noWorkload := func(s *BatchReleaseInput) {
		s.Objects.Workload, s.Objects.Sets = nil, s.Objects.Sets[1:]
		s.Release.Status.Phase = v1beta1.PhaseProgressing
	}
	someoneElses := func(s *BatchReleaseInput) { s.Objects.Canaries[0].OwnerReferences[0].UID = types.UID("other") }
	letGo := []string{"change web-xxxxx []", "delete web-xxxxx"}
	for name, c := range map[string]struct {
		edit  []func(*BatchReleaseInput)
		want  []string
		gone  bool
		phase v1beta1.RolloutPhase
	}{
		"given back, and not deleted":       {edit: []func(*BatchReleaseInput){ordered}, phase: v1beta1.PhaseCompleted},
		"deleted":                           {edit: []func(*BatchReleaseInput){deleted, ordered}, want: letGo},
		"deleted, its pods still serve":     {edit: []func(*BatchReleaseInput){deleted, ordered, canaryDeleted, setDeleted, pod}},
		"deleted, pods could still be made": {edit: []func(*BatchReleaseInput){deleted, ordered, canaryDeleted}},
		"deleted, its pods are going":       {edit: []func(*BatchReleaseInput){deleted, ordered, canaryDeleted, setDeleted}, gone: true},
		"deleted, nothing is left":          {edit: []func(*BatchReleaseInput){deleted, ordered, gone}, gone: true},
		"deleted, beside it someone else's": {edit: []func(*BatchReleaseInput){deleted, ordered, someoneElses}, gone: true},
		"the workload is gone":              {edit: []func(*BatchReleaseInput){noWorkload}, want: letGo, phase: v1beta1.PhaseCompleted},
		"the workload is gone and it, too":  {edit: []func(*BatchReleaseInput){noWorkload, deleted}, want: letGo},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := besideIt(c.edit...)
			before := s.Release.DeepCopy()
			d := Release(s)
			if got := changesBeside(d); !slices.Equal(got, c.want) {
				t.Errorf("does %q, want %q", got, c.want)
			}
			if gone := len(d.Object.Finalizers) == 0; gone != c.gone {
				t.Errorf("lets itself go: %v, want %v", gone, c.gone)
			}
			if waits := before.DeletionTimestamp != nil && !c.gone; waits && !equality.Semantic.DeepEqual(d.Object.Status, before.Status) {
				t.Errorf("writes a status while it waits: %+v", d.Object.Status)
			}
			if c.phase != "" && d.Object.Status.Phase != c.phase {
				t.Errorf("phase %s, want %s", d.Object.Status.Phase, c.phase)
			}
		})
	}
}

// TestStampGoesFirst: what stands next to the workload may have the only pods of the revision that is released. It must
// not look like another release when they go.
func TestStampGoesFirst(t *testing.T) {
	t.Parallel()
	s := inStep(1, v1beta1.StepCompleted, "100%")
	s.Rollout.Status.Conditions[0].Reason = v1beta1.ReasonFinalising
	s.Rollout.Status.CanaryStatus.FinalisingStep = v1beta1.FinalisingReleaseWorkload
	s.Workload.Engaged, s.Workload.Complete = false, true
	d := lookAt(t, s)
	if got := orders(d); !slices.Equal(got, []string{"workload", "delete"}) {
		t.Errorf("does %q, want the workload first", got)
	}

	s.Release, s.Workload.Changing, s.Workload.Update = nil, false, "v2-alone"
	s.Objects.Workload.SetAnnotations(nil)
	d = lookAt(t, s)
	if c := d.Object.Status.CanaryStatus; d.Object.Status.Phase != v1beta1.PhaseHealthy || c.CanaryRevision != "v2-alone" || c.PodTemplateHash != "v2-alone" || c.StableRevision != "v1" {
		t.Errorf("%s %+v, want the workload's own revision recorded", d.Object.Status.Phase, c)
	}
}
