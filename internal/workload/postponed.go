// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// Postponed is what an edit has put into a workload's own strategy that leaves pods where they are, and that counts from the end
// of the release on: what the workload will then be, or have. Old is the workload before, stored as it is kept. Anyone who stops
// pods that way in the middle of a release means the release, and nothing else says that it goes on.
func Postponed(edited, stored, old client.Object) []string {
	now, was := wishes(stored), wishes(old)
	var later []string
	if isPaused(edited) && !isPaused(stored) || alike("paused", now["paused"], true) && !alike("paused", was["paused"], true) {
		later = append(later, "be paused")
	}
	if now["type"] == onDelete && was["type"] != onDelete {
		later = append(later, fmt.Sprintf("have %q", "type: "+onDelete))
	}
	if partition := now["partition"]; !alike("partition", partition, nil) && !alike("partition", partition, was["partition"]) {
		later = append(later, fmt.Sprintf("have %q", fmt.Sprintf("partition: %v", partition)))
	}
	return later
}

// wishes are the user's own values that a release will restore, of what leaves pods where they are.
func wishes(w client.Object) values {
	if d, ok := w.(*appsv1.Deployment); ok {
		own, _ := originalOf(d)
		return values{"paused": own.Paused}
	}
	own := values{}
	_ = json.Unmarshal([]byte(w.GetAnnotations()[v1beta1.AnnotationOriginalStrategy]), &own)
	if kind := w.GetAnnotations()[v1beta1.AnnotationDaemonOriginal]; kind != "" {
		own["type"] = kind
	}
	return own
}

// isPaused reports whether a workload is, wherever its kind says so.
func isPaused(w client.Object) bool {
	if d, ok := w.(*appsv1.Deployment); ok {
		return d.Spec.Paused
	}
	u, ok := w.(*unstructured.Unstructured)
	if !ok {
		return false
	}
	for _, path := range [][]string{{"spec", "updateStrategy", "paused"}, {"spec", "updateStrategy", "rollingUpdate", "paused"}} {
		if is, _, _ := unstructured.NestedBool(u.Object, path...); is {
			return true
		}
	}
	return false
}
