// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	conflict "k8s.io/client-go/util/retry"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
	"kruise.io/rollouts/internal/workload"
)

// Ejection takes the product out of a cluster: every workload, Service and route is as its owner wrote it afterwards, and
// nothing of it is in anybody's way. Each of its steps finds out what is left to do, so that it may be broken off anywhere
// and run again.
type Ejection struct {
	Client client.Client // that reads what is stored
	Clock  clock.Clock
	Say    func(format string, args ...any)
	// Configurations are the names of the webhook configurations.
	Mutating, Validating string
}

// ejectEvery is how often the ejection checks what is left, and tellEvery how often it says so.
const (
	ejectEvery = 500 * time.Millisecond
	tellEvery  = 20
)

// OpenAdmission removes the webhook configurations: with no one to answer, they would refuse every change of a workload.
func (e Ejection) OpenAdmission(ctx context.Context) error {
	for kind, name := range map[string]string{"MutatingWebhookConfiguration": e.Mutating, "ValidatingWebhookConfiguration": e.Validating} {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: kind})
		u.SetName(name)
		if err := e.Client.Delete(ctx, u); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting %s %s: %w", kind, name, err)
		}
	}
	e.Say("the webhook configurations are deleted: workloads can be changed without the manager")
	return nil
}

// Disable asks for every workload back, and waits until all are. The controllers have to run meanwhile.
func (e Ejection) Disable(ctx context.Context) error {
	for looks := 0; ; {
		left, err := e.disable(ctx)
		switch {
		case apierrors.IsConflict(err): // somebody else was faster: the next pass shows what is left
			left = []string{err.Error()}
		case err != nil:
			return err
		case len(left) == 0:
			e.Say("every workload is restored")
			return nil
		default:
			if looks%tellEvery == 0 {
				e.Say("waiting for %d:\n  %s", len(left), strings.Join(left, "\n  "))
			}
			looks++
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("still not restored: %s", strings.Join(left, "; "))
		case <-e.Clock.After(ejectEvery):
		}
	}
}

// disable disables what is enabled, and shows what is not restored yet, and why.
func (e Ejection) disable(ctx context.Context) (left []string, err error) {
	rollouts := &v1beta1.RolloutList{}
	if err := e.Client.List(ctx, rollouts); err != nil {
		return nil, fmt.Errorf("listing Rollouts: %w", err)
	}
	for i := range rollouts.Items {
		ro := &rollouts.Items[i]
		if !ro.Spec.Disabled && ro.DeletionTimestamp == nil {
			next := ro.DeepCopy()
			next.Spec.Disabled = true
			if err := e.Client.Patch(ctx, next, locked(ro)); client.IgnoreNotFound(err) != nil {
				return nil, fmt.Errorf("disabling Rollout %s/%s: %w", ro.Namespace, ro.Name, err)
			}
		}
		known := workload.DriverFor(ro.Spec.WorkloadRef, plan.Style(ro)) != nil
		if known && ro.Status.Phase != v1beta1.PhaseDisabled {
			left = append(left, fmt.Sprintf("Rollout %s/%s: %s %s", ro.Namespace, ro.Name, ro.Status.Phase, ro.Status.Message))
		}
	}
	releases := &v1beta1.BatchReleaseList{}
	if err := e.Client.List(ctx, releases); err != nil {
		return nil, fmt.Errorf("listing BatchReleases: %w", err)
	}
	for i := range releases.Items {
		br := &releases.Items[i]
		if br.Spec.ReleasePlan.BatchPartition != nil && len(br.OwnerReferences) == 0 { // a stand-alone one: no one else shows it
			next := br.DeepCopy()
			next.Spec.ReleasePlan.BatchPartition, next.Spec.ReleasePlan.FinalizingPolicy = nil, v1beta1.ImmediateFinalizingPolicy
			if err := e.Client.Patch(ctx, next, locked(br)); client.IgnoreNotFound(err) != nil {
				return nil, fmt.Errorf("ending BatchRelease %s/%s: %w", br.Namespace, br.Name, err)
			}
		}
		if br.Status.Phase != v1beta1.PhaseCompleted {
			left = append(left, fmt.Sprintf("BatchRelease %s/%s: %s %s", br.Namespace, br.Name, br.Status.Phase, br.Status.Message))
		}
	}
	return left, nil
}

// Forget removes the label from workloads, and the finalizers that only the controllers would remove. They must have
// stopped: they would put them back.
func (e Ejection) Forget(ctx context.Context) error {
	rollouts := &v1beta1.RolloutList{}
	if err := e.Client.List(ctx, rollouts); err != nil {
		return fmt.Errorf("listing Rollouts: %w", err)
	}
	for i := range rollouts.Items {
		if err := e.unlabel(ctx, &rollouts.Items[i]); err != nil {
			return err
		}
	}
	ours := []string{v1beta1.FinalizerRollout, v1beta1.FinalizerBatchRelease, v1beta1.FinalizerTrafficRouting}
	for _, list := range []client.ObjectList{rollouts, &v1beta1.BatchReleaseList{}, &v1alpha1.TrafficRoutingList{}} {
		if err := e.Client.List(ctx, list); err != nil {
			return fmt.Errorf("listing %T: %w", list, err)
		}
		err := meta.EachListItem(list, func(o runtime.Object) error {
			obj, _ := o.(client.Object)
			return e.change(ctx, obj, func(next client.Object) client.Object {
				next.SetFinalizers(slices.DeleteFunc(slices.Clone(next.GetFinalizers()), func(f string) bool {
					return slices.Contains(ours, f) || strings.HasPrefix(f, v1beta1.FinalizerProgressingPrefix)
				}))
				return next
			})
		})
		if err != nil {
			return fmt.Errorf("removing finalizers: %w", err)
		}
	}
	e.Say("no label and no finalizer is left: the chart and the CRDs can be removed")
	return nil
}

// unlabel takes the marks off the workload of a Rollout, where there is one.
func (e Ejection) unlabel(ctx context.Context, ro *v1beta1.Rollout) error {
	driver := workload.DriverFor(ro.Spec.WorkloadRef, plan.Style(ro))
	if driver == nil {
		return nil
	}
	w := driver.New()
	w.SetNamespace(ro.Namespace)
	w.SetName(ro.Spec.WorkloadRef.Name)
	err := e.change(ctx, w, func(w client.Object) client.Object { return workload.Unstamped(w, true) })
	if err != nil && !meta.IsNoMatchError(err) {
		return fmt.Errorf("removing the label from %s: %w", named(w), err)
	}
	return nil
}

// patience is for how long a write is repeated that somebody else is faster with: 30 s.
var patience = wait.Backoff{Steps: 18, Duration: 10 * time.Millisecond, Factor: 1.5, Jitter: 0.1}

// change reads an object anew and writes what is to change of it; it does so again where somebody else was faster: the
// workload's own controller writes all the while, and no one checks again.
func (e Ejection) change(ctx context.Context, obj client.Object, to func(client.Object) client.Object) error {
	err := conflict.RetryOnConflict(patience, func() error {
		if err := e.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
			return err
		}
		was, _ := obj.DeepCopyObject().(client.Object)
		next := to(obj)
		if equality.Semantic.DeepEqual(was, next) {
			return nil
		}
		return e.Client.Patch(ctx, next, locked(was))
	})
	return client.IgnoreNotFound(err)
}
