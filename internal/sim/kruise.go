// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"maps"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// kruiseGroup is the group of OpenKruise's workloads.
const kruiseGroup = "apps.kruise.io"

// KruiseKinds are the kinds of OpenKruise's workloads that are played, in all their versions.
var KruiseKinds = []schema.GroupVersionKind{
	{Group: kruiseGroup, Version: "v1alpha1", Kind: "CloneSet"},
	{Group: kruiseGroup, Version: "v1beta1", Kind: "CloneSet"},
	{Group: kruiseGroup, Version: "v1alpha1", Kind: "StatefulSet"},
	{Group: kruiseGroup, Version: "v1beta1", Kind: "StatefulSet"},
	{Group: kruiseGroup, Version: "v1alpha1", Kind: "DaemonSet"},
	{Group: kruiseGroup, Version: "v1beta1", Kind: "DaemonSet"},
}

// SyncKruise does what OpenKruise's controller of the object's kind does.
func (c *Cluster) SyncKruise(ctx context.Context, u *unstructured.Unstructured) (next time.Time, err error) {
	switch u.GetKind() {
	case "CloneSet":
		return c.SyncCloneSet(ctx, u)
	case "StatefulSet":
		return c.SyncAdvancedStatefulSet(ctx, u)
	case "DaemonSet":
		return c.SyncAdvancedDaemonSet(ctx, u)
	default:
		return next, fmt.Errorf("%s is no kind of workload that is played", u.GetKind())
	}
}

// listKruise lists the objects of a kind; none where the kind is not known.
func (c *Cluster) listKruise(ctx context.Context, kind schema.GroupVersionKind) ([]unstructured.Unstructured, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	err := c.Client.List(ctx, list, client.InNamespace(c.Namespace))
	if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", kind, err)
	}
	return list.Items, nil
}

// readWorkload reads what all of OpenKruise's workloads have.
func (c *Cluster) readWorkload(u *unstructured.Unstructured) (*workload, error) {
	w := &workload{Cluster: c, object: u, kind: u.GroupVersionKind(), keep: numberAt(u, 10, "spec", "revisionHistoryLimit")}
	w.minReady = time.Duration(numberAt(u, 0, "spec", "minReadySeconds")) * time.Second
	raw, _, _ := unstructured.NestedMap(u.Object, "spec", "template")
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &w.template); err != nil {
		return nil, fmt.Errorf("reading the template of %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	if w.template.Spec.Containers == nil {
		w.template.Spec.Containers = []corev1.Container{}
	}
	return w, nil
}

// writeStatus stores a status that is not there yet; fields that no one played are left alone.
func (c *Cluster) writeStatus(ctx context.Context, u *unstructured.Unstructured, fields map[string]any) error {
	old, _, _ := unstructured.NestedMap(u.Object, "status")
	status := map[string]any{}
	maps.Copy(status, old)
	for k, v := range fields {
		if n, ok := v.(int); ok {
			v = int64(n)
		}
		status[k] = v
	}
	if equality.Semantic.DeepEqual(old, status) {
		return nil
	}
	u.Object["status"] = status
	return ignoreRace(c.Client.Status().Update(ctx, u))
}

func fieldAt(u *unstructured.Unstructured, path ...string) any {
	v, _, _ := unstructured.NestedFieldNoCopy(u.Object, path...)
	return v
}

func numberAt(u *unstructured.Unstructured, fallback int, path ...string) int {
	switch v := fieldAt(u, path...).(type) {
	case int64:
		return int(v)
	case float64:
		return int(v)
	default:
		return fallback
	}
}

func textAt(u *unstructured.Unstructured, path ...string) string {
	s, _ := fieldAt(u, path...).(string)
	return s
}

// selectorText is an object's selector as the scale subresource shows it.
func selectorText(u *unstructured.Unstructured) string {
	selector := &metav1.LabelSelector{}
	raw, _, _ := unstructured.NestedMap(u.Object, "spec", "selector")
	_ = runtime.DefaultUnstructuredConverter.FromUnstructured(raw, selector) // else it selects nothing
	return metav1.FormatLabelSelector(selector)
}

// strategyField is a field of the update strategy: below rollingUpdate, or where CloneSets of v1alpha1 have it.
func strategyField(u *unstructured.Unstructured, name string) any {
	if v := fieldAt(u, "spec", "updateStrategy", "rollingUpdate", name); v != nil {
		return v
	}
	return fieldAt(u, "spec", "updateStrategy", name)
}

// limitOf reads a number or a percentage.
func limitOf(v any, fallback string) intstr.IntOrString {
	switch v := v.(type) {
	case int64:
		return intstr.FromInt32(int32(min(v, math.MaxInt32))) //nolint:gosec // it is bounded
	case float64:
		return intstr.FromInt32(int32(min(v, math.MaxInt32)))
	case string:
		return intstr.Parse(v)
	default:
		return intstr.Parse(fallback)
	}
}

// scaled is a limit as a number of pods. All limits of these kinds round up: those of the native ones as documented, those of
// OpenKruise for want of other words.
func scaled(limit intstr.IntOrString, of int) int {
	n, _ := intstr.GetScaledValueFromIntOrPercent(&limit, of, true)
	return max(0, n)
}
