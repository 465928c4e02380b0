// SPDX-License-Identifier: Apache-2.0

package kruise

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// patience is how long a write that no watch confirms keeps its workload waiting: one may have been made and undone while a watch
// was broken.
const patience = time.Minute

// expectations are the writes that the cache does not show yet. Anyone who looked before it does would make the same pods again.
type expectations struct {
	mu    sync.Mutex
	wants map[workload]map[string]time.Time
}

func (e *expectations) add(of workload, what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.wants == nil {
		e.wants = map[workload]map[string]time.Time{}
	}
	if e.wants[of] == nil {
		e.wants[of] = map[string]time.Time{}
	}
	e.wants[of][what] = time.Now()
}

func (e *expectations) met(of workload, what ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range what {
		delete(e.wants[of], w)
	}
	if len(e.wants[of]) == 0 {
		delete(e.wants, of)
	}
}

// wait is for how long to wait at most for the cache; 0: it shows all.
func (e *expectations) wait(of workload) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	longest := time.Duration(0)
	for what, since := range e.wants[of] {
		left := patience - time.Since(since)
		if left <= 0 {
			delete(e.wants[of], what)
		}
		longest = max(longest, left)
	}
	return longest
}

func made(o client.Object) string {
	kind := fmt.Sprintf("%T", o)
	return "made " + kind + " " + o.GetName()
}

func deleted(o client.Object) string { return "deleted " + string(o.GetUID()) }

// writer notes what is written for a workload until the cache shows it.
type writer struct {
	client.Client
	of workload
	*expectations
}

func (w writer) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	w.add(w.of, made(o))
	err := w.Client.Create(ctx, o, opts...)
	if err != nil {
		w.met(w.of, made(o))
	}
	return err
}

func (w writer) Delete(ctx context.Context, o client.Object, opts ...client.DeleteOption) error {
	w.add(w.of, deleted(o))
	err := w.Client.Delete(ctx, o, opts...)
	if err != nil {
		w.met(w.of, deleted(o))
	}
	return err
}

// workload names an object that makes pods.
type workload struct{ kind, namespace, name string }

func nameOf(u *unstructured.Unstructured) workload {
	return workload{u.GetKind(), u.GetNamespace(), u.GetName()}
}
