// SPDX-License-Identifier: Apache-2.0

package world

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	jsonpatch "github.com/evanphx/json-patch/v5"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/raw"
)

// newer is an API server that knows fields which our types lack. The store is typed and would lose them, so that every object
// is kept as JSON next to it, and every write is done to both: a patch to what is kept, whatever a client thinks the object is;
// an update as a whole, as an API server does it. The cluster's own controllers are as new as the API server and lose nothing.
type newer struct {
	*World
	made    func(kind string, o map[string]any)
	mu      sync.Mutex
	objects map[string]map[string]any // by kind and name
}

// Newer makes the cluster newer than our types, from now on. Made is called with objects that the cluster makes, and may give them
// such fields.
func (w *World) Newer(made func(kind string, o map[string]any)) {
	w.newer = &newer{World: w, made: made, objects: map[string]map[string]any{}}
	w.Cluster.Client, w.User = w.as("cluster"), w.as("user")
	w.Restart()
}

// Raw is an object as a newer cluster has it; nil: none.
func (w *World) Raw(kind, name string) map[string]any {
	w.newer.mu.Lock()
	defer w.newer.mu.Unlock()
	return w.newer.copy(kind + "/" + name)
}

// RawAll are all objects of a kind as a newer cluster has them, by name.
func (w *World) RawAll(kind string) map[string]map[string]any {
	w.newer.mu.Lock()
	defer w.newer.mu.Unlock()
	all := map[string]map[string]any{}
	for key, o := range w.newer.objects {
		if o["kind"] == kind {
			name, _, _ := unstructured.NestedString(o, "metadata", "name")
			all[name] = w.newer.copy(key)
		}
	}
	return all
}

func (n *newer) copy(key string) map[string]any {
	o, there := n.objects[key]
	if !there {
		return nil
	}
	c, _ := raw.Of(o)
	return c
}

