// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
)

// TestEjectWhileOthersWrite: whatever the ejection takes its marks off is written by somebody else between its read and its
// write, as a workload's own controller does that rolls what was just restored; it tries again and loses nothing.
func TestEjectWhileOthersWrite(t *testing.T) {
	t.Parallel()
	meta := metav1.ObjectMeta{Namespace: "default", Name: "web"}
	d := &appsv1.Deployment{ObjectMeta: *meta.DeepCopy()}
	d.Labels = map[string]string{v1beta1.LabelWorkloadType: "deployment", "team": "shop"}
	d.Annotations = map[string]string{v1beta1.AnnotationInProgressing: "{}"}
	ro := &v1beta1.Rollout{ObjectMeta: *meta.DeepCopy()}
	ro.Finalizers = []string{v1beta1.FinalizerRollout, "example.com/theirs"}
	ro.Spec.WorkloadRef = v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
	ro.Spec.Strategy.Canary = &v1beta1.CanaryStrategy{Steps: []v1beta1.CanaryStep{{}}}
	ro.Status.Phase = v1beta1.PhaseDisabled
	writes := map[string]int{}
	c := fake.NewClientBuilder().WithScheme(controller.Scheme()).WithObjects(d, ro).WithStatusSubresource(d, ro).WithInterceptorFuncs(interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
			kind := fmt.Sprintf("%T", o)
			if writes[kind]++; writes[kind] <= 8 {
				other, _ := o.DeepCopyObject().(client.Object)
				if err := c.Get(ctx, client.ObjectKeyFromObject(o), other); err != nil {
					return err
				}
				annotations := other.GetAnnotations()
				if annotations == nil {
					annotations = map[string]string{}
				}
				annotations["example.com/seen"] = fmt.Sprint(writes[kind])
				other.SetAnnotations(annotations)
				if err := c.Update(ctx, other); err != nil {
					return err
				}
			}
			return c.Patch(ctx, o, patch, opts...)
		},
	}).Build()
	e := controller.Ejection{Client: c, Clock: clock.RealClock{}, Say: t.Logf}
	if err := e.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, o := range []client.Object{d, ro} {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Fatal(err)
		}
		if seen := o.GetAnnotations()["example.com/seen"]; seen != "8" {
			t.Errorf("%T: of the other writer's annotations %q is left", o, seen)
		}
	}
	if len(d.Labels) != 1 || d.Annotations[v1beta1.AnnotationInProgressing] != "" {
		t.Errorf("the workload keeps %v and %v", d.Labels, d.Annotations)
	}
	if len(ro.Finalizers) != 1 {
		t.Errorf("the Rollout keeps %v", ro.Finalizers)
	}
}

// eager is a clock on which no time passes between one pass and the next, but for what happens meanwhile.
type eager struct {
	clock.RealClock
	meanwhile func()
}

func (c eager) After(time.Duration) <-chan time.Time {
	c.meanwhile()
	now := make(chan time.Time, 1)
	now <- c.Now()
	return now
}

// TestDisableSaysWhatItKnows: a pass that somebody else was faster than has nothing to show; the next one has.
func TestDisableSaysWhatItKnows(t *testing.T) {
	t.Parallel()
	ro := &v1beta1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}
	ro.Spec.WorkloadRef = v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
	ro.Spec.Strategy.Canary = &v1beta1.CanaryStrategy{Steps: []v1beta1.CanaryStep{{}}}
	ro.Status.Phase, ro.Status.Message = v1beta1.PhaseProgressing, "in step 1"
	conflicts := 2
	c := fake.NewClientBuilder().WithScheme(controller.Scheme()).WithObjects(ro).WithStatusSubresource(ro).WithInterceptorFuncs(interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
			if conflicts--; conflicts >= 0 {
				return apierrors.NewConflict(schema.GroupResource{Resource: "rollouts"}, o.GetName(), nil)
			}
			return c.Patch(ctx, o, patch, opts...)
		},
	}).Build()
	said := []string{}
	e := controller.Ejection{
		Client: c, Say: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) },
		Clock: eager{meanwhile: func() {
			stored := &v1beta1.Rollout{}
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(ro), stored); err != nil {
				t.Error(err)
			}
			if !stored.Spec.Disabled {
				return
			}
			stored.Status.Phase = v1beta1.PhaseDisabled
			if err := c.Status().Update(t.Context(), stored); err != nil {
				t.Error(err)
			}
		}},
	}
	if err := e.Disable(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"waiting for 1:\n  Rollout default/web: Progressing in step 1", "every workload is restored"}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}
