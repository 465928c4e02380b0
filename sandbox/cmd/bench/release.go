// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/product"
)

const (
	namespace = "default"
	pods      = 5
	steps     = 5
)

var rollouts = schema.GroupVersionResource{Group: "rollouts.kruise.io", Version: "v1beta1", Resource: "rollouts"}

// bench is n releases at once.
type bench struct {
	measured
	config *rest.Config
	began  time.Time

	kube  kubernetes.Interface
	dyn   dynamic.Interface
	mu    sync.Mutex
	took  []time.Duration
	start map[string]time.Time
}

// prepare creates the workloads and Rollouts and waits until all of them are healthy.
func (b *bench) prepare(ctx context.Context) error {
	b.config.QPS, b.config.WarningHandlerWithContext = -1, rest.NoWarnings{}
	var err error
	if b.kube, err = kubernetes.NewForConfig(b.config); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if b.dyn, err = dynamic.NewForConfig(b.config); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	for i := range b.n {
		name := fmt.Sprintf("app-%03d", i)
		if _, err := b.dyn.Resource(b.of().gvr()).Namespace(namespace).Create(ctx, b.workload(name), metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("creating %s %s: %w", b.of().name, name, err)
		}
		for _, route := range b.routes(name) {
			if _, err := b.dyn.Resource(route.resource).Namespace(namespace).Create(ctx, route.object, metav1.CreateOptions{}); err != nil {
				return fmt.Errorf("creating %s %s: %w", route.resource.Resource, name, err)
			}
		}
		if _, err := b.dyn.Resource(rollouts).Namespace(namespace).Create(ctx, b.rollout(name), metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("creating Rollout %s: %w", name, err)
		}
	}
	return b.watch(ctx, func(o *unstructured.Unstructured) bool {
		phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
		return phase == "Healthy"
	}, func() error { return b.untilReady(ctx) })
}

// warmUp releases once without measuring: caches fill, and the API server has taken up the CRDs as the manager changed
// them, which ends all watches of their objects once.
func (b *bench) warmUp(ctx context.Context) error {
	all := b.n
	defer func() { b.n, b.took = all, nil }()
	b.n = 1
	return b.release(ctx, "app:warm")
}

// release changes every template and waits until every Rollout has succeeded.
func (b *bench) release(ctx context.Context, image string) error {
	b.start = map[string]time.Time{}
	b.began = time.Now()
	running := map[string]bool{} // the last release's end is not this one's
	return b.watch(ctx, func(o *unstructured.Unstructured) bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		began, started := b.start[o.GetName()]
		if !succeeded(o) {
			running[o.GetName()] = started
		}
		if !started || !running[o.GetName()] || !succeeded(o) {
			return false
		}
		b.took = append(b.took, time.Since(began))
		return true
	}, func() error { return b.setImages(ctx, image) })
}

// setImages changes every workload.
func (b *bench) setImages(ctx context.Context, image string) error {
	limit := make(chan struct{}, 20)
	failed := make(chan error, b.n)
	for i := range b.n {
		limit <- struct{}{}
		go func() {
			defer func() { <-limit }()
			name := fmt.Sprintf("app-%03d", i)
			b.mu.Lock()
			if b.start != nil {
				b.start[name] = time.Now()
			}
			b.mu.Unlock()
			failed <- b.setImage(ctx, name, image)
		}()
	}
	for range b.n {
		if err := <-failed; err != nil {
			return fmt.Errorf("changing a workload: %w", err)
		}
	}
	return nil
}

func succeeded(o *unstructured.Unstructured) bool {
	message, _, _ := unstructured.NestedString(o.Object, "status", "message")
	return message == "Rollout progressing has been completed"
}

// watch acts, and waits until each of the n Rollouts has been seen as wanted.
func (b *bench) watch(ctx context.Context, wanted func(*unstructured.Unstructured) bool, act func() error) error {
	w, err := b.dyn.Resource(rollouts).Namespace(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("watching Rollouts: %w", err)
	}
	defer w.Stop()
	acted := make(chan error, 1)
	go func() { acted <- act() }()
	seen := map[string]bool{}
	for pending := true; pending || len(seen) < b.n; {
		select {
		case err := <-acted:
			if err != nil {
				return err
			}
			pending, acted = false, nil
		case e, ok := <-w.ResultChan():
			if !ok {
				return fmt.Errorf("watching Rollouts: ended with %d of %d done", len(seen), b.n)
			}
			if o, ok := e.Object.(*unstructured.Unstructured); ok && !seen[o.GetName()] && wanted(o) {
				seen[o.GetName()] = true
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// print writes one row, and the calls by verb and resource where they are wanted. Writes and reads are per release; idle
// is all calls in ten seconds after the last one has ended.
func (b *bench) print(calls map[sandbox.Call]int, cpu time.Duration, usage product.Usage, idle int, wanted bool) {
	slices.Sort(b.took)
	at := func(share float64) time.Duration { return b.took[min(int(share*float64(b.n)), b.n-1)] }
	writes, reads := 0, 0
	for call, n := range calls {
		if call.Writes() {
			writes += n
		} else if call.Verb != "watch" {
			reads += n
		}
	}
	fmt.Printf("%-26s %8d %10s %8s %8s %8.1f %8.1f %8d %10s %6d MiB\n", b.name, b.n, at(1).Round(time.Millisecond),
		at(.5).Round(time.Millisecond), at(.99).Round(time.Millisecond), float64(writes)/float64(b.n), float64(reads)/float64(b.n), idle,
		(cpu / time.Duration(b.n)).Round(time.Millisecond), usage.Memory>>20)
	if wanted {
		list(calls, float64(b.n))
	}
}

// list writes calls by verb and resource, per something.
func list(calls map[sandbox.Call]int, per float64) {
	for _, call := range slices.SortedFunc(maps.Keys(calls), func(a, c sandbox.Call) int { return cmp.Compare(calls[c], calls[a]) }) {
		fmt.Printf("    %8.2f  %s\n", float64(calls[call])/per, call)
	}
}
