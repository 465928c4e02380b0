// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// annotationWeights keeps what a Route changed and cannot be seen from the changed object.
const annotationWeights = "rollouts.kruise.io/original-weights"

// note is that annotation: who routes what with the object, the weights of the rules that were divided, and which rules were
// added. It holds nothing else, so that what others change meanwhile stays changed.
type note struct {
	Owners map[string]part `json:"owners,omitempty"`
	Rules  []divided       `json:"rules,omitempty"`
	Added  []added         `json:"added,omitempty"`
	there  bool            // it was on the object
}

// part is what one release, or one of its routings, routes: enough for any other to render it.
type part struct {
	Stable string   `json:"stable"`
	Canary string   `json:"canary"`
	Scope  []string `json:"scope,omitempty"`
	Route  *Route   `json:"route"`
}

// added is a rule that was added, by fingerprints: an edit of a part of it leaves the rest to identify it by.
type added struct {
	Rule    string `json:"rule"`              // all of it
	Matches string `json:"matches,omitempty"` // its matches
	Rest    string `json:"rest,omitempty"`    // all but those
	At      int    `json:"at"`                // its place
	Of      int    `json:"of,omitempty"`      // among so many
}

// UnmarshalJSON reads the form of earlier versions, too: the fingerprint of the whole rule alone.
func (a *added) UnmarshalJSON(raw []byte) error {
	*a = added{}
	if json.Unmarshal(raw, &a.Rule) == nil {
		return nil
	}
	type plain added
	return json.Unmarshal(raw, (*plain)(a))
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

// takeNote takes the note off a route.
func takeNote(u *unstructured.Unstructured) *note {
	n := &note{}
	annotations := u.GetAnnotations()
	text, there := annotations[annotationWeights]
	if there {
		_ = json.Unmarshal([]byte(text), n) // an unreadable note is none
		delete(annotations, annotationWeights)
		put(u, annotations, "metadata", "annotations")
	}
	n.there = there
	if n.Owners == nil {
		n.Owners = map[string]part{}
	}
	return n
}

// key distinguishes the parts of a note.
func (g gateway) key() string {
	key := g.owner + " " + g.backends.Stable + "/" + g.backends.Canary
	if len(g.scope) > 0 {
		key += " " + strings.Join(slices.Sorted(slices.Values(g.scope)), ",")
	}
	return key
}

// set puts the part of one owner; nil: none any more.
func (n *note) set(g gateway, r *Route) {
	if r == nil {
		delete(n.Owners, g.key())
		return
	}
	n.Owners[g.key()] = part{Stable: g.backends.Stable, Canary: g.backends.Canary, Scope: g.scope, Route: r}
}

// write puts the note on a route. No one routes with it: none.
func (n *note) write(u *unstructured.Unstructured) {
	if len(n.Owners) == 0 {
		return
	}
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotationWeights] = encode(n)
	u.SetAnnotations(annotations)
}

// noteRule notes a rule that is added.
func noteRule(rule map[string]any) added {
	others := runtime.DeepCopyJSON(rule)
	delete(others, "matches")
	return added{Rule: fingerprint(rule), Matches: fingerprint(map[string]any{"matches": rule["matches"]}), Rest: fingerprint(others)}
}

// settle notes the places of the rules that were added.
func (n *note) settle(rules []map[string]any) {
	for i := range n.Added {
		n.Added[i].At, n.Added[i].Of = n.Added[i].find(rules, nil), len(rules)
	}
}

// find finds an added rule: as it was, or with its matches changed, or with all but those changed, or in its place where no
// rule came or went; -1: it is gone. Taken are those that are found already.
func (a added) find(rules []map[string]any, taken map[int]bool) int {
	for _, alike := range []func(i int, n added) bool{
		func(_ int, n added) bool { return n.Rule == a.Rule },
		func(_ int, n added) bool { return a.Matches != "" && n.Matches == a.Matches },
		func(_ int, n added) bool { return a.Rest != "" && n.Rest == a.Rest },
		func(i int, _ added) bool { return a.Of == len(rules) && i == a.At },
	} {
		for i, rule := range slices.Backward(rules) { // the user may have had the same before
			if !taken[i] && alike(i, noteRule(rule)) {
				return i
			}
		}
	}
	return -1
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

// restore takes the Routes of all owners out: rules that were added, backends that route to a canary, and the weights of the
// others in such a rule. A rule without a canary backend is as the user wrote it, also if that was a moment ago. The
// canary Service is made by releases and goes with them, so that a backend that routes to it is not the user's own;
// where no note shows (a release that another version began), a stable backend gets back what the canary's had.
func (g gateway) restore(u *unstructured.Unstructured, rules []map[string]any, n *note) []map[string]any {
	taken := map[int]bool{}
	for _, a := range n.Added {
		if i := a.find(rules, taken); i >= 0 {
			taken[i] = true
		}
	}
	var kept []map[string]any
	for i, rule := range rules {
		if !taken[i] {
			kept = append(kept, rule)
		}
	}
	var pairs []Backends
	for _, key := range slices.Sorted(maps.Keys(n.Owners)) {
		if p := n.Owners[key]; p.Canary != p.Stable {
			pairs = append(pairs, Backends{Stable: p.Stable, Canary: p.Canary})
		}
	}
	legacy := n.there && len(n.Owners) == 0
	if !slices.Contains(pairs, g.backends) && g.backends.Stable != g.backends.Canary && (!g.foreign || legacy) {
		pairs = append(pairs, g.backends)
	}
	return slices.DeleteFunc(kept, func(rule map[string]any) bool { return !unweigh(u, rule, pairs, n) })
}

// unweigh takes the canaries out of a rule; false: nothing is left of it.
func unweigh(u *unstructured.Unstructured, rule map[string]any, pairs []Backends, n *note) bool {
	had := map[Backends]int64{}
	refs := slices.DeleteFunc(mapsIn(rule["backendRefs"]), func(ref map[string]any) bool {
		i := slices.IndexFunc(pairs, func(p Backends) bool { return leadsTo(u, ref, p.Canary) })
		if i >= 0 {
			had[pairs[i]] += weightOf(ref)
		}
		return i >= 0
	})
	switch {
	case len(had) == 0:
		return true
	case len(refs) == 0:
		return false
	}
	setBackends(rule, refs)
	was, found := n.take(rule, refs)
	if !found {
		for pair, weight := range had {
			adopt(u, refs, pair.Stable, weight)
		}
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

// covers reports whether all backends that were noted are still in the rule.
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
func adopt(u *unstructured.Unstructured, refs []map[string]any, stable string, canary int64) {
	for _, ref := range refs {
		if !leadsTo(u, ref, stable) {
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

// identity distinguishes backends: all that says where one routes to.
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
