// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Labels that say of which revision something is.
const (
	hashLabel         = appsv1.ControllerRevisionHashLabelKey
	templateHashLabel = appsv1.DefaultDeploymentUniqueLabelKey
	historyLabel      = "controller.kubernetes.io/hash" // of the ControllerRevisions of the kinds whose pods carry names
)

// revision is a ControllerRevision, read.
type revision struct {
	*appsv1.ControllerRevision
	template corev1.PodTemplateSpec
}

func (r *revision) hash() string { return r.Name[strings.LastIndex(r.Name, "-")+1:] }

// revisions are the templates a workload has had.
type revisions struct {
	update  *revision // of the template
	current *revision // that the pods had before
}

// revise finds the revision of the template, or makes it, and the current one. A template that comes back gets its old revision,
// as the newest.
func (w *workload) revise(ctx context.Context, current string) error {
	list := &appsv1.ControllerRevisionList{}
	if err := w.Client.List(ctx, list, client.InNamespace(w.object.GetNamespace())); err != nil {
		return fmt.Errorf("listing ControllerRevisions: %w", err)
	}
	list.Items = slices.DeleteFunc(list.Items, func(r appsv1.ControllerRevision) bool { return !metav1.IsControlledBy(&r, w.object) })
	slices.SortFunc(list.Items, func(a, b appsv1.ControllerRevision) int { return int(a.Revision - b.Revision) })
	data, err := dataOf(w.template)
	if err != nil {
		return err
	}
	highest := int64(0)
	for i := range list.Items {
		r := &list.Items[i]
		highest = max(highest, r.Revision)
		read := &revision{ControllerRevision: r}
		if read.template, err = templateOf(r); err != nil {
			return err
		}
		if r.Name == current {
			w.current = read
		}
		if bytes.Equal(r.Data.Raw, data) {
			w.update = read
		}
	}
	switch {
	case w.update == nil:
		err = w.record(ctx, data, highest+1)
	case w.update.Revision < highest:
		w.update.Revision = highest + 1
		err = ignoreRace(w.Client.Update(ctx, w.update.ControllerRevision))
	}
	if w.current == nil {
		w.current = w.update
	}
	return firstError(err, w.forget(ctx, list.Items))
}

// record makes the revision of a template that is new.
func (w *workload) record(ctx context.Context, data []byte, number int64) error {
	h := fnv.New32a()
	_, _ = h.Write(data)
	hash := rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10))
	label := historyLabel
	if w.short {
		label = hashLabel
	}
	labels := maps.Clone(w.template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[label] = hash
	w.update = &revision{template: w.template, ControllerRevision: &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.object.GetNamespace(), Name: w.object.GetName() + "-" + hash, Labels: labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(w.object, w.kind)},
		},
		Data: runtime.RawExtension{Raw: data}, Revision: number,
	}}
	if w.object.GetDeletionTimestamp() != nil {
		return nil
	}
	err := w.Client.Create(ctx, w.update.DeepCopy())
	if err == nil || apierrors.IsAlreadyExists(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return fmt.Errorf("making a ControllerRevision: %w", err)
}

// forget deletes the oldest revisions that no pod is of, beyond those to keep.
func (w *workload) forget(ctx context.Context, all []appsv1.ControllerRevision) error {
	all = slices.DeleteFunc(slices.Clone(all), func(r appsv1.ControllerRevision) bool { // others point into it
		return r.Name == w.update.Name || r.Name == w.current.Name ||
			slices.ContainsFunc(w.pods, func(pod *corev1.Pod) bool { return w.of(pod, r.Name) })
	})
	for i := range max(0, len(all)-w.keep) {
		if err := w.Client.Delete(ctx, &all[i]); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting an old ControllerRevision: %w", err)
		}
	}
	return nil
}

// dataOf writes a template as ControllerRevisions hold it: as a patch of the workload.
func dataOf(template corev1.PodTemplateSpec) ([]byte, error) {
	raw, err := json.Marshal(template)
	if err != nil {
		return nil, fmt.Errorf("writing a template as JSON: %w", err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("reading a template: %w", err)
	}
	fields["$patch"] = "replace"
	data, err := json.Marshal(map[string]any{"spec": map[string]any{"template": fields}})
	if err != nil {
		return nil, fmt.Errorf("writing a template as JSON: %w", err)
	}
	return data, nil
}

func templateOf(r *appsv1.ControllerRevision) (corev1.PodTemplateSpec, error) {
	data := struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}{}
	if err := json.Unmarshal(r.Data.Raw, &data); err != nil {
		return data.Spec.Template, fmt.Errorf("reading ControllerRevision %s: %w", r.Name, err)
	}
	return data.Spec.Template, nil
}
