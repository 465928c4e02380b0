// SPDX-License-Identifier: Apache-2.0

// Package agent is the sandbox's stand-in for every kubelet: it registers nodes, and carries out what internal/sim decides
// for the pods that the scheduler bound to them.
package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"kruise.io/rollouts/internal/sim"
)

// workers is how many pods are handled at a time: enough for the API server of a sandbox never to wait for us.
const workers = 32

// Agent runs the pods of all nodes.
type Agent struct {
	// Client is how the agent talks to the API server. It should not be rate limited.
	Client kubernetes.Interface
	// Nodes is how many nodes to register.
	Nodes int
	// Version is the version that the nodes report.
	Version string
	// Listen opens the listeners of pods; nil for pods that only look as if they ran.
	Listen ListenFunc
	// Log takes what goes wrong.
	Log *slog.Logger

	pods      cache.Store
	queue     workqueue.TypedRateLimitingInterface[string]
	addresses addresses

	mu      sync.Mutex
	records map[string]*record // by namespace/name
}

// record is what the agent knows of one pod next to the object. The queue hands a pod to one worker at a time, so only the
// map that holds the records needs a lock.
type record struct {
	sim.PodRecord
	uid     types.UID
	images  string
	written uint64 // the resource version of our last write
	removed bool
	servers *servers
}

// Run registers the nodes, calls ready, and runs pods until ctx is done. It closes what it opened before it returns.
func (a *Agent) Run(ctx context.Context, ready func()) error {
	a.records = map[string]*record{}
	a.queue = workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](5*time.Millisecond, time.Second))
	if err := a.registerNodes(ctx); err != nil {
		return err
	}

	enqueue := func(obj any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj); err == nil {
			a.queue.Add(key)
		}
	}
	bound := fields.OneTermNotEqualSelector("spec.nodeName", "")
	store, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.ToListWatcherWithWatchListSemantics(
			cache.NewListWatchFromClient(a.Client.CoreV1().RESTClient(), "pods", metav1.NamespaceAll, bound), a.Client),
		ObjectType: &corev1.Pod{},
		Transform:  dropManagedFields,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    enqueue,
			UpdateFunc: func(_, obj any) { enqueue(obj) },
			DeleteFunc: enqueue,
		},
	})
	a.pods = store

	var running sync.WaitGroup
	running.Go(func() { informer.RunWithContext(ctx) })
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return fmt.Errorf("listing pods: %w", context.Cause(ctx))
	}
	// A pod keeps its address for life, also when it was given by an agent before this one.
	for _, obj := range store.List() {
		a.addresses.reserve(obj.(*corev1.Pod).Status.PodIP)
	}
	for range workers {
		running.Go(func() {
			for a.work(ctx) {
			}
		})
	}
	ready()

	<-ctx.Done()
	a.queue.ShutDown()
	running.Wait()
	for _, r := range a.records {
		r.servers.close(ctx, 0)
	}
	return nil
}

// work handles the next pod; it reports whether there may be another.
func (a *Agent) work(ctx context.Context) bool {
	key, shutdown := a.queue.Get()
	if shutdown {
		return false
	}
	defer a.queue.Done(key)
	again, err := a.sync(ctx, key)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		a.Log.WarnContext(ctx, "a pod could not be run, trying again", "pod", key, "error", err)
		a.queue.AddRateLimited(key)
	default:
		a.queue.Forget(key)
		if again > 0 {
			a.queue.AddAfter(key, again)
		}
	}
	return true
}

// sync does the next thing for one pod.
func (a *Agent) sync(ctx context.Context, key string) (time.Duration, error) {
	obj, exists, err := a.pods.GetByKey(key)
	if err != nil {
		return 0, fmt.Errorf("looking up the pod: %w", err)
	}
	if !exists {
		a.forget(ctx, key)
		return 0, nil
	}
	pod := obj.(*corev1.Pod)
	now := time.Now()
	r, err := a.recordOf(ctx, key, pod, now)
	if err != nil {
		return 0, err
	}
	if r.removed || isOlder(pod, r.written) {
		return 0, nil // we know better than the cache: it will wake us when it knows, too
	}

	r.Crashed = r.servers.crashed()
	step := sim.Kubelet(pod, r.PodRecord, now)
	if a.Listen != nil {
		if !step.Serving {
			r.servers.close(ctx, drained(r, now))
		} else if err := r.servers.serve(ctx, a.Listen, pod, r.PodRecord); err != nil {
			return 0, err
		}
	}
	switch {
	case step.Remove:
		r.removed = true
		if err := a.remove(ctx, pod); err != nil {
			r.removed = false
			return 0, err
		}
	case step.Status != nil:
		written, err := a.write(ctx, pod, step.Status)
		if err != nil {
			return 0, err
		}
		r.written = written
	}
	return step.After, nil
}

