// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
)

// TestMeasurerRunsJobs: a Job is made once, also by a manager that starts anew, and what it comes to is the measurement.
func TestMeasurerRunsJobs(t *testing.T) {
	t.Parallel()
	for name, want := range map[batchv1.JobConditionType]bool{batchv1.JobComplete: true, batchv1.JobFailed: false} {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			b, ro := newBench(t), rolloutNamed("web")
			c := fake.NewClientBuilder().WithScheme(Scheme()).WithObjects(ro.DeepCopy()).WithStatusSubresource(&batchv1.Job{}).Build()
			b.jobs = jobsOfRollout(c, c)
			ask := analysis.Ask{Key: "step/smoke@1", Due: b.clock.Now(), Provider: v1beta1.MetricProvider{Job: &v1beta1.JobMetric{
				Metadata: v1beta1.JobMetadata{Labels: map[string]string{"team": "a"}},
				Spec:     runtime.RawExtension{Raw: []byte(`{"template":{"spec":{"containers":[{"name":"smoke","image":"smoke:1"}]}}}`)},
			}}}
			b.Want(ro, []analysis.Ask{ask})
			b.quiet(t, 12*time.Second)
			b.Want(ro, nil) // another manager
			b.Want(ro, []analysis.Ask{ask})
			b.quiet(t, 12*time.Second)
			jobs := &batchv1.JobList{}
			if err := c.List(t.Context(), jobs); err != nil || len(jobs.Items) != 1 {
				t.Fatalf("there are %d Jobs: %v", len(jobs.Items), err)
			}
			job := &jobs.Items[0]
			if job.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyNever || job.Spec.TTLSecondsAfterFinished == nil || job.Labels["team"] != "a" {
				t.Errorf("the Job is %+v", job.Spec)
			}
			job.Status.Conditions = []batchv1.JobCondition{{Type: name, Status: corev1.ConditionTrue}}
			if err := c.Status().Update(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			if b.woken(t); b.Of(ro)[ask.Key].Result != want {
				t.Errorf("got %+v", b.Of(ro))
			}
		})
	}
}

// TestMeasurerOfAnothersJob: a Job of that name that is somebody else's is neither taken for ours nor touched.
func TestMeasurerOfAnothersJob(t *testing.T) {
	t.Parallel()
	b, ro := newBench(t), rolloutNamed("web")
	ask := analysis.Ask{Key: "k", Due: b.clock.Now(), Provider: v1beta1.MetricProvider{Job: &v1beta1.JobMetric{Spec: runtime.RawExtension{Raw: []byte(`{}`)}}}}
	other, err := jobOf(ro, ask)
	if err != nil {
		t.Fatal(err)
	}
	other.OwnerReferences = nil
	c := fake.NewClientBuilder().WithScheme(Scheme()).WithObjects(ro.DeepCopy(), other).Build()
	b.jobs = jobsOfRollout(c, c)
	b.Want(ro, []analysis.Ask{ask})
	b.woken(t)
	if got := b.Of(ro)["k"]; got.Err == "" {
		t.Errorf("got %+v", got)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(other), &batchv1.Job{}); err != nil {
		t.Error(err)
	}
}
