// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// kind is a kind of workloads that is released; the zero kind is a Deployment.
type kind struct {
	version, name, resource string
	perNode                 bool // a pod on each node
}

var (
	deployments = kind{"apps/v1", "Deployment", "deployments", false}
	cloneSets   = kind{"apps.kruise.io/v1alpha1", "CloneSet", "clonesets", false}
)

// others are the variants without requests, of every style and kind next to the first.
var others = []variant{
	{name: "canary", beside: true},
	{name: "blue-green", blueGreen: true},
	{name: "CloneSet", kind: cloneSets},
	{name: "CloneSet, blue-green", kind: cloneSets, blueGreen: true},
	{name: "StatefulSet", kind: kind{"apps/v1", "StatefulSet", "statefulsets", false}},
	{name: "Advanced StatefulSet", kind: kind{"apps.kruise.io/v1beta1", "StatefulSet", "statefulsets", false}},
	{name: "DaemonSet", kind: kind{"apps/v1", "DaemonSet", "daemonsets", true}},
	{name: "Advanced DaemonSet", kind: kind{"apps.kruise.io/v1alpha1", "DaemonSet", "daemonsets", true}},
	{name: "ReplicaSet", kind: kind{"apps/v1", "ReplicaSet", "replicasets", false}},
}

// large is a release of many pods.
var large = variant{name: "CloneSet of 1000 pods", kind: cloneSets, pods: 1000}

func (v variant) of() kind {
	if v.kind == (kind{}) {
		return deployments
	}
	return v.kind
}

// size is how many pods a workload has; the nodes of a DaemonSet's sandbox are as many.
func (v variant) size() int64 {
	if v.pods > 0 {
		return v.pods
	}
	return pods
}

func (k kind) gvr() schema.GroupVersionResource {
	gv, _ := schema.ParseGroupVersion(k.version)
	return gv.WithResource(k.resource)
}

// workload is one of the kind, with pods that are ready at once.
func (v variant) workload(name string) *unstructured.Unstructured {
	labels := map[string]any{"app": name}
	spec := map[string]any{
		"selector": map[string]any{"matchLabels": labels},
		"template": map[string]any{
			"metadata": map[string]any{"labels": labels},
			"spec":     map[string]any{"containers": []any{map[string]any{"name": "main", "image": "app:v1"}}},
		},
	}
	if !v.of().perNode {
		spec["replicas"] = v.size()
	}
	if v.of().name == "StatefulSet" {
		spec["serviceName"], spec["podManagementPolicy"] = name, "Parallel"
	}
	return object(v.of().version, v.of().name, name, spec)
}

// setImage changes the template of a workload.
func (b *bench) setImage(ctx context.Context, name, image string) error {
	patch := fmt.Appendf(nil, `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":%q}]}}}}`, image)
	_, err := b.dyn.Resource(b.of().gvr()).Namespace(namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// untilReady waits until every workload has its pods.
func (b *bench) untilReady(ctx context.Context) error {
	for {
		list, err := b.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("listing pods: %w", err)
		}
		ready := 0
		for i := range list.Items {
			for _, c := range list.Items[i].Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
					ready++
				}
			}
		}
		if ready == b.n*int(b.size()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
