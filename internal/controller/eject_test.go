// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

	"kruise.io/rollouts/api/v1alpha1"
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

// TestDisableCutOff: where the time is over before anything was seen, nothing is known to be restored.
func TestDisableCutOff(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := controller.Ejection{Client: fake.NewClientBuilder().WithScheme(controller.Scheme()).Build(), Clock: clock.RealClock{}, Say: t.Logf}
	if err := e.Disable(ctx); err == nil {
		t.Error("it ends as if every workload were restored")
	}
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

// TestEjectIsHeldUpByNobody: what refuses to be asked for its workload, or does not give it back, is named at the end and left as it is; all
// others are given back, and nothing of ours is left on them.
func TestEjectIsHeldUpByNobody(t *testing.T) {
	t.Parallel()
	ref := v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
	in := func(namespace, name, finalizer string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name, Finalizers: []string{finalizer}}
	}
	tenant := func(namespace string) []client.Object {
		ro := &v1beta1.Rollout{ObjectMeta: in(namespace, "web", v1beta1.FinalizerRollout)}
		ro.Spec.WorkloadRef, ro.Spec.Strategy.Canary = ref, &v1beta1.CanaryStrategy{Steps: []v1beta1.CanaryStep{{}}}
		ro.Status.Phase = v1beta1.PhaseProgressing
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web", Labels: map[string]string{v1beta1.LabelWorkloadType: "deployment"}}}
		tr := &v1alpha1.TrafficRouting{ObjectMeta: in(namespace, "entrance", v1beta1.FinalizerProgressingPrefix+"web")}
		return []client.Object{ro, d, tr}
	}
	alone := &v1beta1.BatchRelease{ObjectMeta: in("stuck", "alone", v1beta1.FinalizerBatchRelease)}
	alone.Spec.WorkloadRef, alone.Spec.ReleasePlan.BatchPartition = ref, new(int32(0))
	for name, c := range map[string]struct {
		more    []client.Object
		refuses func(o client.Object) bool
		lags    func(o client.Object) bool // and is never given back
		says    []string
	}{
		"all can be asked": {},
		"a policy refuses a Rollout": {
			refuses: func(o client.Object) bool {
				_, rollout := o.(*v1beta1.Rollout)
				return rollout && o.GetNamespace() == "stuck"
			},
			says: []string{"disabling Rollout stuck/web: ", "denied by policy freeze"},
		},
		"a namespace is frozen":    {refuses: func(o client.Object) bool { return o.GetNamespace() == "stuck" }, says: []string{"disabling Rollout stuck/web: "}},
		"a Rollout does not end":   {lags: func(o client.Object) bool { return o.GetNamespace() == "stuck" }, says: []string{"still not restored: Rollout stuck/web: Progressing"}},
		"a BatchRelease of nobody": {more: []client.Object{alone}, refuses: func(o client.Object) bool { return o.GetName() == "alone" }, says: []string{"ending BatchRelease stuck/alone: "}},
		"both":                     {more: []client.Object{alone}, refuses: func(o client.Object) bool { return o.GetName() == "alone" }, lags: func(o client.Object) bool { return o.GetName() == "web" && o.GetNamespace() == "stuck" }, says: []string{"ending BatchRelease stuck/alone: ", "still not restored: Rollout stuck/web"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := []client.Object{}
			for _, o := range slices.Concat(tenant("stuck"), tenant("then"), tenant("zuletzt"), c.more) {
				o, _ = o.DeepCopyObject().(client.Object)
				all = append(all, o)
			}
			store := fake.NewClientBuilder().WithScheme(controller.Scheme()).WithObjects(all...).WithStatusSubresource(&v1beta1.Rollout{}, alone).WithInterceptorFuncs(interceptor.Funcs{
				Patch: func(ctx context.Context, into client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
					if c.refuses != nil && c.refuses(o) {
						return apierrors.NewForbidden(schema.GroupResource{Resource: "x"}, o.GetName(), errors.New("denied by policy freeze"))
					}
					return into.Patch(ctx, o, patch, opts...)
				},
			}).Build()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			looks, said := 0, []string{}
			e := controller.Ejection{
				Client: store, Say: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) },
				Clock: eager{meanwhile: func() { // the controllers
					if looks++; looks > 10 {
						cancel()
					}
					for _, o := range all {
						ro := &v1beta1.Rollout{}
						if err := store.Get(t.Context(), client.ObjectKeyFromObject(o), ro); err == nil && ro.Spec.Disabled && (c.lags == nil || !c.lags(ro)) {
							ro.Status.Phase = v1beta1.PhaseDisabled
							if err := store.Status().Update(t.Context(), ro); err != nil {
								t.Error(err)
							}
						}
					}
				}},
			}
			err := e.Disable(ctx)
			if (err != nil) != (len(c.says) > 0) {
				t.Fatalf("it ends with %v", err)
			}
			for _, text := range c.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%q is not said: %v", text, err)
				}
			}
			if c.lags == nil && looks > 5 {
				t.Errorf("it waits for what was refused: %d looks", looks)
			}
			if err := e.Forget(t.Context()); err != nil {
				t.Errorf("forgetting the others: %v", err)
			}
			for _, o := range all {
				if err := store.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
					t.Fatal(err)
				}
				marks := len(o.GetFinalizers()) + len(o.GetLabels())
				if kept := len(c.says) > 0 && o.GetNamespace() == "stuck"; (marks > 0) != kept {
					t.Errorf("%T %s/%s has %v and %v, want it to be left: %t", o, o.GetNamespace(), o.GetName(), o.GetFinalizers(), o.GetLabels(), kept)
				}
				if ro, ok := o.(*v1beta1.Rollout); ok && o.GetNamespace() != "stuck" && !ro.Spec.Disabled {
					t.Errorf("Rollout %s/%s is not even asked", o.GetNamespace(), o.GetName())
				}
			}
			if free := slices.Contains(said, "no label and no finalizer is left: the chart and the CRDs can be removed"); free != (len(c.says) == 0) {
				t.Errorf("said %q", said)
			}
		})
	}
}

// TestForgetGoesOn: what cannot be taken off one object is taken off the others.
func TestForgetGoesOn(t *testing.T) {
	t.Parallel()
	all := []client.Object{}
	for _, namespace := range []string{"a-frozen", "b"} {
		ro := &v1beta1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web", Finalizers: []string{v1beta1.FinalizerRollout}}}
		ro.Spec.WorkloadRef = v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
		ro.Spec.Strategy.Canary = &v1beta1.CanaryStrategy{Steps: []v1beta1.CanaryStep{{}}}
		ro.Status.Phase = v1beta1.PhaseDisabled
		all = append(all, ro)
	}
	c := fake.NewClientBuilder().WithScheme(controller.Scheme()).WithObjects(all...).WithInterceptorFuncs(interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
			if o.GetNamespace() == "a-frozen" {
				return apierrors.NewForbidden(schema.GroupResource{Resource: "rollouts"}, o.GetName(), errors.New("denied by policy freeze"))
			}
			return c.Patch(ctx, o, patch, opts...)
		},
	}).Build()
	e := controller.Ejection{Client: c, Clock: clock.RealClock{}, Say: t.Logf}
	if err := e.Forget(t.Context()); err == nil || !strings.Contains(err.Error(), "Rollout web of namespace a-frozen") {
		t.Errorf("it ends with %v", err)
	}
	ro := &v1beta1.Rollout{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "b", Name: "web"}, ro); err != nil || len(ro.Finalizers) > 0 {
		t.Errorf("the other keeps %v (%v)", ro.Finalizers, err)
	}
}
