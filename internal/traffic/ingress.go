// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// ingress routes with a second Ingress next to the user's own, which is only read. The second one
// follows the first on every render: its class, TLS and paths, and the labels and annotations that a copy may have.
type ingress struct {
	stable, canary Ref
	backends       []Backends // of all routings that name the Ingress
	owner          metav1.OwnerReference
	script         *Program
	broken         error // why there is no script
}

// canaryMarks are the annotations that make an Ingress a canary to the built-in classes: Higress and MSE read those of ingress-nginx by
// prefixes of their own, too.
var canaryMarks = map[string][]string{
	"nginx":      {"nginx.ingress.kubernetes.io/canary"},
	"higress":    {"nginx.ingress.kubernetes.io/canary", "higress.io/canary"},
	"mse":        {"nginx.ingress.kubernetes.io/canary", "mse.ingress.kubernetes.io/canary"},
	"aliyun-alb": {"alb.ingress.kubernetes.io/canary"},
}

// newIngress returns the router of an Ingress; a class without a script, or with a broken one, is an error.
func newIngress(t rolloutsv1beta1.IngressTrafficRouting, c Config) (Router, error) {
	kind := networkingv1.SchemeGroupVersion.WithKind("Ingress")
	script, err := IngressScript(t.ClassType, c.Scripts)
	if err != nil {
		return scripted(kind, t.Name, nil, err, c), err
	}
	return Scripted(kind, t.Name, script, c)
}

// ingressRefs are a user's Ingress, and its canary.
func ingressRefs(name string) []Ref {
	kind := networkingv1.SchemeGroupVersion.WithKind("Ingress")
	return []Ref{{kind, name}, {kind, name + "-canary"}}
}

// Refs are the user's Ingress, and the canary's.
func (i ingress) Refs() []Ref { return []Ref{i.stable, i.canary} }

// Render returns the canary Ingress of a Route. For a weight of 0 none is made, but one that is there gets the weight:
// gateways take a weight more quickly than they forget an Ingress.
func (i ingress) Render(have Objects, r *Route) (Objects, error) {
	stable, canary := have[i.stable], have[i.canary]
	ours := canary != nil && owned(canary.GetOwnerReferences(), i.owner)
	switch {
	case r == nil && ours:
		return have.with(i.canary, nil), nil
	case r == nil:
		return have, nil
	case i.broken != nil:
		return have, i.broken
	case stable == nil:
		return have, missing(i.stable)
	case canary != nil && !ours:
		return have, i.taken(canary)
	case canary == nil && len(r.Matches) == 0 && r.Weight != nil && *r.Weight == 0:
		return have, nil
	}
	want, err := i.render(stable, canary, r)
	if err != nil {
		return have, err
	}
	return have.with(i.canary, want), nil
}

// taken says whose the canary Ingress is.
func (i ingress) taken(canary *unstructured.Unstructured) error {
	if owner := metav1.GetControllerOf(canary); owner != nil && (owner.Kind == "Rollout" || owner.Kind == "TrafficRouting") {
		return i.canary.fault(rolloutsv1beta1.BlockerCanaryNameTaken, fmt.Errorf("%s belongs to %s %s, and a gateway takes one canary for each Ingress; this release continues when that one has ended", i.canary, owner.Kind, owner.Name))
	}
	return i.canary.fault(rolloutsv1beta1.BlockerCanaryNameTaken, fmt.Errorf("%s exists and was not made by this release; rename it", i.canary))
}

// render makes the canary Ingress from the stable one. What the cluster put on one that is there stays.
func (i ingress) render(stable, canary *unstructured.Unstructured, r *Route) (*unstructured.Unstructured, error) {
	for _, mark := range canaryMarks[i.script.name] {
		if is, _ := strconv.ParseBool(stable.GetAnnotations()[mark]); is { // a gateway takes one canary for each, and none for a canary
			return nil, i.stable.fault(rolloutsv1beta1.BlockerRouteUnsupported, fmt.Errorf("%s is a canary itself, by the annotation %s; name the Ingress that it belongs to", i.stable, mark))
		}
	}
	spec, err := i.spec(stable)
	if err != nil {
		return nil, err
	}
	annotations, err := i.annotations(only(stable.GetAnnotations(), i.copies), r)
	if err != nil {
		return nil, err
	}
	labels := only(stable.GetLabels(), i.copies)
	want := &unstructured.Unstructured{Object: map[string]any{}}
	if canary != nil {
		want = canary.DeepCopy()
		labels, annotations = i.beside(labels, canary.GetLabels()), i.beside(annotations, canary.GetAnnotations())
	} else {
		want.SetAPIVersion(stable.GetAPIVersion())
		want.SetKind(stable.GetKind())
		want.SetNamespace(stable.GetNamespace())
		want.SetName(i.canary.Name)
		want.SetOwnerReferences([]metav1.OwnerReference{i.owner})
	}
	put(want, labels, "metadata", "labels")
	put(want, annotations, "metadata", "annotations")
	want.Object["spec"] = spec
	return want, nil
}