// client is who's client of the newer server.
func (n *newer) client(c client.WithWatch, who string) client.WithWatch {
	patch := func(o client.Object, p client.Patch, do func(typed client.Object, p client.Patch) error) error {
		data, err := p.Data(o)
		if err != nil {
			return err
		}
		return n.write(o, func(typed client.Object) error {
			return do(typed, client.RawPatch(p.Type(), data))
		}, func(had map[string]any) (map[string]any, error) {
			return patched(had, p.Type(), data)
		})
	}
	same := func(had map[string]any) (map[string]any, error) { return had, nil }
	return interceptor.NewClient(c, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if err := c.Get(ctx, key, o, opts...); err != nil {
				return err
			}
			return n.show(who, o)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if err := c.List(ctx, list, opts...); err != nil {
				return err
			}
			return meta.EachListItem(list, func(o runtime.Object) error {
				return n.show(who, o.(client.Object))
			})
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			whole, err := raw.Of(o)
			if err != nil {
				return err
			}
			return n.write(o, func(typed client.Object) error { return c.Create(ctx, typed, opts...) },
				func(map[string]any) (map[string]any, error) { return n.inherited(whole, kindOf(o)), nil })
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			whole, err := raw.Of(o)
			if err != nil {
				return err
			}
			return n.write(o, func(typed client.Object) error { return c.Update(ctx, typed, opts...) },
				func(had map[string]any) (map[string]any, error) {
					if who == controller.FieldManager {
						return whole, nil
					}
					return had, nil
				})
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if options := (&client.PatchOptions{}).ApplyOptions(opts); len(options.DryRun) > 0 {
				return c.Patch(ctx, o, p, opts...)
			}
			return patch(o, p, func(typed client.Object, p client.Patch) error { return c.Patch(ctx, typed, p, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return n.write(o, func(typed client.Object) error { return c.Delete(ctx, typed, opts...) }, same)
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			return n.write(o, func(typed client.Object) error { return c.SubResource(sub).Update(ctx, typed, opts...) }, same)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return patch(o, p, func(typed client.Object, p client.Patch) error {
				return c.SubResource(sub).Patch(ctx, typed, p, opts...)
			})
		},
	})
}

// write does a write to the typed store, and to what is kept.
func (n *newer) write(o client.Object, do func(typed client.Object) error, change func(had map[string]any) (map[string]any, error)) error {
	typed, err := n.typed(o)
	if err != nil {
		return err
	}
	if err := do(typed); err != nil {
		return err
	}
	if err := n.keep(typed, change); err != nil || typed == o {
		return err
	}
	return n.show("", o)
}

// keep changes what is kept, and has it follow what the server made of the write: versions, defaults, what admission holds.
func (n *newer) keep(typed client.Object, change func(had map[string]any) (map[string]any, error)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := kindOf(typed) + "/" + typed.GetName()
	stored, _ := blank(typed)
	ctx := context.Background() //nolint:forbidigo // it is in memory
	if err := n.store.Get(ctx, client.ObjectKeyFromObject(typed), stored); err != nil {
		delete(n.objects, key)
		return client.IgnoreNotFound(err)
	}
	whole, err := change(n.copy(key))
	if err != nil {
		return err
	}
	kind, err := apiutil.GVKForObject(typed, n.store.Scheme())
	if err != nil {
		return err
	}
	stored.GetObjectKind().SetGroupVersionKind(kind)
	whole["apiVersion"], whole["kind"] = kind.GroupVersion().String(), kind.Kind
	before, err := n.known(whole, stored)
	if err != nil {
		return err
	}
	after, err := raw.Of(stored)
	if err != nil {
		return err
	}
	delete(before, "data") // of ControllerRevisions, of which the store has less
	delete(after, "data")
	raw.Overlay(whole, before, after)
	n.objects[key] = whole
	return nil
}

// known is an object as our types have it, where there is one.
func (n *newer) known(whole map[string]any, like client.Object) (map[string]any, error) {
	typed, _ := blank(like)
	if err := decode(whole, typed); err != nil {
		return nil, err
	}
	return raw.Of(typed)
}

// typed is an object as the store has it: by our types, where there are any.
func (n *newer) typed(o client.Object) (client.Object, error) {
	kind := o.GetObjectKind().GroupVersionKind()
	if _, ok := o.(*unstructured.Unstructured); !ok || !n.store.Scheme().Recognizes(kind) {
		return o, nil
	}
	made, err := n.store.Scheme().New(kind)
	if err != nil {
		return nil, err
	}
	typed, _ := made.(client.Object)
	return typed, decode(o, typed)
}

// show shows an object as it is kept to clients that read objects as they are. Templates in ControllerRevisions are read so by
// everyone, but the simulated controllers compare them with those that they know.
func (n *newer) show(who string, o client.Object) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	kept := n.objects[kindOf(o)+"/"+o.GetName()]
	if kept == nil {
		return nil
	}
	switch o := o.(type) {
	case *unstructured.Unstructured:
		text, err := json.Marshal(kept)
		if err != nil {
			return err
		}
		return o.UnmarshalJSON(text)
	case *appsv1.ControllerRevision:
		if who != controller.FieldManager {
			return nil
		}
		text, err := json.Marshal(kept["data"])
		o.Data.Raw = text
		return err
	}
	return nil
}

// inherited is an object that is made, with what it has of the one that it is made for.
func (n *newer) inherited(whole map[string]any, kind string) map[string]any {
	n.made(kind, whole)
	path := map[string][]string{"ReplicaSet": {"spec", "template"}, "ControllerRevision": {"data", "spec", "template"}}[kind]
	meta := metav1.ObjectMeta{}
	if err := decode(whole["metadata"], &meta); err != nil || path == nil {
		return whole
	}
	owner := metav1.GetControllerOfNoCopy(&meta)
	if owner == nil {
		return whole
	}
	template := mapAt(n.copy(owner.Kind+"/"+owner.Name), "spec", "template")
	known := corev1.PodTemplateSpec{}
	if template == nil || decode(template, &known) != nil {
		return whole
	}
	from, err := raw.Of(known)
	if err != nil {
		return whole
	}
	raw.Overlay(template, from, mapAt(whole, path...))
	mapAt(whole, path[:len(path)-1]...)["template"] = template
	return whole
}

// mapAt is the map at a path.
func mapAt(o map[string]any, path ...string) map[string]any {
	for _, key := range path {
		o, _ = o[key].(map[string]any)
	}
	return o
}

// patched is an object as a patch changes it.
func patched(o map[string]any, kind types.PatchType, data []byte) (map[string]any, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	if kind == types.JSONPatchType {
		operations, err := jsonpatch.DecodePatch(data)
		if err != nil {
			return nil, err
		}
		if text, err = operations.Apply(text); err != nil {
			return nil, fmt.Errorf("%w: %s", err, data)
		}
	} else if text, err = jsonpatch.MergePatch(text, data); err != nil {
		return nil, err
	}
	return raw.Decode(text)
}
