// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"maps"
	"math"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// errLagging says that the cache does not show a write yet: one of ours, which a pass now would only repeat, or one of somebody
// else's to what is about to be copied.
var errLagging = errors.New("the cache does not show the last write yet")

// forgetAfter is how long a write is waited for at most: whatever happened to the object since, a pass does no harm.
const forgetAfter = 5 * time.Second

// readback remembers what was written until the cache shows it. It saves API calls and nothing else: without it, or
// after a restart, the same decision is taken again and its write changes nothing.
type readback struct {
	clock   clock.PassiveClock
	mu      sync.Mutex
	written map[types.UID]mark
	created map[string]mark // by kind and name: a cache that does not hold an object cannot know its UID
}

// mark is a write that the cache has to catch up with.
type mark struct {
	version uint64 // resource version
	deleted bool
	key     string
	until   time.Time
}

func newReadback(c clock.PassiveClock) *readback {
	return &readback{clock: c, written: map[types.UID]mark{}, created: map[string]mark{}}
}

// wrote notes an object as the API server returned it from a write.
func (r *readback) wrote(obj client.Object) {
	r.note(obj, mark{version: version(obj), key: keyOf(obj)})
}

// deleted notes that an object was deleted: the cache has to show that it is going, or no longer show it.
func (r *readback) deleted(obj client.Object) {
	r.note(obj, mark{version: version(obj), deleted: true, key: keyOf(obj)})
}

// gone notes that an object lost its last finalizer: whatever the cache still shows of it is old.
func (r *readback) gone(obj client.Object) {
	r.note(obj, mark{version: math.MaxUint64, key: keyOf(obj)})
}

func (r *readback) note(obj client.Object, m mark) {
	if r == nil {
		return
	}
	m.until = r.clock.Now().Add(forgetAfter)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget()
	r.written[obj.GetUID()] = m
	if m.deleted || m.version == math.MaxUint64 {
		delete(r.created, m.key)
	} else {
		r.created[m.key] = m
	}
}

// forget drops what has been waited for long enough, once in a while.
func (r *readback) forget() {
	const enough = 1024
	if len(r.written) < enough && len(r.created) < enough {
		return
	}
	now := r.clock.Now()
	maps.DeleteFunc(r.written, func(_ types.UID, m mark) bool { return now.After(m.until) })
	maps.DeleteFunc(r.created, func(_ string, m mark) bool { return now.After(m.until) })
}

// lagging reports whether obj, as the cache shows it, is older than our last write to it.
func (r *readback) lagging(obj client.Object) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.written[obj.GetUID()]
	if !ok {
		return false
	}
	behind := m.deleted && obj.GetDeletionTimestamp() == nil || !m.deleted && version(obj) < m.version
	if behind && r.clock.Now().Before(m.until) {
		return true
	}
	delete(r.written, obj.GetUID())
	delete(r.created, m.key)
	return false
}

// missing reports whether the cache lacks an object that we created. Objects go only after that was seen, or noted.
func (r *readback) missing(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.created[key]
	return ok && r.clock.Now().Before(m.until)
}

// reader reads from the cache, and fails with errLagging where it is behind our own writes.
func (r *readback) reader(c client.Reader) readbackReader { return readbackReader{Reader: c, own: r} }

type readbackReader struct {
	client.Reader
	own *readback
}

// fresh fails where obj is older than our last write to it.
func (r readbackReader) fresh(obj client.Object) error {
	if r.own != nil && r.own.lagging(obj) {
		return errLagging
	}
	return nil
}

func (r readbackReader) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	err := r.Reader.Get(ctx, key, obj, opts...)
	switch {
	case err == nil:
		return r.fresh(obj)
	case apierrors.IsNotFound(err) && r.own != nil:
		obj.SetNamespace(key.Namespace)
		obj.SetName(key.Name)
		if r.own.missing(keyOf(obj)) {
			return errLagging
		}
	}
	return err
}

func (r readbackReader) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if err := r.Reader.List(ctx, list, opts...); err != nil {
		return err
	}
	return meta.EachListItem(list, func(o runtime.Object) error {
		if obj, ok := o.(client.Object); ok {
			return r.fresh(obj)
		}
		return nil
	})
}

func keyOf(obj client.Object) string { return named(obj) }

// version reads a resource version as a number, as the API promises since Kubernetes 1.35 and etcd always kept.
func version(obj client.Object) uint64 {
	v, _ := strconv.ParseUint(obj.GetResourceVersion(), 10, 64)
	return v
}