// drained is how long requests in flight may still take when a pod stops: none for a pod that exits at once, and a moment
// for one that was given time to drain.
func drained(r *record, now time.Time) time.Duration {
	if r.Deleted.IsZero() || now.Sub(r.Deleted) < time.Second {
		return 0
	}
	return time.Second
}

func (a *Agent) recordOf(ctx context.Context, key string, pod *corev1.Pod, now time.Time) (*record, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.records[key]
	if r != nil && r.uid != pod.UID { // deleted and made anew while we were not looking
		a.drop(ctx, key, r)
		r = nil
	}
	images := imagesOf(pod)
	if r == nil {
		r = &record{uid: pod.UID, images: images, servers: &servers{wake: func() { a.queue.Add(key) }}}
		if pod.Status.StartTime == nil { // else it began with an agent before us
			r.Started = now
		}
		r.HostIP = hostIP(pod.Spec.NodeName)
		switch {
		case pod.Spec.HostNetwork:
			r.PodIP = r.HostIP
		case pod.Status.PodIP != "":
			r.PodIP = pod.Status.PodIP
		default:
			ip, err := a.addresses.next()
			if err != nil {
				return nil, err
			}
			r.PodIP = ip
		}
		a.records[key] = r
	}
	if r.images != images {
		r.images, r.Started = images, now
	}
	if pod.DeletionTimestamp != nil && r.Deleted.IsZero() {
		r.Deleted = now
	}
	return r, nil
}

func (a *Agent) forget(ctx context.Context, key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.records[key]; r != nil {
		a.drop(ctx, key, r)
	}
}

func (a *Agent) drop(ctx context.Context, key string, r *record) {
	r.servers.close(ctx, 0)
	if r.PodIP != r.HostIP {
		a.addresses.release(r.PodIP)
	}
	delete(a.records, key)
}

// write patches the pod's status as the kubelet does: only what changed, and only if it is still the same pod.
func (a *Agent) write(ctx context.Context, pod *corev1.Pod, status *corev1.PodStatus) (uint64, error) {
	before, err := json.Marshal(corev1.Pod{Status: pod.Status})
	if err != nil {
		return 0, fmt.Errorf("encoding the status: %w", err)
	}
	after, err := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: pod.UID}, Status: *status})
	if err != nil {
		return 0, fmt.Errorf("encoding the status: %w", err)
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Pod{})
	if err != nil {
		return 0, fmt.Errorf("comparing the status: %w", err)
	}
	written, err := a.Client.CoreV1().Pods(pod.Namespace).
		Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
		return 0, nil // gone, or another pod of the name: the watch reports it
	case err != nil:
		return 0, fmt.Errorf("writing the status: %w", err)
	}
	version, _ := strconv.ParseUint(written.ResourceVersion, 10, 64)
	return version, nil
}

func (a *Agent) remove(ctx context.Context, pod *corev1.Pod) error {
	err := a.Client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64),
		Preconditions:      &metav1.Preconditions{UID: &pod.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("removing the stopped pod: %w", err)
	}
	return nil
}

// isOlder reports whether the cached pod is from before our last write.
func isOlder(pod *corev1.Pod, written uint64) bool {
	version, err := strconv.ParseUint(pod.ResourceVersion, 10, 64)
	return err == nil && version < written
}

// dropManagedFields keeps the bulkiest part of a pod, which no one here reads, out of memory.
func dropManagedFields(obj any) (any, error) {
	if pod, ok := obj.(*corev1.Pod); ok {
		pod.ManagedFields = nil
	}
	return obj, nil
}

func imagesOf(pod *corev1.Pod) string {
	var images strings.Builder
	for _, c := range pod.Spec.Containers {
		images.WriteString(c.Image + "\n")
	}
	return images.String()
}
