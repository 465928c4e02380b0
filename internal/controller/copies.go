// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
	"kruise.io/rollouts/internal/raw"
)

// Objects of ours are typed, and so are those of the cache. What our types do not know is read past it where it would be lost.

// copied is what a change creates, with what our types do not know of the object that it is a copy of: a cluster that is newer
// than our libraries has fields that they lack. That takes a read past the cache, whose objects are typed; one for each copy.
func copied(ctx context.Context, live client.Reader, c plan.Change) (client.Object, error) {
	created, _ := c.To.DeepCopyObject().(client.Object)
	if c.Like == nil || live == nil {
		return created, nil
	}
	whole, from, err := original(ctx, live, c.Like)
	if err != nil {
		return nil, err
	}
	to, err := raw.Of(created)
	if err != nil {
		return nil, err
	}
	return liken(whole, from, to)
}

// liken returns what whole becomes where our types see from become to. What an object is called, who made it and how it fares
// are its own.
func liken(whole, from, to map[string]any) (*unstructured.Unstructured, error) {
	from["apiVersion"], from["kind"] = whole["apiVersion"], whole["kind"]
	to["apiVersion"], to["kind"] = whole["apiVersion"], whole["kind"]
	whole["metadata"], from["metadata"] = to["metadata"], to["metadata"]
	for _, o := range []map[string]any{whole, from, to} {
		delete(o, "status")
	}
	raw.Overlay(whole, from, to)
	return unstructuredOf(whole)
}

// original reads an object past the cache, whose objects are typed: as the cluster has it, and as our types have that.
func original(ctx context.Context, live client.Reader, seen client.Object) (whole, known map[string]any, err error) {
	kind, err := apiutil.GVKForObject(seen, Scheme())
	if err != nil {
		return nil, nil, fmt.Errorf("finding the kind of %s: %w", named(seen), err)
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	err = live.Get(ctx, client.ObjectKeyFromObject(seen), u)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil, errLagging // it was deleted a moment ago, and the cache will show that
	case err != nil:
		return nil, nil, fmt.Errorf("reading %s: %w", named(seen), err)
	case u.GetUID() != seen.GetUID() || u.GetGeneration() != seen.GetGeneration():
		return nil, nil, errLagging
	}
	text, err := u.MarshalJSON()
	if err != nil {
		return nil, nil, fmt.Errorf("writing %s: %w", named(seen), err)
	}
	if whole, err = raw.Decode(text); err != nil {
		return nil, nil, err
	}
	known, err = raw.Of(typedAs(u, seen))
	return whole, known, err
}

// merged is a change as it is to be patched. A merge patch replaces lists, and what our types do not know of their items with
// them; where one would, it is made from the object as the cluster has it. Items that are like those of another object have what
// those have.
func merged(ctx context.Context, live client.Reader, c plan.Change) (from, to client.Object, err error) {
	if _, ours := c.From.(*v1beta1.BatchRelease); live == nil || ours || !replacesItems(c.From, c.To) {
		return c.From, c.To, nil
	}
	whole, had, err := original(ctx, live, c.From)
	if err != nil {
		return nil, nil, err
	}
	if version, _, _ := unstructured.NestedString(whole, "metadata", "resourceVersion"); version != c.From.GetResourceVersion() {
		return nil, nil, errLagging
	}
	want, err := raw.Of(c.To)
	if err != nil {
		return nil, nil, err
	}
	if c.Like != nil {
		model, known, err := original(ctx, live, c.Like)
		if err != nil {
			return nil, nil, err
		}
		like, err := liken(model, known, want)
		if err != nil {
			return nil, nil, err
		}
		want = like.Object
	}
	before, err := unstructuredOf(whole)
	if err != nil {
		return nil, nil, err
	}
	want["apiVersion"], want["kind"], want["status"] = had["apiVersion"], had["kind"], had["status"]
	raw.Overlay(whole, had, want)
	after, err := unstructuredOf(whole)
	return before, after, err
}

// replacesItems reports whether a merge patch replaces a list of objects.
func replacesItems(from, to client.Object) bool {
	switch from.(type) {
	case *unstructured.Unstructured, *appsv1.Deployment, *appsv1.ReplicaSet:
		return false // it is whole; it is patched field by field
	}
	data, err := client.MergeFrom(from).Data(to)
	patch := any(nil)
	if err != nil || json.Unmarshal(data, &patch) != nil {
		return false
	}
	return slices.ContainsFunc(listsIn(patch), func(list []any) bool {
		return slices.ContainsFunc(list, func(item any) bool {
			_, object := item.(map[string]any)
			return object
		})
	})
}

// listsIn are the lists of a merge patch.
func listsIn(v any) [][]any {
	switch v := v.(type) {
	case []any:
		return [][]any{v}
	case map[string]any:
		var lists [][]any
		for _, value := range v {
			lists = append(lists, listsIn(value)...)
		}
		return lists
	default:
		return nil
	}
}

// unstructuredOf is an object of JSON for the client to write.
func unstructuredOf(o map[string]any) (*unstructured.Unstructured, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("writing the object: %w", err)
	}
	u := &unstructured.Unstructured{}
	return u, u.UnmarshalJSON(text)
}

// typedAs is an object as the type of another: what was written whole is known by the name of its type.
func typedAs(o, like client.Object) client.Object {
	u, raw := o.(*unstructured.Unstructured)
	typed, _ := like.DeepCopyObject().(client.Object)
	if _, same := like.(*unstructured.Unstructured); !raw || same {
		return o
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, typed); err != nil {
		return o
	}
	return typed
}
