// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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

// Disable asks for every workload back, and waits until all are. The controllers have to run meanwhile. One that refuses keeps
// no other from being asked: it is named at the end, as is what has not come back by then.
func (e Ejection) Disable(ctx context.Context) error {
	var now asked
	for looks := 0; ; {
		pass, err := e.disable(ctx)
		if ctx.Err() != nil { // this pass was cut off: the one before shows more, if there was one
			if err := now.err(); err != nil {
				return err
			}
			return fmt.Errorf("it is not known which workloads are restored: %w", context.Cause(ctx))
		}
		if err != nil {
			return err
		}
		switch now = pass; {
		case len(now.left)+len(now.refusals) == 0:
			e.Say("every workload is restored")
			return nil
		case len(now.left) == 0:
			return now.err()
		case now.late: // somebody else was faster: the next pass shows what is left
		default:
			if looks%tellEvery == 0 {
				e.Say("waiting for %d:\n  %s", len(now.left), strings.Join(now.left, "\n  "))
			}
			looks++
		}
		select {
		case <-ctx.Done():
			return now.err()
		case <-e.Clock.After(ejectEvery):
		}
	}
}

// asked is what came of asking for every workload back.
type asked struct {
	left     []string // what is not given back yet, and why
	refusals []error  // of what cannot be asked
	late     bool     // somebody else was faster with some of it
}

// err says what is not given back.
func (a asked) err() error {
	errs := slices.Clone(a.refusals)
	if len(a.left) > 0 {
		errs = append(errs, fmt.Errorf("still not restored: %s", strings.Join(a.left, "; ")))
	}
	return errors.Join(errs...)
}

// note takes down how asking for something back ended; until it is done, it is left, with what that says.
func (a *asked) note(err error, what string, done bool, left string) {
	switch {
	case client.IgnoreNotFound(err) == nil:
	case apierrors.IsConflict(err):
		a.late, done = true, false
	default:
		a.refusals = append(a.refusals, fmt.Errorf("%s: %w", what, err))
		return
	}
	if !done {
		a.left = append(a.left, left)
	}
}

// disable disables what is enabled, and tells what is not given back yet, and why.
func (e Ejection) disable(ctx context.Context) (a asked, err error) {
	rollouts := &v1beta1.RolloutList{}
	if err := e.Client.List(ctx, rollouts); err != nil {
		return a, fmt.Errorf("listing Rollouts: %w", err)
	}
	for i := range rollouts.Items {
		ro := &rollouts.Items[i]
		var refused error
		if !ro.Spec.Disabled && ro.DeletionTimestamp == nil {
			next := ro.DeepCopy()
			next.Spec.Disabled = true
			refused = e.Client.Patch(ctx, next, locked(ro))
		}
		name := ro.Namespace + "/" + ro.Name
		a.note(refused, "disabling Rollout "+name, givenBack(ro), fmt.Sprintf("Rollout %s: %s %s", name, ro.Status.Phase, ro.Status.Message))
	}
	releases := &v1beta1.BatchReleaseList{}
	if err := e.Client.List(ctx, releases); err != nil {
		return a, fmt.Errorf("listing BatchReleases: %w", err)
	}
	for i := range releases.Items {
		br := &releases.Items[i]
		var refused error
		if br.Spec.ReleasePlan.BatchPartition != nil && len(br.OwnerReferences) == 0 { // a stand-alone one: no one else does
			next := br.DeepCopy()
			next.Spec.ReleasePlan.BatchPartition, next.Spec.ReleasePlan.FinalizingPolicy = nil, v1beta1.ImmediateFinalizingPolicy
			refused = e.Client.Patch(ctx, next, locked(br))
		}
		name := br.Namespace + "/" + br.Name
		a.note(refused, "ending BatchRelease "+name, br.Status.Phase == v1beta1.PhaseCompleted, fmt.Sprintf("BatchRelease %s: %s %s", name, br.Status.Phase, br.Status.Message))
	}
	return a, nil
}

// givenBack reports whether nothing is left of a Rollout on its workload but labels. Of a kind without a driver nothing ever was.
func givenBack(ro *v1beta1.Rollout) bool {
	return workload.DriverFor(ro.Spec.WorkloadRef, plan.Style(ro)) == nil || ro.Status.Phase == v1beta1.PhaseDisabled
}

