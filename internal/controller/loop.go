// SPDX-License-Identifier: Apache-2.0

// Package controller is the only code that talks to the cluster. Every reconcile goes one way through the house:
// observe (a reader), plan (a pure function), record (the status, which fences everything after it), converge (the only
// other writer).
package controller

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
	"kruise.io/rollouts/internal/plan"
)

// FieldManager is the name under which everything is written. Admission lets it pass.
const FieldManager = v1beta1.FieldManager

const (
	// lookAgain is when to check again after a lost race, unless the winner's change arrives first.
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
	tried    *attempts
	asks     func(obj T, asks []analysis.Ask) // has measurements made; nil: none are
	live     client.Reader                    // past the cache; nil: copies lack what our types do not know
}

func (l *loop[T, Seen]) Reconcile(ctx context.Context, obj T) (ctrl.Result, error) {
	now := l.clock.Now()
	reader := l.own.reader(l.client)
	if err := reader.fresh(obj); err != nil {
		return retry(err)
	}
	seen, err := l.observe(ctx, reader, obj, now)
	if err != nil {
		result, err := retry(fmt.Errorf("observing: %w", err))
		if err != nil && ctx.Err() == nil {
			l.warn(obj, plan.EventReadFailed, err.Error())
		}
		return result, err
	}
	d := l.possible(obj, l.plan(seen), now)
	outcome, err := l.record(ctx, obj, d)
	if err != nil {
		if words, final := refusal(err); final {
			l.warn(obj, plan.EventWriteRefused, "writing the status is refused: "+words)
		}
		return retry(fmt.Errorf("recording: %w", err))
	}
	if l.asks != nil {
		l.asks(obj, d.Asks)
	}
	if outcome == gone {
		l.tried.gone(obj)
		return ctrl.Result{}, nil
	}
	vain, err := l.converge(ctx, obj, d)
	switch {
	case err != nil:
		return retry(fmt.Errorf("converging: %w", err))
	case vain:
		return ctrl.Result{RequeueAfter: lookAgain}, nil // nothing else may wake us, and the status is to say it
	case d.Wake.IsZero():
		return ctrl.Result{}, nil
	case outcome == same && len(d.Changes)+len(d.Marks) == 0 && !d.Wake.After(now):
		return ctrl.Result{}, fmt.Errorf("%w: it would repeat without end", errIdle)
	}
	return ctrl.Result{RequeueAfter: max(d.Wake.Sub(now), time.Millisecond)}, nil
}

// errIdle is a fault of a planner: it asks to be called again at once, and nothing is different then.
var errIdle = errors.New("a pass asks for the next one at once, and has changed nothing")

// errRefused: the next pass says that a write of the object itself is refused.
var errRefused = errors.New("the write is refused")

// possible takes out of a decision what the cluster is known not to take at the moment, and has the object say so.
func (l *loop[T, Seen]) possible(obj T, d plan.Decision[T], now time.Time) plan.Decision[T] {
	changes := d.Changes
	if meta, differs := withMetadata(obj, d.Object); differs {
		changes = append([]plan.Change{{From: obj, To: meta}}, changes...)
	}
	if rest, o, found := l.tried.unfinished(obj, changes); found {
		d.Freeze(obj)
		if d.WakeAt(o.Until); !now.Before(o.Until) {
			d.Changes = []plan.Change{rest}
		}
		d.Obstruct(obj, o, now)
		return d
	}
	free, o := l.tried.obstacles(obj, changes)
	if o == nil {
		d.Marks, o = l.markable(obj, d.Marks)
	}
	if o == nil {
		return d
	}
	switch held := now.Before(o.Until); {
	case held && len(free) == 0 && len(changes) > 0:
		d.Freeze(obj)
		fallthrough
	case held:
		d.Changes = d.Changes[:max(0, len(d.Changes)-(len(changes)-len(free)))]
		if len(free) < len(changes) {
			d.Marks = nil
		}
		d.WakeAt(o.Until)
	}
	d.Obstruct(obj, *o, now)
	return d
}

// markable are the labels of pods that are not known to be refused; each depends on its pod only.
func (l *loop[T, Seen]) markable(obj T, marks []plan.Change) (free []plan.Change, first *plan.Obstacle) {
	for _, c := range marks {
		may, o := l.tried.obstacles(obj, []plan.Change{c})
		if free = append(free, may...); o != nil && first == nil {
			first = o
		}
	}
	return free, first
}

// An outcome is what became of a record.
type outcome int

const (
	same   outcome = iota // there was nothing to write
	stored                // it is written
	gone                  // the object is, with its last finalizer
)

// withMetadata returns an object with the metadata that a decision may change; false: there is nothing to change.
func withMetadata[T client.Object](seen, next T) (T, bool) {
	if !changed(seen, next) {
		return seen, false
	}
	meta, _ := seen.DeepCopyObject().(T)
	meta.SetFinalizers(next.GetFinalizers())
	meta.SetAnnotations(next.GetAnnotations())
	return meta, true
}

