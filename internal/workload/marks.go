// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// marks are the annotations and labels by which a release in progress is known (docs/wire.md, keys on workloads).
var marks = struct{ annotations, labels []string }{
	annotations: append([]string{v1beta1.AnnotationInProgressing}, ownKeys.annotations...),
	labels:      []string{v1beta1.LabelStableRevision},
}

// WithoutMarks returns a workload without the marks of a release that an edit brings to one that is not being released, and
// which they are; nil: it brings none. They come with a manifest that was exported in the middle of a release, and would begin a
// release that no one asked for. Where the manifest says that it was in progress, its strategy is that of the release, and the
// user's own is in the marks.
func WithoutMarks(driver Driver, edited Objects, old client.Object) (clean client.Object, brought []string) {
	w, _ := edited.Workload.DeepCopyObject().(client.Object)
	for _, key := range marks.annotations {
		if w.GetAnnotations()[key] != "" && old.GetAnnotations()[key] == "" {
			brought = append(brought, key)
		}
	}
	for _, key := range marks.labels {
		if w.GetLabels()[key] != "" && old.GetLabels()[key] == "" {
			brought = append(brought, key)
		}
	}
	if len(brought) == 0 {
		return nil, nil
	}
	if slices.Contains(brought, v1beta1.AnnotationInProgressing) {
		edited.Workload = w
		w = driver.Free(edited)
	}
	for _, key := range brought {
		set(w.GetAnnotations, w.SetAnnotations, key, "")
		set(w.GetLabels, w.SetLabels, key, "")
	}
	return w, brought
}
