// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/templates"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/view"
)

// status waits for releases to end.
type status struct {
	*shell
	selection
	watch    bool
	detail   bool
	revision int64
	timeout  time.Duration
}

func newStatus(s *shell) *cobra.Command {
	o := &status{shell: s}
	c := &cobra.Command{
		Use:                   "status " + selectionUse,
		DisableFlagsInUseLine: true,
		Short:                 "Wait until a release is done, and show its result",
		Long: templates.LongDesc(`
			Wait until a release is done, and show its result.

			Every change is printed as a line. At a step that waits for an approval, the line has the command to approve it, and
			the wait continues. The exit code is 0 once the release is done, and not 0 if it was rolled back, if the Rollout was
			disabled or deleted, or if the timeout has passed.`),
		Example: examples(`
			# Wait until a release is done
			%[1]s rollout status rollout/web

			# Wait for at most half an hour
			%[1]s rollout status rollout/web --timeout 30m

			# Print the current state, and do not wait
			%[1]s rollout status rollout/web -w=false

			# Watch a Deployment as kubectl does
			%[1]s rollout status deployment/web`),
		RunE: func(c *cobra.Command, args []string) error {
			if o.revision < 0 {
				return fmt.Errorf("revision must be a positive integer: %v", o.revision)
			}
			return o.each(s, args, func(info *resource.Info) error { return o.status(c.Context(), info) })
		},
	}
	o.bind(c)
	c.Flags().BoolVarP(&o.watch, "watch", "w", true, "Watch the status of the rollout until it's done.")
	c.Flags().BoolVarP(&o.detail, "detail", "d", false, "Redraw a tree of the steps, revisions and pods at every change.")
	c.Flags().Int64Var(&o.revision, "revision", 0, "Pin to a specific revision of a workload. Defaults to 0 (last revision).")
	c.Flags().DurationVar(&o.timeout, "timeout", 0, "The length of time to wait before ending watch, zero means never. Any other values should contain a corresponding time unit (e.g. 1s, 2m, 3h).")
	return c
}

func (o *status) status(ctx context.Context, info *resource.Info) error {
	if !isRollout(info) {
		return o.native(info)
	}
	if o.revision > 0 {
		return refused(info, "has no revisions to pin: --revision is for workloads")
	}
	w := &waiting{status: o, info: info}
	if !o.watch { // it has just been read, by get: a watch would take more rights
		_, err := w.seen(ctx, watch.Event{Type: watch.Added, Object: info.Object})
		return err
	}
	client, err := o.factory.DynamicClient()
	if err != nil {
		return err
	}
	ctx, cancel := watchtools.ContextWithOptionalTimeout(ctx, o.timeout)
	defer cancel()
	err = w.until(ctx, one(client, info))
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("timed out after %s waiting for rollout %q: %s", o.timeout, info.Name, w.last)
	case ctx.Err() != nil:
		return cmdutil.ErrExit // the user has had enough
	default:
		return err
	}
}

// until checks every event until the release is done or an error ends the waiting.
func (w *waiting) until(ctx context.Context, source cache.ListerWatcher) error {
	ctx, cancel := context.WithCancel(ctx)
	events, refusals := make(chan watch.Event), make(chan error, 1)
	tell := func(kind watch.EventType, obj any) {
		o, _ := obj.(runtime.Object)
		select {
		case events <- watch.Event{Type: kind, Object: o}:
		case <-ctx.Done():
		}
	}
	informer := cache.NewSharedIndexInformer(source, &unstructured.Unstructured{}, 0, cache.Indexers{})
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { tell(watch.Added, obj) },
		UpdateFunc: func(_, obj any) { tell(watch.Modified, obj) },
		DeleteFunc: func(obj any) { tell(watch.Deleted, obj) },
	})
	if err == nil {
		err = informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
			if refused := (*refusal)(nil); errors.As(err, &refused) {
				select {
				case refusals <- refused:
				default: // one is enough
				}
				return
			}
			cache.DefaultWatchErrorHandler(ctx, r, err)
		})
	}
	if err != nil {
		cancel()
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		informer.RunWithContext(ctx)
	}()
	defer func() { cancel(); <-ended }()
	for {
		select {
		case e := <-events:
			if done, err := w.seen(ctx, e); done || err != nil {
				return err
			}
		case err := <-refusals:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refusal: the account has not the right to do what waiting takes. Trying again would not help.
type refusal struct {
	verb, name string
	err        error
}

func (r *refusal) Error() string {
	return fmt.Sprintf("this account may not %s rollout %q, and waiting needs list and watch; --watch=false needs get only: %s", r.verb, r.name, r.err)
}

func (r *refusal) Unwrap() error { return r.err }

// refusing makes a refusal of the server's.
func refusing(verb, name string, err error) error {
	if apierrors.IsForbidden(err) {
		return &refusal{verb, name, err}
	}
	return err
}

// one lists and watches a single object.
func one(client dynamic.Interface, info *resource.Info) cache.ListerWatcher {
	objects := client.Resource(info.Mapping.Resource).Namespace(info.Namespace)
	selector := fields.OneTermEqualSelector("metadata.name", info.Name).String()
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = selector
			list, err := objects.List(ctx, options)
			return list, refusing("list", info.Name, err)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = selector
			w, err := objects.Watch(ctx, options)
			return w, refusing("watch", info.Name, err)
		},
	}, client)
}

