// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"maps"
	"slices"
)

// rebase finds the edits that somebody made to what scripts had made of an object.
type rebase struct {
	canaries []string          // Services that only releases route to
	stable   map[string]string // the Service next to each of them
}

func newRebase(owners map[string]part) rebase {
	b := rebase{stable: map[string]string{}}
	for _, p := range owners {
		if p.Canary != p.Stable {
			b.canaries, b.stable[p.Canary] = append(b.canaries, p.Canary), p.Stable
		}
	}
	return b
}

// value returns original with what turned rendered into now. Maps are compared key by key and lists entry by entry. An edit
// of what only the script has made is no edit of the user's, and is left out.
func (b rebase) value(original, rendered, now any) any {
	if same(rendered, now) {
		return original
	}
	o, ok1 := original.(map[string]any)
	r, ok2 := rendered.(map[string]any)
	n, ok3 := now.(map[string]any)
	if ok2 && ok3 && (ok1 || original == nil) {
		return b.fields(o, r, n)
	}
	before, ok1 := original.([]any)
	then, ok2 := rendered.([]any)
	today, ok3 := now.([]any)
	if ok1 && ok2 && ok3 {
		return b.list(before, then, today)
	}
	return now
}

func same(a, b any) bool { return encode(a) == encode(b) }

func (b rebase) fields(original, rendered, now map[string]any) map[string]any {
	merged := map[string]any{}
	maps.Copy(merged, original)
	for key := range union(rendered, now) {
		value, kept := now[key]
		switch {
		case !kept:
			delete(merged, key)
		case !same(rendered[key], value):
			merged[key] = b.value(original[key], rendered[key], value)
		}
	}
	return merged
}

func union(a, b map[string]any) map[string]bool {
	keys := map[string]bool{}
	for key := range a {
		keys[key] = true
	}
	for key := range b {
		keys[key] = true
	}
	return keys
}

// list rebases lists, but for entries that route to a canary, which are the script's.
func (b rebase) list(original, rendered, now []any) []any {
	rendered, now = b.own(rendered), b.own(now)
	if len(original) == len(rendered) && len(rendered) == len(now) {
		merged := make([]any, len(original))
		for i := range original {
			merged[i] = b.value(original[i], rendered[i], now[i])
		}
		return merged
	}
	made, kept := pairs(original, rendered), pairs(rendered, now)
	var merged []any
	var places []int // in now, of what is merged; -1: none
	for i, entry := range original {
		r, there := made[i]
		n, stayed := kept[r]
		switch {
		case !there: // the script has taken it away
			merged, places = append(merged, entry), append(places, -1)
		case stayed:
			merged, places = append(merged, b.value(entry, rendered[r], now[n])), append(places, n)
		}
	}
	known := map[int]bool{}
	for _, n := range kept {
		known[n] = true
	}
	for n, entry := range now {
		if known[n] {
			continue
		}
		at := 0 // behind what it stands behind
		for i, place := range places {
			if place >= 0 && place < n {
				at = i + 1
			}
		}
		merged, places = slices.Insert(merged, at, entry), slices.Insert(places, at, n)
	}
	return merged
}

// pairs shows which entry of another list each entry of one has become: the same one, else one of the same name, else the one
// that is the most like it.
func pairs(from, to []any) map[int]int {
	found, taken := map[int]int{}, map[int]bool{}
	for _, like := range []func(a, b any) int{
		func(a, b any) int { return truth(same(a, b)) },
		func(a, b any) int { return truth(nameOf(a) != "" && nameOf(a) == nameOf(b)) },
		likeness,
	} {
		for i, entry := range from {
			if _, done := found[i]; done {
				continue
			}
			best, most := -1, 0
			for j, other := range to {
				if n := like(entry, other); !taken[j] && n > most {
					best, most = j, n
				}
			}
			if best >= 0 {
				found[i], taken[best] = best, true
			}
		}
	}
	return found
}

func truth(is bool) int {
	if is {
		return 1
	}
	return 0
}

func nameOf(entry any) string {
	fields, _ := entry.(map[string]any)
	name, _ := fields["name"].(string)
	return name
}

// likeness counts the fields that two entries have in common.
func likeness(a, b any) int {
	x, _ := a.(map[string]any)
	y, _ := b.(map[string]any)
	n := 0
	for key, value := range x {
		if other, ok := y[key]; ok && same(value, other) {
			n++
		}
	}
	return n
}

// own are the entries of a list that are the user's.
func (b rebase) own(list []any) []any {
	return slices.DeleteFunc(slices.Clone(list), func(entry any) bool {
		return slices.ContainsFunc(b.canaries, func(canary string) bool { return names(entry, canary, "") && !names(entry, b.stable[canary], "") })
	})
}
