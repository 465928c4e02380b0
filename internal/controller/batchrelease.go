// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlbuilder "sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
	"kruise.io/rollouts/internal/workload"
)

// Recorder sends events.
type Recorder = events.EventRecorder

// AddBatchRelease adds the BatchRelease controller to a manager. keepPaused is the feature gate
// KeepWorkloadPausedOnRolloutDeletion.
func AddBatchRelease(mgr ctrl.Manager, workers int, keepPaused bool) error {
	releases := referring{reader: mgr.GetClient(), list: func() client.ObjectList { return &v1beta1.BatchReleaseList{} }}
	w := newWatches(mgr, releases.ofWorkload)
	l := NewBatchReleaseLoop(client.WithFieldOwner(mgr.GetClient(), FieldManager), clock.RealClock{}, mgr.GetEventRecorder("batchrelease-controller"),
		Workloads{Mapper: mgr.GetRESTMapper(), Watch: w.add, Live: mgr.GetAPIReader(), KeepPaused: keepPaused})
	c, err := ctrl.NewControllerManagedBy(mgr).Named("batchrelease-controller").
		For(&v1beta1.BatchRelease{}, ctrlbuilder.WithPredicates(predicate.GenerationChangedPredicate{})). // a deletion counts, too
		Watches(&appsv1.Deployment{}, handler.EnqueueRequestsFromMapFunc(releases.ofDeployment)).
		Watches(&appsv1.ReplicaSet{}, handler.EnqueueRequestsFromMapFunc(releases.ofReplicaSet)).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(releases.ofPod), ctrlbuilder.WithPredicates(podNews())).
		WithOptions(queueOptions(workers)).
		Build(l)
	w.controller = c
	return err
}

// NewBatchReleaseLoop is the BatchRelease controller without its watches: tests drive it by hand.
func NewBatchReleaseLoop(c client.Client, clk clock.PassiveClock, recorder Recorder, workloads Workloads) reconcile.Reconciler {
	return reconcile.AsReconciler(c, &loop[*v1beta1.BatchRelease, plan.BatchReleaseInput]{
		client: c, clock: clk, recorder: recorder, plan: plan.Release, own: newReadback(clk), tried: newAttempts(clk), live: workloads.Live,
		observe: func(ctx context.Context, c client.Reader, br *v1beta1.BatchRelease, now time.Time) (plan.BatchReleaseInput, error) {
			return observeRelease(ctx, c, br, now, workloads)
		},
	})
}

func observeRelease(ctx context.Context, c client.Reader, br *v1beta1.BatchRelease, now time.Time, workloads Workloads) (plan.BatchReleaseInput, error) {
	f, err := workloads.observe(ctx, c, br.Namespace, br.Spec.WorkloadRef, plan.ReleaseStyle(br))
	s := plan.BatchReleaseInput{Now: now, Release: br, Driver: f.driver, Unserved: f.unserved, Objects: f.objects, KeepPaused: workloads.KeepPaused}
	if err != nil {
		return s, err
	}
	if err := observePods(ctx, c, s.Driver, &s.Objects); err != nil || s.Objects.Workload == nil {
		return s, err
	}
	s.Workload = s.Driver.State(s.Objects, now)
	return s, observeOwners(ctx, c, &s)
}

// observeOwners reads who else releases the workload of a BatchRelease.
func observeOwners(ctx context.Context, c client.Reader, s *plan.BatchReleaseInput) error {
	if claim := workload.ClaimOf(s.Objects.Workload); claim.UID != "" && claim.UID != s.Release.UID {
		other := &v1beta1.BatchRelease{}
		switch err := c.Get(ctx, client.ObjectKey{Namespace: s.Release.Namespace, Name: claim.Name}, other); {
		case client.IgnoreNotFound(err) != nil:
			return fmt.Errorf("reading BatchRelease %s/%s: %w", s.Release.Namespace, claim.Name, err)
		case err == nil && other.UID == claim.UID:
			s.Claimer = other.Name
		}
	}
	if !s.Workload.Changing {
		return nil
	}
	rollouts, err := rolloutsReferring(ctx, c, s.Release.Namespace, s.Release.Spec.WorkloadRef)
	if ro := plan.Managing(rollouts); err == nil && ro != nil {
		s.Manager = ro.Name
	}
	return err
}
