// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/rollouts/api/v1alpha1"
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
		WithOptions(queueOptions(workers)).
		Build(l)
	w.controller = c
	return err
}

// NewTrafficRoutingLoop is the TrafficRouting controller without its watches: tests drive it by hand.
func NewTrafficRoutingLoop(c client.Client, clk clock.PassiveClock, recorder Recorder, gateways Gateways) reconcile.Reconciler {
	tried := newAttempts(clk)
	return reconcile.AsReconciler(c, &loop[*v1alpha1.TrafficRouting, plan.SharedSeen]{
		client: c, clock: clk, recorder: recorder, plan: plan.TrafficRouting, own: newReadback(clk), tried: tried,
		observe: func(ctx context.Context, c client.Reader, t *v1alpha1.TrafficRouting, now time.Time) (plan.SharedSeen, error) {
			owner := *metav1.NewControllerRef(t, v1alpha1.GroupVersion.WithKind("TrafficRouting"))
			routings, err := gateways.observe(ctx, c, t, owner, plan.RoutedWith(t), true)
			return plan.SharedSeen{Now: now, TrafficRouting: t, Routings: routings, Refused: tried.refused(t)}, err
		},
	})
}
