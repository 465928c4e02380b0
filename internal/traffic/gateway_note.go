// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// annotationWeights keeps what a Route changed and cannot be seen from the changed object.
const annotationWeights = "rollouts.kruise.io/original-weights"

// note is that annotation: the weights of the rules that were divided, and which rules were added. It holds nothing
// else, so that what others change meanwhile stays changed.
type note struct {
	Rules []divided `json:"rules,omitempty"`
	Added []string  `json:"added,omitempty"` // fingerprints
}

// divided is a rule as the user had it.
type divided struct {
	Rule     string    `json:"rule"` // fingerprint, without the backends
	Backends []backend `json:"backends"`
}

// backend is one of its backends, in the user's order.
type backend struct {
	Name   string `json:"name"`
	Weight *int64 `json:"weight,omitempty"` // absent: the user gave none
}

// write puts the note on a route. Nothing to remember: there is none.
func (n note) write(u *unstructured.Unstructured) {
	if len(n.Rules)+len(n.Added) == 0 {
		return
	}
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotationWeights] = encode(n)
	u.SetAnnotations(annotations)
}

// remember notes a rule before it is divided.
func remember(rule map[string]any, refs []map[string]any) divided {
	d := divided{Rule: fingerprint(rest(rule))}
	for _, ref := range refs {
		b := backend{Name: identity(ref)}
		if _, given := ref["weight"]; given {
			w := weightOf(ref)
			b.Weight = &w
		}
		d.Backends = append(d.Backends, b)
	}
	return d
}

// restore takes an earlier Route out: rules that were added, backends that lead to the canary, and the weights of the
// others in such a rule. A rule without a canary backend is as the user wrote it, also if that was a moment ago. The
// canary Service is made by releases and goes with them, so that a backend that leads to it is not the user's own;
// where no note tells (a release that another version began), a stable backend gets back what the canary's had.
func (g gateway) restore(u *unstructured.Unstructured, rules []map[string]any) []map[string]any {
	n := note{}
	annotations := u.GetAnnotations()
	text, noted := annotations[annotationWeights]
	if noted {
		_ = json.Unmarshal([]byte(text), &n) // an unreadable note is none
		delete(annotations, annotationWeights)
		put(u, annotations, "metadata", "annotations")
	}
	for i, rule := range slices.Backward(rules) { // added ones are at the end, and the user may have had the same before
		if j := slices.Index(n.Added, fingerprint(rule)); j >= 0 {
			n.Added = slices.Delete(n.Added, j, j+1)
			rules = slices.Delete(rules, i, i+1)
		}
	}
	if g.backends.Stable == g.backends.Canary || g.foreign && !noted {
		return rules
	}
	return slices.DeleteFunc(rules, func(rule map[string]any) bool {
		return g.has(u, rule, g.backends.Canary) && !g.unweigh(u, rule, &n)
	})
}

// unweigh takes the canary out of a rule; false: nothing is left of it.
func (g gateway) unweigh(u *unstructured.Unstructured, rule map[string]any, n *note) bool {
	refs, canary := mapsIn(rule["backendRefs"]), int64(0)
	refs = slices.DeleteFunc(refs, func(ref map[string]any) bool {
		gone := leadsTo(u, ref, g.backends.Canary)
		if gone {
			canary += weightOf(ref)
		}
		return gone
	})
	if len(refs) == 0 {
		return false
	}
	setBackends(rule, refs)
	was, found := n.take(rule, refs)
	if !found {
		g.adopt(u, refs, canary)
		return true
	}
	for _, ref := range refs {
		i := slices.IndexFunc(was.Backends, func(b backend) bool { return b.Name == identity(ref) })
		if i < 0 {
			continue // someone added it since
		}
		if w := was.Backends[i].Weight; w != nil {
			ref["weight"] = *w
		} else {
			delete(ref, "weight")
		}
		was.Backends = slices.Delete(was.Backends, i, i+1)
	}
	return true
}

// take finds what was noted of a rule: by all that it says, or if that was changed since, by its backends.
func (n *note) take(rule map[string]any, refs []map[string]any) (divided, bool) {
	whole := fingerprint(rest(rule))
	i := slices.IndexFunc(n.Rules, func(d divided) bool { return d.Rule == whole && d.covers(refs) })
	if i < 0 {
		i = slices.IndexFunc(n.Rules, func(d divided) bool { return d.covers(refs) })
	}
	if i < 0 {
		return divided{}, false
	}
	d := n.Rules[i]
	n.Rules = slices.Delete(n.Rules, i, i+1)
	return d, true
}

// covers tells whether all backends that were noted are still in the rule.
func (d divided) covers(refs []map[string]any) bool {
	names := []string{}
	for _, ref := range refs {
		names = append(names, identity(ref))
	}
	for _, b := range d.Backends {
		i := slices.Index(names, b.Name)
		if i < 0 {
			return false
		}
		names = slices.Delete(names, i, i+1)
	}
	return true
}

// adopt gives the stable backend of a rule its weight back where none was noted.
func (g gateway) adopt(u *unstructured.Unstructured, refs []map[string]any, canary int64) {
	for _, ref := range refs {
		if !leadsTo(u, ref, g.backends.Stable) {
			continue
		}
		if len(refs) == 1 {
			ref["weight"] = int64(1)
		} else {
			ref["weight"] = weightOf(ref) + canary
		}
		return
	}
}

// rest is a rule without its backends.
func rest(rule map[string]any) map[string]any {
	r := runtime.DeepCopyJSON(rule)
	delete(r, "backendRefs")
	return r
}

// identity tells backends apart: all that says where one leads.
func identity(ref map[string]any) string {
	parts := []string{}
	for _, field := range []string{"namespace", "name", "port"} {
		if v, ok := ref[field]; ok {
			parts = append(parts, fmt.Sprint(v))
		}
	}
	if kind, ok := ref["kind"].(string); ok && kind != "Service" {
		parts = append(parts, fmt.Sprintf("(%v %s)", ref["group"], kind))
	}
	return strings.Join(parts, "/")
}

// fingerprint is a short hash of a rule.
func fingerprint(rule map[string]any) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(encode(rule)))
	return fmt.Sprintf("%016x", h.Sum64())
}