// copies reports whether the canary Ingress may have a label or annotation of the stable one, too. What a gateway of a class reads that
// is not built in no one knows here, so that has all but what tools act by.
func (i ingress) copies(key string) bool {
	if _, known := ingressCapabilities[i.script.name]; known {
		return isCopied(key)
	}
	return !isMark(key)
}

// beside are the labels or annotations of the canary Ingress, and what others have put on it.
func (i ingress) beside(ours, there map[string]string) map[string]string {
	all := only(there, func(key string) bool { return !i.copies(key) && !isMark(key) })
	if all == nil {
		return ours
	}
	maps.Copy(all, ours)
	return all
}

// put sets a map of strings; an empty one is removed, as the cluster stores it.
func put(u *unstructured.Unstructured, m map[string]string, path ...string) {
	if len(m) == 0 {
		unstructured.RemoveNestedField(u.Object, path...)
		return
	}
	_ = unstructured.SetNestedStringMap(u.Object, m, path...) // fails only where metadata is no map
}

// spec is the stable one's, with what newer clusters know of it, but for the default backend; and of its rules the paths that
// route to the stable Service.
func (i ingress) spec(stable *unstructured.Unstructured) (map[string]any, error) {
	spec, _, _ := unstructured.NestedMap(stable.Object, "spec") // a deep copy
	if spec == nil {
		spec = map[string]any{}
	}
	delete(spec, "defaultBackend") // requests that no rule names are the user's own
	rules, _ := spec["rules"].([]any)
	rules = slices.DeleteFunc(rules, func(rule any) bool { return !i.redirect(rule) })
	if len(rules) == 0 {
		return nil, i.stable.fault(rolloutsv1beta1.BlockerRouteUnsupported, fmt.Errorf("%s has no path that routes to Service %s", i.stable, i.backends[0].Stable))
	}
	spec["rules"] = rules
	return spec, nil
}

// redirect keeps the paths of a rule that route to the stable Service, and routes them to the canary's; false: there is
// none.
func (i ingress) redirect(rule any) bool {
	fields, _ := rule.(map[string]any)
	http, _ := fields["http"].(map[string]any)
	paths, _ := http["paths"].([]any)
	paths = slices.DeleteFunc(paths, func(path any) bool {
		fields, _ := path.(map[string]any)
		name, _, _ := unstructured.NestedString(fields, "backend", "service", "name")
		at := slices.IndexFunc(i.backends, func(b Backends) bool { return b.Stable == name })
		if at < 0 {
			return true
		}
		_ = unstructured.SetNestedField(fields, i.backends[at].Canary, "backend", "service", "name") // it was just read there
		return false
	})
	if len(paths) == 0 {
		return false
	}
	http["paths"] = paths
	return true
}

// annotations has the script turn the stable Ingress's annotations into the canary's. It sees those each time, and not
// what it made of them before, so that nothing of an earlier step can stay behind.
func (i ingress) annotations(stable map[string]string, r *Route) (map[string]string, error) {
	in := map[string]any{}
	for key, value := range stable {
		in[key] = value
	}
	obj := r.forScript()
	obj["annotations"] = in
	obj["canaryService"], obj["stableService"] = i.backends[0].Canary, i.backends[0].Stable
	obj["weight"] = "-1"
	if r.Weight != nil {
		obj["weight"] = strconv.Itoa(int(*r.Weight))
	}
	out, err := i.script.Run(obj)
	if err != nil {
		return nil, err
	}
	fields, ok := out.(map[string]any)
	if list, isList := out.([]any); !ok && (!isList || len(list) > 0) {
		return nil, scriptFault(i.script.name, fmt.Errorf("script %s returns no table of annotations", i.script.name))
	}
	annotations := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		value, ok := fields[key].(string)
		if !ok {
			return nil, scriptFault(i.script.name, shortened(fmt.Errorf("script %s returns an annotation %s that is not a string", i.script.name, key)))
		}
		annotations[key] = value
	}
	return annotations, nil
}

// forScript is what scripts of every kind see of a Route: matches and requestHeaderModifier, where there are any.
func (r *Route) forScript() map[string]any {
	obj := map[string]any{}
	if len(r.Matches) > 0 {
		obj["matches"] = plain(r.Matches)
	}
	if r.HeaderModifier != nil {
		obj["requestHeaderModifier"] = plain(r.HeaderModifier)
	}
	return obj
}
