// SPDX-License-Identifier: Apache-2.0

// Package world puts a simulated cluster under the product: an API server of sorts, the controllers and kubelets of
// package sim, and the manager's own controllers, driven by hand and by a clock that only tests turn. Tests only.
package world

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/sim"
)

// Namespace is where everything happens.
const Namespace = "default"

// World is a cluster with the manager in it.
type World struct {
	Clock *clocktesting.FakePassiveClock
	// Cluster plays what runs in the cluster next to the manager.
	Cluster *sim.Cluster
	// User writes as a user does.
	User client.Client
	// Fault is the write of the manager that is to fail.
	Fault Fault
	// Authorize reports whether the manager may do something; nil: it may do anything. It is asked before everything else, about reads
	// past the cache, too, and for the admission of owners.
	Authorize func(sim.Request) bool
	// Refuse is why the API server refuses a write of the manager, by a quota or a policy; nil: it does not.
	Refuse func(Write) error
	// Mutate changes what is about to be stored of a write of the manager, as defaults, conversion or a policy engine do; before
	// and after are the object as JSON has it. nil: nothing does.
	Mutate func(kind string, before, after map[string]any)
	// AdmissionDown lets updates of Deployments pass unseen.
	AdmissionDown bool
	// SigningDown lets users write the whole status of a Rollout.
	SigningDown bool
	// KeepPaused is the manager's feature gate KeepWorkloadPausedOnRolloutDeletion, from its next start on.
	KeepPaused bool
	// Frozen stops the manager, as if it were not running.
	Frozen bool
	// Quick lets the controllers of the cluster act between two writes of one pass of the manager, as they do where it is busy.
	Quick bool
	// Passes is how many passes the manager runs before the controllers of the cluster do; 0: once.
	Passes int
	// Measure answers what analyses ask a provider; nil: every provider is down.
	Measure func(analysis.Ask) (any, error)
	// Answer is what webhooks of steps answer; nil: nobody is there.
	Answer func(analysis.Ask) analysis.HookAnswer
	// PodTrouble is what speaks against the pods of releases; "": nothing does.
	PodTrouble string
	// Writes are all writes so far, in their order.
	Writes []Write
	// Watch is called with every write that succeeded, at once.
	Watch func(Write)
	// Looked is called after each pass of everything.
	Looked func(context.Context)
	// Say is called with what users see: warnings and events.
	Say func(string)

	store    client.WithWatch
	newer    *newer     // nil: the cluster is as old as our types
	mu       sync.Mutex // of writes
	acting   sync.Mutex // of the cluster between two writes
	count    int        // writes of the manager
	uids     int
	rollouts reconcile.Reconciler
	releases reconcile.Reconciler
	shared   reconcile.Reconciler
	wakes    map[string]time.Time // of what is to be checked again
	asked    *measurements
}

// Start is when worlds begin.
var Start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// indexes collects the manager's indexes for the fake client.
type indexes struct{ *fake.ClientBuilder }

func (b indexes) IndexField(_ context.Context, o client.Object, name string, keys client.IndexerFunc) error {
	b.WithIndex(o, name, keys)
	return nil
}

// scheme knows the kinds that there are in a world. The fake client goes through all it knows on every write, so that the
// whole of Kubernetes would cost a test half its time.
func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, discoveryv1.AddToScheme, networkingv1.AddToScheme, autoscalingv1.AddToScheme,
		v1alpha1.AddToScheme, v1beta1.AddToScheme,
	} {
		utilruntime.Must(add(s))
	}
	return s
}