// Forget removes the label from workloads, and the finalizers that only the controllers would remove. They must have
// stopped: they would put them back. What belongs to a workload that is not given back is left as it is, for another attempt, and so is
// a TrafficRouting that its Rollout holds.
func (e Ejection) Forget(ctx context.Context) error {
	rollouts, releases := &v1beta1.RolloutList{}, &v1beta1.BatchReleaseList{}
	if err := errors.Join(e.Client.List(ctx, rollouts), e.Client.List(ctx, releases)); err != nil {
		return fmt.Errorf("listing Rollouts and BatchReleases: %w", err)
	}
	kept := heldBack(rollouts.Items, releases.Items)
	var errs []error
	for i := range rollouts.Items {
		if ro := &rollouts.Items[i]; !kept[workloadKey(ro, ro.Spec.WorkloadRef)] {
			errs = append(errs, e.unlabel(ctx, ro), e.letGo(ctx, ro, ourFinalizer))
		}
	}
	for i := range releases.Items {
		if br := &releases.Items[i]; !kept[workloadKey(br, br.Spec.WorkloadRef)] {
			errs = append(errs, e.letGo(ctx, br, ourFinalizer))
		}
	}
	shared := &v1alpha1.TrafficRoutingList{}
	if err := e.Client.List(ctx, shared); err != nil {
		errs = append(errs, fmt.Errorf("listing TrafficRoutings: %w", err))
	}
	for i := range shared.Items {
		errs = append(errs, e.letGo(ctx, &shared.Items[i], unheld(&shared.Items[i], rollouts.Items, kept)))
	}
	err := errors.Join(errs...)
	if err == nil && len(kept) == 0 {
		e.Say("no label and no finalizer is left: the chart and the CRDs can be removed")
	}
	if len(kept) > 0 {
		e.Say("not restored, and their finalizers are kept: %s", strings.Join(slices.Sorted(maps.Keys(kept)), ", "))
	}
	return err
}

// heldBack are the workloads that are not given back.
func heldBack(rollouts []v1beta1.Rollout, releases []v1beta1.BatchRelease) map[string]bool {
	kept := map[string]bool{}
	for i := range rollouts {
		if ro := &rollouts[i]; !givenBack(ro) {
			kept[workloadKey(ro, ro.Spec.WorkloadRef)] = true
		}
	}
	for i := range releases {
		if br := &releases[i]; br.Status.Phase != v1beta1.PhaseCompleted {
			kept[workloadKey(br, br.Spec.WorkloadRef)] = true
		}
	}
	return kept
}

// workloadKey names the workload that an object refers to.
func workloadKey(o client.Object, ref v1beta1.ObjectRef) string {
	return fmt.Sprintf("%s %s/%s", schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).GroupKind(), o.GetNamespace(), ref.Name)
}

// ourFinalizer tells finalizers that only the controllers would remove.
func ourFinalizer(f string) bool {
	ours := []string{v1beta1.FinalizerRollout, v1beta1.FinalizerBatchRelease, v1beta1.FinalizerTrafficRouting}
	return slices.Contains(ours, f) || strings.HasPrefix(f, v1beta1.FinalizerProgressingPrefix)
}

// unheld tells those of a TrafficRouting that go: none for as long as a Rollout holds it whose workload is not given back.
func unheld(tr *v1alpha1.TrafficRouting, rollouts []v1beta1.Rollout, kept map[string]bool) func(string) bool {
	for i := range rollouts {
		ro := &rollouts[i]
		holds := ro.Namespace == tr.Namespace && slices.Contains(tr.Finalizers, v1beta1.FinalizerProgressingPrefix+ro.Name)
		if holds && kept[workloadKey(ro, ro.Spec.WorkloadRef)] {
			return func(string) bool { return false }
		}
	}
	return ourFinalizer
}

// letGo removes finalizers.
func (e Ejection) letGo(ctx context.Context, o client.Object, ours func(string) bool) error {
	err := e.change(ctx, o, func(next client.Object) client.Object {
		next.SetFinalizers(slices.DeleteFunc(slices.Clone(next.GetFinalizers()), ours))
		return next
	})
	if err != nil {
		return fmt.Errorf("removing finalizers of %s of namespace %s: %w", plan.Named(o), o.GetNamespace(), err)
	}
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
