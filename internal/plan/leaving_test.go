// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// TestFinishesOutOfACorner: a Deployment that was restored and then scaled to the size of its only active ReplicaSet
// would never come to its end, and neither would the release that waits for it.
func TestFinishesOutOfACorner(t *testing.T) {
	t.Parallel()
	template := func(image string) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}}}
	}
	set := func(name string, size int32) *appsv1.ReplicaSet {
		return &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"deployment.kubernetes.io/desired-replicas": "2"}},
			Spec:       appsv1.ReplicaSetSpec{Replicas: &size, Template: template(name)},
		}
	}
	o := workload.Objects{
		Workload: &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: new(int32(1)), Template: template("v2")}},
		Sets:     []*appsv1.ReplicaSet{set("v1", 1), set("v2", 0)},
		Pods:     []*corev1.Pod{},
	}
	br := &v1beta1.BatchRelease{Spec: v1beta1.BatchReleaseSpec{
		WorkloadRef: v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
		ReleasePlan: v1beta1.ReleasePlan{FinalizingPolicy: v1beta1.WaitResumeFinalizingPolicy},
	}}
	driver := workload.DriverFor(br.Spec.WorkloadRef, v1beta1.PartitionRollingStyle)
	d := Release(BatchReleaseInput{Now: noon, Release: br, Driver: driver, Objects: o, Workload: driver.State(o, noon)})
	if len(d.Changes) != 1 || d.Changes[0].To.GetName() != "v1" || d.Object.Status.Phase == v1beta1.PhaseCompleted {
		t.Errorf("%s, changes %v, want the ReplicaSet of v1 told what is desired now", d.Object.Status.Phase, d.Changes)
	}
}

// TestRollBackBehindPinnedServices: where the stable Service leaves out the pods that are taken back, it is opened only once
// they are gone, or requests would come to them again.
func TestRollBackBehindPinnedServices(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		routed bool
		pin    string
		canary bool
		want   v1beta1.FinalizingPolicyType
	}{
		"no requests are routed":      {false, "", false, v1beta1.ImmediateFinalizingPolicy},
		"the Service takes all":       {true, "", false, v1beta1.ImmediateFinalizingPolicy},
		"the Service is pinned":       {true, "v1", false, v1beta1.WaitResumeFinalizingPolicy},
		"pods beside the stable ones": {true, "v1", true, v1beta1.ImmediateFinalizingPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := inStep(1, v1beta1.StepPaused, "50%", "100%")
			s.Rollout.Spec.Strategy.Canary.EnableExtraWorkloadForCanary = c.canary
			s.Rollout.Status.Conditions[0].Reason = v1beta1.ReasonCancelling
			st := s.Rollout.Status.CanaryStatus
			s.Workload.Update, st.CanaryRevision, st.FinalisingStep = "v1", "v1", v1beta1.FinalisingResumeWorkload
			if c.routed {
				s.Routings = []Routing{{}}
				st.Traffic = &v1beta1.TrafficStatus{StableRevision: c.pin}
			}
			d := lookAt(t, s)
			if len(d.Changes) != 1 {
				t.Fatalf("%v, want the workload given back", orders(d))
			}
			if br, _ := d.Changes[0].To.(*v1beta1.BatchRelease); br.Spec.ReleasePlan.FinalizingPolicy != c.want {
				t.Errorf("policy %s, want %s", br.Spec.ReleasePlan.FinalizingPolicy, c.want)
			}
		})
	}
}
