// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlbuilder "sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
)

// AddTrafficRouting adds the TrafficRouting controller to a manager. Namespace is where the users' own scripts are.
func AddTrafficRouting(mgr ctrl.Manager, workers int, namespace string) error {
	shared := referring{reader: mgr.GetClient(), list: func() client.ObjectList { return &v1alpha1.TrafficRoutingList{} }}
	w := newWatches(mgr, shared.routedWith)
	gateways := Gateways{Mapper: mgr.GetRESTMapper(), Namespace: namespace, Watch: w.add}
	l := NewTrafficRoutingLoop(client.WithFieldOwner(mgr.GetClient(), FieldManager), clock.RealClock{}, mgr.GetEventRecorder("trafficrouting-controller"), gateways)
	c, err := ctrl.NewControllerManagedBy(mgr).Named("trafficrouting-controller").
		For(&v1alpha1.TrafficRouting{}).
		Watches(&v1beta1.Rollout{}, handler.EnqueueRequestsFromMapFunc(shared.heldBy), ctrlbuilder.WithPredicates(specChanged())).
		WithOptions(queueOptions(workers)).
		Build(l)
	w.controller = c
	return err
}

// NewTrafficRoutingLoop is the TrafficRouting controller without its watches: tests drive it by hand.
func NewTrafficRoutingLoop(c client.Client, clk clock.PassiveClock, recorder Recorder, gateways Gateways) reconcile.Reconciler {
	tried := newAttempts(clk)
	return reconcile.AsReconciler(c, &loop[*v1alpha1.TrafficRouting, plan.TrafficRoutingInput]{
		client: c, clock: clk, recorder: recorder, plan: plan.TrafficRouting, own: newReadback(clk), tried: tried,
		observe: func(ctx context.Context, c client.Reader, t *v1alpha1.TrafficRouting, now time.Time) (plan.TrafficRoutingInput, error) {
			owner := *metav1.NewControllerRef(t, v1alpha1.GroupVersion.WithKind("TrafficRouting"))
			routings, err := gateways.observe(ctx, c, observer{Object: t}, owner, plan.RoutedWith(t), true)
			if err != nil {
				return plan.TrafficRoutingInput{}, err
			}
			holding, err := holdersOf(ctx, c, t)
			return plan.TrafficRoutingInput{Now: now, TrafficRouting: t, Routings: routings, Holding: holding, Refused: tried.refused(t)}, err
		},
	})
}

// holdersOf are the Rollouts that a TrafficRouting says hold it, and that name it.
func holdersOf(ctx context.Context, c client.Reader, t *v1alpha1.TrafficRouting) (map[string]bool, error) {
	holding := map[string]bool{}
	for _, name := range plan.Holders(t) {
		ro := &v1beta1.Rollout{}
		switch err := c.Get(ctx, client.ObjectKey{Namespace: t.Namespace, Name: name}, ro); {
		case err == nil:
			holding[name] = plan.SharedRouting(ro) == t.Name
		case !apierrors.IsNotFound(err):
			return nil, fmt.Errorf("reading Rollout %s, which holds TrafficRouting %s: %w", name, t.Name, err)
		}
	}
	return holding, nil
}

// heldBy maps a Rollout to the TrafficRoutings that say it holds them.
func (r referring) heldBy(ctx context.Context, ro client.Object) []reconcile.Request {
	list := r.list()
	if err := r.reader.List(ctx, list, client.InNamespace(ro.GetNamespace())); err != nil {
		return nil // of a cache that does not know the kind only
	}
	return requestsFor(list, func(o client.Object) bool {
		t, ok := o.(*v1alpha1.TrafficRouting)
		return ok && slices.Contains(plan.Holders(t), ro.GetName())
	})
}
