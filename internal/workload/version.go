// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Version is a pod template that a workload has or had.
type Version struct {
	Number   int64          // as the workload's own controller counts; 0: it never was the workload's own
	Template map[string]any // nil: no one has it any more
}

// VersionOf finds the version of a revision in what is below a workload. Revisions are its ControllerRevisions, where it
// has no ReplicaSets.
func VersionOf(o Objects, revisions []*appsv1.ControllerRevision, hash string) Version {
	for _, set := range o.Sets {
		if hash == "" || revision(set) != hash {
			continue
		}
		v := Version{Template: templateIn(set)}
		if o.Workload != nil && controllerOf(set) == o.Workload.GetUID() {
			v.Number = number(set)
			return v
		}
		others := slices.DeleteFunc(slices.Clone(o.Sets), func(other *appsv1.ReplicaSet) bool { return other == set })
		if own := VersionOf(Objects{Workload: o.Workload, Sets: others}, nil, hash); own.Number > 0 {
			return own // the same template, next to the workload and in it
		}
		return v
	}
	for _, r := range revisions {
		if hash == "" || r.Name != hash && !strings.HasSuffix(r.Name, "-"+hash) && r.Labels[byRevision] != hash {
			continue
		}
		data := map[string]any{}
		_ = json.Unmarshal(r.Data.Raw, &data)
		template, _, _ := unstructured.NestedMap(data, "spec", "template")
		delete(template, "$patch")
		return Version{Number: r.Revision, Template: template}
	}
	return Version{}
}

// OwnRevision is that of a workload's template among its own ReplicaSets; "": it has none.
func OwnRevision(o Objects) string {
	for _, set := range o.Sets {
		if o.Workload != nil && controllerOf(set) == o.Workload.GetUID() && equality.Semantic.DeepEqual(templateIn(set), templateIn(o.Workload)) {
			return revision(set)
		}
	}
	return ""
}

// Template is the pod template of a workload; nil: it has none.
func Template(w client.Object) map[string]any {
	if w == nil {
		return nil
	}
	return templateIn(w)
}

// Selector are the labels by which a workload tells its pods from others; nil: it has none, or tells them otherwise. It is asked
// in every pass, so nothing is converted for it.
func Selector(w client.Object) map[string]string {
	selector := &metav1.LabelSelector{}
	switch w := w.(type) {
	case *appsv1.Deployment:
		selector = w.Spec.Selector
	case *appsv1.ReplicaSet:
		selector = w.Spec.Selector
	case *unstructured.Unstructured:
		selector.MatchLabels, _, _ = unstructured.NestedStringMap(w.Object, "spec", "selector", "matchLabels")
	}
	if selector == nil {
		return nil
	}
	return selector.MatchLabels
}

func templateIn(o client.Object) map[string]any {
	u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil
	}
	template, _, _ := unstructured.NestedMap(u, "spec", "template")
	unstructured.RemoveNestedField(template, "metadata", "creationTimestamp")
	unstructured.RemoveNestedField(template, "metadata", "labels", appsv1.DefaultDeploymentUniqueLabelKey)
	return template
}