// waiting is the waiting for one release.
type waiting struct {
	*status
	info *resource.Info
	last string // line printed
	hint string // what was said of what to type
}

// seen prints what is new in an event; true: the release is done.
func (w *waiting) seen(ctx context.Context, e watch.Event) (bool, error) {
	switch e.Type {
	case watch.Added, watch.Modified:
	case watch.Deleted:
		return true, errors.New("object has been deleted")
	default:
		return true, fmt.Errorf("internal error: unexpected event %#v", e)
	}
	u, ok := e.Object.(*unstructured.Unstructured)
	if !ok {
		return true, fmt.Errorf("internal error: unexpected object %T", e.Object)
	}
	ro, err := decode(u)
	if err != nil {
		return true, err
	}
	r := view.Of(view.Seen{Rollout: ro})
	if r.Outcome == "" {
		return !w.watch, w.running(ctx, ro, r)
	}
	begins, err := w.begins(ro)
	switch {
	case err != nil:
		return true, err
	case begins:
		w.say("Waiting for the release to begin: the workload has been changed")
		return !w.watch, nil
	default:
		return true, w.ended(r)
	}
}

// running prints where a release is, and what it waits for if that is a person.
func (w *waiting) running(ctx context.Context, ro *rolloutsv1beta1.Rollout, r view.Rollout) error {
	line := r.Message
	switch {
	case r.Lagging || line == "":
		line = "Waiting for the controller to reconcile the Rollout"
	case r.Running() && r.Detail != "":
		line += " (" + r.Detail + ")"
	}
	changed := w.say(line)
	hint := ""
	if a := r.Awaiting; a != nil && a.Command != "" && !r.Lagging {
		hint = fmt.Sprintf("Waiting for %s: %s", a.For, a.Command)
	}
	if hint != "" && (hint != w.hint || changed) {
		_, _ = fmt.Fprintln(w.Out, hint)
	}
	w.hint = hint
	if changed && w.detail {
		seen, err := w.look(ctx, ro)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(w.Out, "\n%s\n", view.Of(seen).Tree(w.style(false)))
	}
	return nil
}

// say prints a line that is not the last one again.
func (w *waiting) say(line string) bool {
	if line == w.last {
		return false
	}
	w.last = line
	_, _ = fmt.Fprintln(w.Out, line)
	return true
}

// begins: the workload was changed, and the Rollout's status is that of the release before.
func (w *waiting) begins(ro *rolloutsv1beta1.Rollout) (bool, error) {
	workload, err := w.workload(ro.Namespace, ro.Spec.WorkloadRef)
	if absent(err) || errors.Is(err, errNoWorkloadNamed) || w.hidden(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	u, ok := workload.Object.(*unstructured.Unstructured)
	return ok && ro.Status.Phase != rolloutsv1beta1.PhaseDisabled && u.GetAnnotations()[rolloutsv1beta1.AnnotationInProgressing] != "", nil
}

// ended says how a release went.
func (w *waiting) ended(r view.Rollout) error {
	switch r.Outcome {
	case view.Cancelled:
		return fmt.Errorf("rollout %q was rolled back: %s", r.Name, r.Message)
	case view.Disabled:
		return fmt.Errorf("rollout %q is disabled: %s", r.Name, r.Message)
	default:
		if r.Message != "" {
			w.say(r.Message)
		}
		w.say(fmt.Sprintf("rollout %q successfully rolled out", r.Name))
		return nil
	}
}
