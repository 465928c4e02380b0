// SPDX-License-Identifier: Apache-2.0

package world

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// otherKinds are the workloads other than Deployments and ReplicaSets.
var otherKinds = []string{"StatefulSet", "DaemonSet", "CloneSet"}

// trespassOther: of workloads of other kinds the manager writes metadata and what holds their pods, and nothing else.
func trespassOther(w Write) string {
	specs := [2]map[string]any{}
	for i, o := range []client.Object{w.Before, w.After} {
		raw, err := json.Marshal(o)
		u := &unstructured.Unstructured{}
		if err == nil {
			err = json.Unmarshal(raw, &u.Object)
		}
		if err != nil {
			return fmt.Sprintf("%s: %v", w, err)
		}
		specs[i], _, _ = unstructured.NestedMap(u.Object, "spec")
		delete(specs[i], "updateStrategy")
		delete(specs[i], "minReadySeconds")
	}
	if !equality.Semantic.DeepEqual(specs[0], specs[1]) {
		return fmt.Sprintf("%s: the user's part of the spec", w)
	}
	return ""
}

// mayGo reports whether a pod is one that the manager may delete: no Deployment's.
func (world *World) mayGo(o client.Object) bool {
	pod, ok := o.(*corev1.Pod)
	owner := metav1.GetControllerOf(o)
	switch {
	case !ok || owner == nil:
		return false
	case slices.Contains(otherKinds, owner.Kind):
		return true
	}
	set := &appsv1.ReplicaSet{}
	err := world.store.Get(context.Background(), client.ObjectKey{Namespace: pod.Namespace, Name: owner.Name}, set) //nolint:forbidigo // it is in memory
	return err == nil && metav1.GetControllerOf(set) == nil
}