// New returns an empty world.
func New(ctx context.Context) (*World, error) {
	s := scheme()
	builder := fake.NewClientBuilder().WithScheme(s).WithGlobalResourceVersionCounter().
		WithObjectTracker(clienttesting.NewObjectTracker(s, serializer.NewCodecFactory(s).UniversalDecoder())). // that of field managers takes a third of a test's time
		WithStatusSubresource(&v1beta1.Rollout{}, &v1alpha1.TrafficRouting{}, &v1beta1.BatchRelease{}, &appsv1.Deployment{}, &appsv1.ReplicaSet{}, &corev1.Pod{}).
		WithStatusSubresource(withStatus()...)
	if err := controller.Index(ctx, indexes{builder}); err != nil {
		return nil, err
	}
	w := &World{Clock: clocktesting.NewFakePassiveClock(Start), store: remembering(builder.Build())}
	w.Cluster = &sim.Cluster{Client: w.as("cluster"), Namespace: Namespace, Now: w.Clock.Now}
	w.User = w.as("user")
	w.Restart()
	return w, nil
}

// Restart starts the manager anew: all it had in memory is gone.
func (w *World) Restart() {
	c := w.as(controller.FieldManager)
	w.wakes = map[string]time.Time{}
	w.asked = &measurements{world: w, of: map[types.UID]map[string]*measurement{}}
	workloads := controller.Workloads{Mapper: mapper(), KeepPaused: w.KeepPaused}
	if w.newer != nil {
		workloads.Live = live{c, w}
	}
	w.rollouts = controller.NewRolloutLoop(c, w.Clock, recorder{w}, func(context.Context, client.Object) error {
		if w.AdmissionDown {
			return errors.New("the webhook is not there")
		}
		return nil
	}, workloads, controller.Gateways{Mapper: mapper(), Namespace: Namespace}, true, w.asked)
	w.shared = controller.NewTrafficRoutingLoop(c, w.Clock, recorder{w}, controller.Gateways{Mapper: mapper(), Namespace: Namespace})
	w.releases = controller.NewBatchReleaseLoop(c, w.Clock, recorder{w}, workloads)
}

// ReconcileRollout lets the Rollout controller check a Rollout once.
func (w *World) ReconcileRollout(ctx context.Context, name string) error {
	return w.reconcile(ctx, "Rollout "+name, w.rollouts, name)
}

// ReconcileRelease lets the BatchRelease controller check a BatchRelease once.
func (w *World) ReconcileRelease(ctx context.Context, name string) error {
	return w.reconcile(ctx, "BatchRelease "+name, w.releases, name)
}

func (w *World) reconcile(ctx context.Context, what string, r reconcile.Reconciler, name string) error {
	result, err := r.Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKey{Namespace: Namespace, Name: name}})
	delete(w.wakes, what)
	if result.RequeueAfter > 0 {
		w.wakes[what] = w.Clock.Now().Add(result.RequeueAfter)
	}
	if err != nil {
		w.wakes[what] = w.Clock.Now().Add(time.Second) // the work queue backs off
		return fmt.Errorf("reconciling %s: %w", what, err)
	}
	return nil
}

