// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlbuilder "sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
)

// AddRollout adds the Rollout controller to a manager. Namespace is where the users' own scripts are.
func AddRollout(mgr ctrl.Manager, workers int, namespace string, probe Prober, history bool, measurer *Measurer) error {
	rollouts := referring{reader: mgr.GetClient(), list: func() client.ObjectList { return &v1beta1.RolloutList{} }}
	routes := newWatches(mgr, rollouts.routedWith)
	kinds := newWatches(mgr, rollouts.ofWorkload, workloadNews())
	l := NewRolloutLoop(client.WithFieldOwner(mgr.GetClient(), FieldManager), clock.RealClock{}, mgr.GetEventRecorder("rollout-controller"), probe,
		Workloads{Mapper: mgr.GetRESTMapper(), Watch: kinds.add, Live: mgr.GetAPIReader()},
		Gateways{Mapper: mgr.GetRESTMapper(), Namespace: namespace, Watch: routes.add}, history, measurer)
	measurer.jobs = jobsOfRollout(client.WithFieldOwner(mgr.GetClient(), FieldManager), mgr.GetAPIReader())
	measurer.pods = podsOfRollout(mgr.GetClient(), Workloads{Mapper: mgr.GetRESTMapper()})
	c, err := ctrl.NewControllerManagedBy(mgr).Named("rollout-controller").
		For(&v1beta1.Rollout{}).
		Owns(&v1beta1.BatchRelease{}).
		Watches(&appsv1.Deployment{}, handler.EnqueueRequestsFromMapFunc(rollouts.ofDeployment), ctrlbuilder.WithPredicates(specChanged())).
		Watches(&appsv1.ReplicaSet{}, handler.EnqueueRequestsFromMapFunc(rollouts.ofReplicaSet), ctrlbuilder.WithPredicates(predicate.Or(comesOrGoes(), onItsOwn()))).
		Watches(&v1alpha1.TrafficRouting{}, handler.EnqueueRequestsFromMapFunc(rollouts.routedWith)).
		Watches(&v1beta1.AnalysisTemplate{}, handler.EnqueueRequestsFromMapFunc(rollouts.analysing)).
		Watches(&v1beta1.ClusterAnalysisTemplate{}, handler.EnqueueRequestsFromMapFunc(rollouts.analysing)).
		WatchesRawSource(source.TypedChannel(measurer.news, &handler.TypedEnqueueRequestForObject[*v1beta1.Rollout]{})).
		WithOptions(queueOptions(workers)).
		Build(l)
	routes.controller, kinds.controller = c, c
	return err
}

// NewRolloutLoop is the Rollout controller without its watches: tests drive it by hand. With history, it keeps records of
// releases.
func NewRolloutLoop(
	c client.Client, clk clock.PassiveClock, recorder Recorder, probe Prober, workloads Workloads, gateways Gateways, history bool,
	measurements Measurements,
) reconcile.Reconciler {
	tried := newAttempts(clk)
	return reconcile.AsReconciler(c, &loop[*v1beta1.Rollout, plan.RolloutInput]{
		client: c, clock: clk, recorder: recorder, plan: plan.Rollout, own: newReadback(clk), tried: tried, live: workloads.Live,
		asks: measurements.Want,
		observe: func(ctx context.Context, c client.Reader, ro *v1beta1.Rollout, now time.Time) (plan.RolloutInput, error) {
			s, err := observeRollout(ctx, c, ro, now, probe, workloads, gateways)
			s.Refused, s.Written = tried.refused(ro), tried.written(ro)
			s.Measured = measurements.Of(ro)
			if err == nil && history {
				s.Past, err = observePast(ctx, c, s)
			}
			return s, err
		},
	})
}

func observeRollout(ctx context.Context, c client.Reader, ro *v1beta1.Rollout, now time.Time, probe Prober, workloads Workloads, gateways Gateways) (plan.RolloutInput, error) {
	f, err := workloads.observe(ctx, c, ro.Namespace, ro.Spec.WorkloadRef, plan.Style(ro))
	s := plan.RolloutInput{Now: now, Rollout: ro, Driver: f.driver, Unserved: f.unserved, Objects: f.objects}
	if err != nil {
		return s, err
	}
	if s.Objects.Workload != nil {
		s.Workload = s.Driver.State(s.Objects, now)
		if s.Workload.Type != "" && adopting(ro) {
			s.Admission = probe(ctx, s.Objects.Workload)
		}
	}
	if leading(ro) || s.Workload.Changing {
		if s.Routings, err = gateways.ofRollout(ctx, c, ro, s.Objects); err != nil {
			return s, err
		}
		if s.Shared, err = observeShared(ctx, c, ro); err != nil {
			return s, err
		}
	}
	if s.Templates, err = observeTemplates(ctx, c, ro); err != nil {
		return s, err
	}
	if s.Autoscalers, err = observeAutoscalers(ctx, c, ro); err != nil {
		return s, err
	}
	return s, observeClaims(ctx, c, ro, &s)
}

// observeClaims reads who releases the workload: the Rollout's BatchRelease, and who else does.
func observeClaims(ctx context.Context, c client.Reader, ro *v1beta1.Rollout, s *plan.RolloutInput) error {
	rollouts, err := rolloutsReferring(ctx, c, ro.Namespace, ro.Spec.WorkloadRef)
	if err != nil {
		return err
	}
	if managing := plan.Managing(rollouts); managing != nil && managing.UID != ro.UID {
		s.Rival = managing.Name
	}
	br := &v1beta1.BatchRelease{}
	switch err := c.Get(ctx, client.ObjectKeyFromObject(ro), br); {
	case err == nil && metav1.IsControlledBy(br, ro):
		s.Release = br
	case err == nil:
		s.Taken = true
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("reading BatchRelease %s/%s: %w", ro.Namespace, ro.Name, err)
	}
	return nil
}

// observeShared reads the TrafficRouting that a Rollout names; nil: it does not exist.
func observeShared(ctx context.Context, c client.Reader, ro *v1beta1.Rollout) (*v1alpha1.TrafficRouting, error) {
	name := plan.SharedRouting(ro)
	if name == "" {
		return nil, nil
	}
	t := &v1alpha1.TrafficRouting{}
	switch err := c.Get(ctx, client.ObjectKey{Namespace: ro.Namespace, Name: name}, t); {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading TrafficRouting %s/%s: %w", ro.Namespace, name, err)
	}
	return t, nil
}

// adopting reports whether a Rollout is on its way to Healthy.
func adopting(ro *v1beta1.Rollout) bool {
	return ro.DeletionTimestamp == nil && !ro.Spec.Disabled &&
		(ro.Status.Phase == "" || ro.Status.Phase == v1beta1.PhaseInitial || ro.Status.Phase == v1beta1.PhaseDisabled)
}
