// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
)

// TestEjectWhileOthersWrite: whatever the ejection takes its marks off is written by somebody else between its read and its
// write, as a workload's own controller does that rolls what was just given back; it tries again and loses nothing.
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