// Round runs one pass of everything: the manager, then the cluster. It returns the manager's first error.
func (w *World) Round(ctx context.Context) (next time.Time, err error) {
	w.asked.make()
	for range max(1, w.Passes) {
		if !w.Frozen && err == nil {
			err = w.Manage(ctx)
		}
	}
	next, broken := w.Cluster.Sync(ctx)
	if broken != nil {
		return next, broken
	}
	for _, t := range w.wakes {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if due := w.asked.next(); !due.IsZero() && (next.IsZero() || due.Before(next)) {
		next = due
	}
	return next, err
}

// Manage runs one pass of the manager over everything.
func (w *World) Manage(ctx context.Context) error {
	var errs []error
	rollouts := &v1beta1.RolloutList{}
	if err := w.store.List(ctx, rollouts); err != nil {
		return fmt.Errorf("listing Rollouts: %w", err)
	}
	for i := range rollouts.Items {
		errs = append(errs, w.ReconcileRollout(ctx, rollouts.Items[i].Name))
	}
	releases := &v1beta1.BatchReleaseList{}
	if err := w.store.List(ctx, releases); err != nil {
		return fmt.Errorf("listing BatchReleases: %w", err)
	}
	for i := range releases.Items {
		errs = append(errs, w.ReconcileRelease(ctx, releases.Items[i].Name))
	}
	shared := &v1alpha1.TrafficRoutingList{}
	if err := w.store.List(ctx, shared); err != nil {
		return fmt.Errorf("listing TrafficRoutings: %w", err)
	}
	for i := range shared.Items {
		name := shared.Items[i].Name
		errs = append(errs, w.reconcile(ctx, "TrafficRouting "+name, w.shared, name))
	}
	return errors.Join(errs...)
}

// Settle runs passes until no one writes any more, and returns when something is due by itself. Writes that
// fail as planned are tried again; other errors end it.
func (w *World) Settle(ctx context.Context) (next time.Time, err error) {
	const enough = 300 // rounds; a release of ten steps needs a fraction
	for range enough {
		before := len(w.Writes)
		next, err = w.Round(ctx)
		if err != nil && !strings.Contains(err.Error(), errLost.Error()) {
			return next, err
		}
		if len(w.Writes) == before {
			return next, nil
		}
		if w.Looked != nil {
			w.Looked(ctx)
		}
	}
	var last []string
	for _, write := range w.Writes[max(0, len(w.Writes)-12):] {
		last = append(last, write.String())
	}
	return next, fmt.Errorf("nothing settles; the last writes were\n%s", strings.Join(last, "\n"))
}

// Until settles and lets time pass, from one moment at which something is due to the next, until done, for at most the
// duration.
func (w *World) Until(ctx context.Context, limit time.Duration, done func() bool) error {
	deadline := w.Clock.Now().Add(limit)
	for {
		next, err := w.Settle(ctx)
		if err != nil {
			return err
		}
		if done() {
			return nil
		}
		if next.IsZero() || !next.After(w.Clock.Now()) {
			next = w.Clock.Now().Add(time.Second)
		}
		if next.After(deadline) {
			return fmt.Errorf("still not after %s", limit)
		}
		w.Clock.SetTime(next)
	}
}

// Pass lets time pass, with everything that is due on the way.
func (w *World) Pass(ctx context.Context, d time.Duration) error {
	end := w.Clock.Now().Add(d)
	for {
		next, err := w.Settle(ctx)
		if err != nil || !w.Clock.Now().Before(end) {
			return err
		}
		if next.IsZero() || next.After(end) {
			next = end
		}
		if !next.After(w.Clock.Now()) {
			next = w.Clock.Now().Add(time.Second)
		}
		w.Clock.SetTime(next)
	}
}

// AddNodes makes nodes for DaemonSets, named node-0, node-1 and so on, after those that are there.
func (w *World) AddNodes(ctx context.Context, n int) error {
	nodes := &corev1.NodeList{}
	if err := w.store.List(ctx, nodes); err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	for i := range n {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", len(nodes.Items)+i)}}
		if err := w.User.Create(ctx, node); err != nil {
			return fmt.Errorf("making a node: %w", err)
		}
	}
	return nil
}

// Get reads an object as it is stored; false: none.
func (w *World) Get(ctx context.Context, name string, o client.Object) bool {
	return w.store.Get(ctx, client.ObjectKey{Namespace: Namespace, Name: name}, o) == nil
}

// List reads all objects of a kind.
func (w *World) List(ctx context.Context, list client.ObjectList) error {
	return w.store.List(ctx, list, client.InNamespace(Namespace))
}

// WritesOfManager is how many writes the manager has tried.
func (w *World) WritesOfManager() int { return w.count }

func (w *World) say(what string) {
	if w.Say != nil {
		w.Say(what)
	}
}

// recorder reports events to the world.
type recorder struct{ *World }

func (r recorder) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	r.say(fmt.Sprintf("event %s %s: %s", kind, reason, fmt.Sprintf(note, args...)))
}
