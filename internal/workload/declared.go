// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// declared are the values that a user declares with an edit, by the name of the field; nil: to be the default again. An edit
// to the very value that a release holds changes nothing that is stored, and is a wish for the time after the release all the
// same. Two kinds of tools say what they declare: "kubectl apply" in the annotation of what it applied last, and server-side
// apply by owning the field from now on. One that writes the whole object as it read it declares nothing.
func (f fields) declared(edited, old client.Object) values {
	declared := values{}
	before, after := f.lastApplied(old), f.lastApplied(edited)
	live := values{}
	if text, err := runtime.DefaultUnstructuredConverter.ToUnstructured(edited); err == nil {
		live = f.of(&unstructured.Unstructured{Object: text})
	}
	for name, path := range f {
		switch {
		case after != nil && !equality.Semantic.DeepEqual(before[name], after[name]):
			declared[name] = after[name]
		case appliedBySomeoneNew(edited, old, path):
			declared[name] = live[name]
		}
	}
	return declared
}

// lastApplied are the values of a manifest that "kubectl apply" has applied; nil: it has applied none.
func (f fields) lastApplied(w client.Object) values {
	manifest := map[string]any{}
	if err := json.Unmarshal([]byte(w.GetAnnotations()[corev1.LastAppliedConfigAnnotation]), &manifest); err != nil {
		return nil
	}
	return f.of(&unstructured.Unstructured{Object: manifest}).known(f)
}

// appliedBySomeoneNew reports whether a field manager has a field in what it applies on the server that it did not have there
// before.
func appliedBySomeoneNew(edited, old client.Object, path []string) bool {
	before := map[string]bool{}
	for _, e := range old.GetManagedFields() {
		before[e.Manager] = before[e.Manager] || applies(e, path)
	}
	for _, e := range edited.GetManagedFields() {
		if applies(e, path) && !before[e.Manager] {
			return true
		}
	}
	return false
}

func applies(e metav1.ManagedFieldsEntry, path []string) bool {
	if e.Operation != metav1.ManagedFieldsOperationApply || e.Subresource != "" || e.FieldsV1 == nil {
		return false
	}
	var at any
	if err := json.NewDecoder(e.FieldsV1.GetRawReader()).Decode(&at); err != nil {
		return false
	}
	for _, key := range path {
		owned, _ := at.(map[string]any)
		if at = owned["f:"+key]; at == nil {
			return false
		}
	}
	return true
}

// with returns own values with those that are declared.
func (v values) with(declared values) values {
	for name, value := range declared {
		delete(v, name)
		if value != nil {
			v[name] = value
		}
	}
	return v
}

// deploymentFields are what a release changes in a Deployment's spec.
var deploymentFields = fields{
	"paused":                  {"spec", "paused"},
	"minReadySeconds":         {"spec", "minReadySeconds"},
	"progressDeadlineSeconds": {"spec", "progressDeadlineSeconds"},
	"type":                    {"spec", "strategy", "type"},
	"maxSurge":                {"spec", "strategy", "rollingUpdate", "maxSurge"},
	"maxUnavailable":          {"spec", "strategy", "rollingUpdate", "maxUnavailable"},
}

// with returns the original with what is declared. What no Deployment can have is left out.
func (o original) with(declared values) original {
	if len(declared) == 0 {
		return o
	}
	d := &appsv1.Deployment{}
	o.restore(d)
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(d)
	if err != nil {
		return o
	}
	u := &unstructured.Unstructured{Object: object}
	for name, value := range declared {
		deploymentFields.put(u, name, value)
	}
	own := &appsv1.Deployment{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, own); err != nil {
		return o
	}
	wanted := current(own)
	wanted.Paused, wanted.Left = own.Spec.Paused, o.Left
	return wanted
}
