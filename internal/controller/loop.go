// SPDX-License-Identifier: Apache-2.0

// Package controller is the only code that talks to the cluster. Every reconcile goes one way through the house:
// observe (a reader), plan (a pure function), record (the status, which fences everything after it), converge (the only
// other writer).
package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
)

// FieldManager is the name under which everything is written. Admission lets it pass.
const FieldManager = v1beta1.FieldManager

const (
	// lookAgain is when to look again after a lost race, unless the winner's change arrives first.
	lookAgain = 100 * time.Millisecond
	// marksAtOnce is how many pods are labelled at the same time.
	marksAtOnce = 16
)

// loop is the one reconcile loop. Observe can only read, plan can do neither, converge can only write.
type loop[T client.Object, Seen any] struct {
	client   client.Client
	clock    clock.PassiveClock
	recorder events.EventRecorder
	observe  func(ctx context.Context, c client.Reader, obj T, now time.Time) (Seen, error)
	plan     func(Seen) plan.Decision[T]
	own      *readback
}

func (l *loop[T, Seen]) Reconcile(ctx context.Context, obj T) (ctrl.Result, error) {
	now := l.clock.Now()
	reader := l.own.reader(l.client)
	if err := reader.fresh(obj); err != nil {
		return retry(err)
	}
	seen, err := l.observe(ctx, reader, obj, now)
	if err != nil {
		return retry(fmt.Errorf("observing: %w", err))
	}
	d := l.plan(seen)
	gone, err := l.record(ctx, obj, d)
	if err != nil {
		return retry(fmt.Errorf("recording: %w", err))
	}
	if err := l.converge(ctx, d); err != nil {
		return retry(fmt.Errorf("converging: %w", err))
	}
	if d.Wake.IsZero() || gone {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: max(d.Wake.Sub(now), time.Millisecond)}, nil
}

// record writes the object's own metadata and status before anything else is touched. The optimistic lock makes it a
// fence: a decision taken on an old copy changes nothing in the cluster, and what a user wrote meanwhile is kept.
func (l *loop[T, Seen]) record(ctx context.Context, seen T, d plan.Decision[T]) (gone bool, err error) {
	next, _ := d.Object.DeepCopyObject().(T)
	if changed(seen, next) {
		meta, _ := seen.DeepCopyObject().(T)
		meta.SetFinalizers(next.GetFinalizers())
		meta.SetAnnotations(next.GetAnnotations())
		if err := l.client.Patch(ctx, meta, locked(seen)); err != nil {
			return false, client.IgnoreNotFound(err)
		}
		if gone := meta.GetDeletionTimestamp() != nil && len(next.GetFinalizers()) == 0; gone {
			l.own.gone(meta)
			return true, nil
		}
		l.own.wrote(meta)
		next.SetResourceVersion(meta.GetResourceVersion())
		seen, _ = meta.DeepCopyObject().(T)
	}
	if unchanged := equality.Semantic.DeepEqual(seen, next); !unchanged {
		log.FromContext(ctx).V(1).Info("recording", "difference", difference(seen, next))
		// An update, not a patch: a patch leaves out required fields whose value is zero on both sides.
		if err := l.client.Status().Update(ctx, next); err != nil {
			return false, err
		}
		l.own.wrote(next)
	}
	for _, e := range d.Events {
		l.recorder.Eventf(d.Object, nil, e.Type, e.Reason, action(e.Message), "%s", e.Message)
		log.FromContext(ctx).Info(e.Message, "reason", e.Reason)
	}
	return false, nil
}

// action tells events of one reason apart: those alike but for the message would be counted as one. The API takes 128
// characters.
func action(message string) string { return message[:min(len(message), 128)] }

// changed tells whether the metadata that a decision may change did.
func changed(seen, next client.Object) bool {
	return !equality.Semantic.DeepEqual(seen.GetFinalizers(), next.GetFinalizers()) ||
		!equality.Semantic.DeepEqual(seen.GetAnnotations(), next.GetAnnotations())
}

// converge is the only writer of other objects: the changes in their order, then labels of pods, many at a time.
func (l *loop[T, Seen]) converge(ctx context.Context, d plan.Decision[T]) error {
	for _, c := range d.Records {
		l.keep(ctx, c)
	}
	for _, c := range d.Changes {
		if err := l.change(ctx, c); err != nil {
			return err
		}
	}
	marks, ctx := errgroup.WithContext(ctx)
	marks.SetLimit(marksAtOnce)
	for _, c := range d.Marks {
		marks.Go(func() error { return client.IgnoreNotFound(l.change(ctx, c)) })
	}
	return marks.Wait()
}

func (l *loop[T, Seen]) change(ctx context.Context, c plan.Change) error {
	log.FromContext(ctx).V(1).Info("changing", "from", named(c.From), "to", named(c.To), "difference", difference(c.From, c.To))
	switch {
	case c.From == nil:
		created, _ := c.To.DeepCopyObject().(client.Object)
		if err := l.client.Create(ctx, created); err != nil {
			return fmt.Errorf("creating %s: %w", named(c.To), err)
		}
		l.own.wrote(created)
	case c.To == nil:
		uid := c.From.GetUID()
		if err := l.client.Delete(ctx, c.From, client.Preconditions{UID: &uid}, propagation(c.From)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting %s: %w", named(c.From), err)
		}
		l.own.deleted(c.From)
	default:
		patched, _ := c.To.DeepCopyObject().(client.Object)
		if err := l.client.Patch(ctx, patched, fence(c.From)); err != nil {
			return fmt.Errorf("patching %s: %w", named(c.To), err)
		}
		l.own.wrote(patched)
	}
	return nil
}

// named is how an object is called in errors and logs.
func named(o client.Object) string {
	if o == nil {
		return "nothing"
	}
	if u, ok := o.(*unstructured.Unstructured); ok {
		return fmt.Sprintf("%s %s/%s", u.GetKind(), o.GetNamespace(), o.GetName())
	}
	return fmt.Sprintf("%T %s/%s", o, o.GetNamespace(), o.GetName())
}

// difference is what a change writes, for the log; it is computed only where that is read.
func difference(from, to client.Object) fmt.Stringer { return diffs{from, to} }

type diffs struct{ from, to client.Object }

func (d diffs) String() string {
	if d.from == nil || d.to == nil {
		return ""
	}
	data, err := client.MergeFrom(d.from).Data(d.to)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// retry turns a lost race into a fresh look instead of an error.
func retry(err error) (ctrl.Result, error) {
	switch {
	case errors.Is(err, errLagging), apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), lostFence(err):
		return ctrl.Result{RequeueAfter: lookAgain}, nil
	default:
		return ctrl.Result{}, err
	}
}
