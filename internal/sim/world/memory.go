// SPDX-License-Identifier: Apache-2.0

package world

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// memory remembers what was read until something of that kind is written: most rounds of a world change little, and the fake
// client takes all that is read through JSON.
type memory struct {
	mu    sync.Mutex
	known map[schema.GroupKind]map[query]runtime.Object
}

// query is what a read asks for.
type query struct {
	into      reflect.Type
	version   string
	namespace string
	name      string // of an object; "": a list
	fields    string // field selector of a list
}

// remembering returns a client of the same store that reads from memory where it can.
func remembering(c client.WithWatch) client.WithWatch {
	m := &memory{known: map[schema.GroupKind]map[query]runtime.Object{}}
	return interceptor.NewClient(c, interceptor.Funcs{
		Get:  m.get,
		List: m.list,
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			defer m.forget(c.Scheme(), o)
			return c.Create(ctx, o, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			defer m.forget(c.Scheme(), o)
			return c.Update(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			defer m.forget(c.Scheme(), o)
			return c.Patch(ctx, o, p, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			defer m.forget(c.Scheme(), o)
			return c.Delete(ctx, o, opts...)
		},
		DeleteAllOf: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteAllOfOption) error {
			defer m.forget(c.Scheme(), o)
			return c.DeleteAllOf(ctx, o, opts...)
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			defer m.forget(c.Scheme(), o)
			return c.SubResource(sub).Update(ctx, o, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			defer m.forget(c.Scheme(), o)
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	})
}

func (m *memory) forget(s *runtime.Scheme, o client.Object) {
	gvk, err := apiutil.GVKForObject(o, s)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		clear(m.known)
		return
	}
	delete(m.known, gvk.GroupKind())
}

// read returns what a query finds, from memory or by asking.
func (m *memory) read(kind schema.GroupKind, q query, ask func() (runtime.Object, error)) (runtime.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if found := m.known[kind][q]; found != nil {
		return found, nil
	}
	found, err := ask()
	if err != nil {
		return nil, err
	}
	if m.known[kind] == nil {
		m.known[kind] = map[query]runtime.Object{}
	}
	m.known[kind][q] = found
	return found, nil
}

func (m *memory) get(ctx context.Context, c client.WithWatch, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
	gvk, err := apiutil.GVKForObject(into, c.Scheme())
	if err != nil {
		return fmt.Errorf("reading %T: %w", into, err)
	}
	q := query{into: reflect.TypeOf(into), version: gvk.Version, namespace: key.Namespace, name: key.Name}
	found, err := m.read(gvk.GroupKind(), q, func() (runtime.Object, error) {
		o, _ := into.DeepCopyObject().(client.Object)
		return o, c.Get(ctx, key, o, opts...)
	})
	if err != nil {
		return err
	}
	put(found, into)
	return nil
}

func (m *memory) list(ctx context.Context, c client.WithWatch, into client.ObjectList, opts ...client.ListOption) error {
	options := (&client.ListOptions{}).ApplyOptions(opts)
	gvk, err := apiutil.GVKForObject(into, c.Scheme())
	if err != nil {
		return fmt.Errorf("listing %T: %w", into, err)
	}
	q := query{into: reflect.TypeOf(into), version: gvk.Version, namespace: options.Namespace}
	if options.FieldSelector != nil {
		q.fields = options.FieldSelector.String()
	}
	kind := schema.GroupKind{Group: gvk.Group, Kind: strings.TrimSuffix(gvk.Kind, "List")}
	all, err := m.read(kind, q, func() (runtime.Object, error) {
		list, _ := into.DeepCopyObject().(client.ObjectList)
		return list, c.List(ctx, list, &client.ListOptions{Namespace: options.Namespace, FieldSelector: options.FieldSelector})
	})
	if err != nil {
		return err
	}
	return selected(all, into, options.LabelSelector)
}

// put makes into a copy of what was found.
func put(found, into runtime.Object) {
	reflect.ValueOf(into).Elem().Set(reflect.ValueOf(found.DeepCopyObject()).Elem())
}

// selected puts copies of those objects of a list into another that a selector selects.
func selected(all runtime.Object, into client.ObjectList, selector labels.Selector) error {
	if selector == nil || selector.Empty() {
		put(all, into)
		return nil
	}
	var items []runtime.Object
	err := meta.EachListItem(all, func(o runtime.Object) error {
		if m, err := meta.Accessor(o); err == nil && selector.Matches(labels.Set(m.GetLabels())) {
			items = append(items, o.DeepCopyObject())
		}
		return nil
	})
	if err != nil {
		return err
	}
	return meta.SetList(into, items)
}
