// SPDX-License-Identifier: Apache-2.0

// Package kruise is the sandbox's stand-in for OpenKruise: it carries out what internal/sim decides for CloneSets, Advanced
// StatefulSets and Advanced DaemonSets, whenever a watch reports a change. Nothing of OpenKruise is in it.
package kruise

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/internal/sim"
)

const (
	workers = 8  // workloads at a time
	writers = 16 // pods of a workload at a time
	group   = "apps.kruise.io"
)

// versions are those that are watched, which are those that are stored.
var versions = map[string]string{"CloneSet": "v1alpha1", "StatefulSet": "v1beta1", "DaemonSet": "v1alpha1"}

// Runner plays the controllers.
type Runner struct {
	// Config is how it talks to the API server. It should not be rate limited.
	Config *rest.Config
	// Log takes what goes wrong.
	Log *slog.Logger

	cache  cache.Cache
	client client.Client
	queue  workqueue.TypedRateLimitingInterface[workload]
	expectations
}

// Run calls ready when it knows everything there is, and plays until ctx is done.
func (r *Runner) Run(ctx context.Context, ready func()) (err error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return fmt.Errorf("making a scheme: %w", err)
	}
	if r.cache, err = cache.New(r.Config, cache.Options{
		Scheme:           scheme,
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject:         map[client.Object]cache.ByObject{&corev1.Pod{}: {UnsafeDisableDeepCopy: new(true)}}, // nobody here changes one
	}); err != nil {
		return fmt.Errorf("making a cache: %w", err)
	}
	if r.client, err = client.New(r.Config, client.Options{
		Scheme: scheme, Cache: &client.CacheOptions{Reader: r.cache, Unstructured: true},
	}); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	r.queue = workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[workload](5*time.Millisecond, time.Second))
	if err := r.watch(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	var broken error
	running.Go(func() {
		if broken = r.cache.Start(ctx); broken != nil {
			cancel()
		}
	})
	if r.cache.WaitForCacheSync(ctx) {
		for range workers {
			running.Go(func() {
				for r.work(ctx) {
				}
			})
		}
		ready()
	}
	<-ctx.Done()
	r.queue.ShutDown()
	running.Wait()
	return broken
}

// watch lets every change wake the workload it is about.
func (r *Runner) watch(ctx context.Context) error {
	for kind, version := range versions {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: version, Kind: kind})
		if err := r.on(ctx, u, func(_, o client.Object, gone bool) {
			if u, ok := o.(*unstructured.Unstructured); ok && !gone {
				r.queue.Add(nameOf(u))
			}
		}); err != nil {
			return err
		}
	}
	if err := r.on(ctx, &corev1.Pod{}, r.owned); err != nil {
		return err
	}
	if err := r.on(ctx, &appsv1.ControllerRevision{}, r.owned); err != nil {
		return err
	}
	return r.on(ctx, &corev1.Node{}, func(before, node client.Object, _ bool) {
		if before == nil || !maps.Equal(before.GetLabels(), node.GetLabels()) {
			r.wakeDaemons(ctx)
		}
	})
}

// owned is called with something that a workload may have made.
func (r *Runner) owned(_, o client.Object, gone bool) {
	owner := metav1.GetControllerOf(o)
	if owner == nil {
		return
	}
	if gv, err := schema.ParseGroupVersion(owner.APIVersion); err != nil || gv.Group != group || versions[owner.Kind] == "" {
		return
	}
	of := workload{owner.Kind, o.GetNamespace(), owner.Name}
	r.met(of, made(o))
	if gone || o.GetDeletionTimestamp() != nil {
		r.met(of, deleted(o))
	}
	r.queue.Add(of)
}

// wakeDaemons lets all DaemonSets check the nodes anew.
func (r *Runner) wakeDaemons(ctx context.Context) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: versions["DaemonSet"], Kind: "DaemonSetList"})
	if err := r.client.List(ctx, list); err != nil {
		return // the cache is starting, which wakes everything, or it is at its end
	}
	for i := range list.Items {
		r.queue.Add(nameOf(&list.Items[i]))
	}
}

func (r *Runner) on(ctx context.Context, kind client.Object, do func(before, o client.Object, gone bool)) error {
	informer, err := r.cache.GetInformer(ctx, kind)
	if err != nil {
		return fmt.Errorf("watching %T: %w", kind, err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if o, ok := obj.(client.Object); ok {
				do(nil, o, false)
			}
		},
		UpdateFunc: func(old, obj any) {
			before, _ := old.(client.Object)
			if o, ok := obj.(client.Object); ok {
				do(before, o, false)
			}
		},
		DeleteFunc: func(obj any) {
			if last, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = last.Obj
			}
			if o, ok := obj.(client.Object); ok {
				do(nil, o, true)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watching %T: %w", kind, err)
	}
	return nil
}

// work handles the next workload; it reports whether there may be another.
func (r *Runner) work(ctx context.Context) bool {
	w, shutdown := r.queue.Get()
	if shutdown {
		return false
	}
	defer r.queue.Done(w)
	again, err := r.sync(ctx, w)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		r.Log.WarnContext(ctx, "a workload could not be run, trying again", "kind", w.kind, "namespace", w.namespace, "name", w.name, "error", err)
		r.queue.AddRateLimited(w)
	default:
		r.queue.Forget(w)
		if again > 0 {
			r.queue.AddAfter(w, again)
		}
	}
	return true
}

// sync lets a controller check its workload, unless the cache is behind what it wrote.
func (r *Runner) sync(ctx context.Context, w workload) (time.Duration, error) {
	if left := r.wait(w); left > 0 {
		return left, nil
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: versions[w.kind], Kind: w.kind})
	if err := r.client.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: w.name}, u); err != nil {
		return 0, client.IgnoreNotFound(err)
	}
	c := sim.Cluster{
		Client: writer{r.client, w, &r.expectations}, Namespace: w.namespace, Now: time.Now, Scheduled: true, Parallel: writers,
	}
	next, err := c.SyncKruise(ctx, u)
	if err != nil || next.IsZero() {
		return 0, err
	}
	return max(time.Millisecond, time.Until(next)), nil
}
