// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"kruise.io/rollouts/internal/view"
)

// following is the watch of a release: of its Rollout, its workload, that one's ReplicaSets and pods.
type following struct {
	client    dynamic.Interface
	namespace string
	changed   chan struct{}
	stop      context.CancelFunc

	rollout, workload, sets, pods cache.SharedIndexInformer

	mu      sync.Mutex
	problem error
}

// settle is how long to wait for more changes before a terminal is drawn anew: they come in bursts.
const settle = 100 * time.Millisecond

// follow calls draw with every new view of a release, until ctx is done, the Rollout is deleted, or draw fails.
func (s *shell) follow(ctx context.Context, r *release, draw func(view.Seen) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f, err := s.following(r)
	if err != nil {
		return err
	}
	f.stop = cancel
	if !f.start(ctx) {
		return f.failed()
	}
	for {
		seen, err := f.look()
		if err != nil {
			return err
		}
		if err := draw(seen); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return f.failed()
		case <-f.changed:
		}
		if s.onTerminal() {
			select {
			case <-ctx.Done():
			case <-time.After(settle):
			}
		}
	}
}

func (s *shell) following(r *release) (*following, error) {
	client, err := s.factory.DynamicClient()
	if err != nil {
		return nil, err
	}
	f := &following{client: client, namespace: r.Namespace, changed: make(chan struct{}, 1)}
	f.rollout = f.watch(r.info.Mapping.Resource, "metadata.name", r.Name, "")
	workload, err := s.workload(r.Namespace, r.Spec.WorkloadRef)
	switch {
	case absent(err), errors.Is(err, errNoWorkloadNamed):
		return f, nil // it shows what there is; started again, it shows the rest
	case err != nil:
		return nil, err
	}
	f.workload = f.watch(workload.Mapping.Resource, "metadata.name", workload.Name, "")
	selector, err := selectorOf(workload.Object)
	if err != nil {
		return f, nil //nolint:nilerr // then there are no pods to watch
	}
	f.pods = f.watch(podResource, "", "", selector)
	if workload.Mapping.GroupVersionKind.GroupKind() == deploymentKind {
		f.sets = f.watch(replicaSetResource, "", "", selector)
	}
	return f, nil
}

// watch prepares the watch of one type, of one object by its field or of several by their labels.
func (f *following) watch(gvr schema.GroupVersionResource, field, value, selector string) cache.SharedIndexInformer {
	informer := dynamicinformer.NewFilteredDynamicInformer(f.client, gvr, f.namespace, 0, cache.Indexers{}, func(o *metav1.ListOptions) {
		o.LabelSelector = selector
		if field != "" {
			o.FieldSelector = fields.OneTermEqualSelector(field, value).String()
		}
	}).Informer()
	poke := func() {
		select {
		case f.changed <- struct{}{}:
		default: // an update is pending already
		}
	}
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { poke() },
		UpdateFunc: func(any, any) { poke() },
		DeleteFunc: func(any) { poke() },
	})
	_ = informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err) {
			f.fail(err) // it would not get better by trying again
		}
	})
	return informer
}

// start begins to watch; true: everything has been seen once.
func (f *following) start(ctx context.Context) bool {
	synced := []cache.InformerSynced{}
	for _, informer := range []cache.SharedIndexInformer{f.rollout, f.workload, f.sets, f.pods} {
		if informer != nil {
			go informer.RunWithContext(ctx)
			synced = append(synced, informer.HasSynced)
		}
	}
	return cache.WaitForCacheSync(ctx.Done(), synced...)
}

func (f *following) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.problem == nil {
		f.problem = err
	}
	f.stop()
}

func (f *following) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.problem
}

var errDeleted = errors.New("object has been deleted")

// look reads what has been watched.
func (f *following) look() (view.Seen, error) {
	seen := view.Seen{Now: time.Now()}
	rollouts := f.rollout.GetStore().List()
	if len(rollouts) == 0 {
		return seen, errDeleted
	}
	u, ok := rollouts[0].(*unstructured.Unstructured)
	if !ok {
		return seen, fmt.Errorf("internal error: unexpected object %T", rollouts[0])
	}
	var err error
	if seen.Rollout, err = decode(u); err != nil {
		return seen, err
	}
	if f.pods != nil {
		if seen.Pods, err = stored[corev1.Pod](f.pods); err != nil {
			return seen, err
		}
	}
	if f.workload != nil {
		if found := f.workload.GetStore().List(); len(found) > 0 {
			seen.Workload, _ = found[0].(*unstructured.Unstructured)
		}
	}
	if f.sets == nil {
		return seen, nil
	}
	deployments, err := stored[appsv1.Deployment](f.workload)
	if err != nil || len(deployments) == 0 {
		return seen, err
	}
	sets, err := stored[appsv1.ReplicaSet](f.sets)
	if err != nil {
		return seen, err
	}
	seen.Deployment, seen.ReplicaSets = deployments[0], controlledBy(sets, deployments[0])
	seen.Pods = podsOf(seen.Pods, seen.ReplicaSets)
	return seen, nil
}

func stored[T any](informer cache.SharedIndexInformer) ([]*T, error) {
	result := []*T{}
	for _, item := range informer.GetStore().List() {
		obj, ok := item.(runtime.Object)
		if !ok {
			continue
		}
		t, err := typed[T](obj)
		if err != nil {
			return nil, err
		}
		result = append(result, t)
	}
	return result, nil
}

// screen draws text over what it drew before.
type screen struct {
	*shell
	drawn bool
	last  string
}

const (
	clearScreen = "\x1b[2J"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// draw puts text on the screen, unless it is there already. Lines are overwritten, not cleared first: that flickers.
func (s *screen) draw(text string) {
	if text == s.last {
		return
	}
	s.last = text
	start := home
	if !s.drawn {
		start, s.drawn = clearScreen+home, true
	}
	_, _ = fmt.Fprint(s.Out, start+strings.ReplaceAll(text, "\n", clearLine+"\n")+clearBelow)
}
