// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"reflect"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// watches adds the watch of a kind when something first refers to it: a cluster pays for no kind it does not release or
// route with, and kinds may come later than the manager.
type watches struct {
	concerned  handler.MapFunc
	news       []predicate.Predicate
	mu         sync.Mutex
	watched    map[string]bool
	controller ctrlcontroller.Controller
	cache      cache.Cache
}

func newWatches(mgr ctrl.Manager, concerned handler.MapFunc, news ...predicate.Predicate) *watches {
	return &watches{watched: map[string]bool{}, cache: mgr.GetCache(), concerned: concerned, news: news}
}

// add watches the kind of o, once.
func (w *watches) add(o client.Object) error {
	kind := fmt.Sprintf("%s %s", reflect.TypeOf(o), o.GetObjectKind().GroupVersionKind())
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watched[kind] || w.controller == nil {
		return nil
	}
	watched, ok := reflect.TypeAssert[client.Object](reflect.New(reflect.TypeOf(o).Elem()))
	if !ok {
		return nil
	}
	if u, ok := watched.(*unstructured.Unstructured); ok {
		u.SetGroupVersionKind(o.GetObjectKind().GroupVersionKind())
	}
	if err := w.controller.Watch(source.Kind(w.cache, watched, handler.EnqueueRequestsFromMapFunc(w.concerned), w.news...)); err != nil {
		return err
	}
	w.watched[kind] = true
	return nil
}