// record writes the object's own metadata and status before anything else is touched. The optimistic lock makes it a
// fence: a decision taken on an old copy changes nothing in the cluster, and what a user wrote meanwhile is kept.
func (l *loop[T, Seen]) record(ctx context.Context, seen T, d plan.Decision[T]) (did outcome, err error) {
	next, _ := d.Object.DeepCopyObject().(T)
	if meta, differs := withMetadata(seen, next); differs {
		c := plan.Change{From: seen, To: meta}
		meta, _ := meta.DeepCopyObject().(T)
		if err := l.client.Patch(ctx, meta, locked(seen)); err != nil {
			if l.tried.failed(seen, c, err) {
				err = errRefused
			}
			return same, client.IgnoreNotFound(err)
		}
		if meta.GetDeletionTimestamp() != nil && len(meta.GetFinalizers()) == 0 {
			l.own.gone(meta)
			return gone, nil
		}
		l.tried.wrote(seen, c, meta)
		l.own.wrote(meta)
		did = stored
		next.SetResourceVersion(meta.GetResourceVersion())
		seen, _ = meta.DeepCopyObject().(T)
	}
	if unchanged := equality.Semantic.DeepEqual(seen, next); !unchanged {
		log.FromContext(ctx).V(1).Info("recording", "difference", difference(seen, next))
		if err := l.client.Status().Patch(ctx, next, &statusPatch{seen: seen}); err != nil {
			return did, err
		}
		l.own.wrote(next)
		did = stored
	}
	for _, e := range d.Events {
		l.recorder.Eventf(d.Object, nil, e.Type, string(e.Reason), action(e.Message), "%s", e.Message)
		log.FromContext(ctx).Info(e.Message, "reason", e.Reason)
	}
	return did, nil
}

// warn says by an event what no status can say.
func (l *loop[T, Seen]) warn(obj T, reason plan.EventReason, message string) {
	l.recorder.Eventf(obj, nil, corev1.EventTypeWarning, string(reason), action(message), "%s", message)
}

// action distinguishes events of one reason: those alike but for the message would be counted as one. The API takes 128
// characters.
func action(message string) string { return message[:min(len(message), 128)] }

// changed reports whether the metadata that a decision may change did.
func changed(seen, next client.Object) bool {
	return !equality.Semantic.DeepEqual(seen.GetFinalizers(), next.GetFinalizers()) ||
		!equality.Semantic.DeepEqual(seen.GetAnnotations(), next.GetAnnotations())
}

// converge is the only writer of other objects: the changes in their order, then labels of pods, many at a time. It returns
// whether one of them was not taken.
func (l *loop[T, Seen]) converge(ctx context.Context, obj T, d plan.Decision[T]) (vain bool, err error) {
	for _, c := range d.Records {
		l.keep(ctx, obj, c)
	}
	for _, c := range d.Changes {
		done, err := l.attempt(ctx, obj, c)
		if err != nil || !done {
			return !done, err
		}
	}
	marks, ctx := errgroup.WithContext(ctx)
	marks.SetLimit(marksAtOnce)
	refused := atomic.Bool{}
	for _, c := range d.Marks {
		marks.Go(func() error {
			done, err := l.attempt(ctx, obj, c)
			if !done {
				refused.Store(true)
			}
			return client.IgnoreNotFound(err)
		})
	}
	err = marks.Wait()
	return refused.Load(), err
}

// attempt makes a change, and remembers where the cluster does not take it; false: it did not, and the next pass says so.
func (l *loop[T, Seen]) attempt(ctx context.Context, obj T, c plan.Change) (done bool, err error) {
	written, err := l.change(ctx, c)
	switch {
	case err == nil:
		return !l.tried.wrote(obj, c, written), nil
	case l.tried.failed(obj, c, err):
		log.FromContext(ctx).Error(err, "a write is refused")
		return false, nil
	default:
		l.tried.lost(obj, c)
		return true, err
	}
}

// change writes, and returns the object as the API server answered; nil: it is deleted.
func (l *loop[T, Seen]) change(ctx context.Context, c plan.Change) (client.Object, error) {
	log.FromContext(ctx).V(1).Info("changing", "from", named(c.From), "to", named(c.To), "difference", difference(c.From, c.To))
	switch {
	case c.From == nil:
		created, err := copied(ctx, l.live, c)
		if err != nil {
			return nil, fmt.Errorf("copying %s: %w", named(c.Like), err)
		}
		if err := l.client.Create(ctx, created); err != nil {
			return nil, fmt.Errorf("creating %s: %w", named(c.To), err)
		}
		created = typedAs(created, c.To)
		l.own.wrote(created)
		return created, nil
	case c.To == nil:
		uid := c.From.GetUID()
		if err := l.client.Delete(ctx, c.From, client.Preconditions{UID: &uid}, propagation(c.From)); client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("deleting %s: %w", named(c.From), err)
		}
		l.own.deleted(c.From)
		return nil, nil
	default:
		from, to, err := merged(ctx, l.live, c)
		if err != nil {
			return nil, fmt.Errorf("merging %s: %w", named(c.To), err)
		}
		patched, _ := to.DeepCopyObject().(client.Object)
		if err := l.client.Patch(ctx, patched, fence(from)); err != nil {
			return nil, fmt.Errorf("patching %s: %w", named(c.To), err)
		}
		patched = typedAs(l.disowned(ctx, patched), c.To)
		l.own.wrote(patched)
		return patched, nil
	}
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

// retry turns a lost race into a fresh pass instead of an error.
func retry(err error) (ctrl.Result, error) {
	switch {
	case errors.Is(err, errLagging), errors.Is(err, errRefused), apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), lostFence(err):
		return ctrl.Result{RequeueAfter: lookAgain}, nil
	default:
		return ctrl.Result{}, err
	}
}
