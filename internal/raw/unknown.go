// SPDX-License-Identifier: Apache-2.0

package raw

import (
	"fmt"
	"reflect"
	"slices"
)

// Unknown are the paths, below one, at which two versions of a value differ that our types do not know: Before and After are the
// two as the cluster has them, TypedBefore and TypedAfter as our types do.
func Unknown(path string, before, after, typedBefore, typedAfter any) []string {
	paths := unknown(path, before, after, typedBefore, typedAfter)
	slices.Sort(paths)
	return paths
}

func unknown(path string, before, after, typedBefore, typedAfter any) []string {
	unseen := typedBefore == nil && typedAfter == nil
	switch {
	case reflect.DeepEqual(before, after):
		return nil
	case unseen && (before == nil || after == nil):
		return []string{path}
	}
	if a, b, ok := both[map[string]any](before, after); ok {
		x, _ := typedBefore.(map[string]any)
		y, _ := typedAfter.(map[string]any)
		return unknownFields(path, a, b, x, y)
	}
	a, b, ok := both[[]any](before, after)
	x, y, known := both[[]any](typedBefore, typedAfter)
	switch {
	case ok && known && len(a) == len(x) && len(b) == len(y):
		return unknownItems(path, a, b, x, y)
	case unseen:
		return []string{path}
	default:
		return nil // our types know the field, however it is spelt
	}
}

// both reads two values as one type; nil is one of any.
func both[T any](a, b any) (x, y T, ok bool) {
	x, ok1 := a.(T)
	y, ok2 := b.(T)
	return x, y, (ok1 || a == nil) && (ok2 || b == nil) && (ok1 || ok2)
}

func unknownFields(path string, before, after, typedBefore, typedAfter map[string]any) []string {
	var paths []string
	visit := func(key string) {
		paths = append(paths, unknown(path+"."+key, before[key], after[key], typedBefore[key], typedAfter[key])...)
	}
	for key := range before {
		visit(key)
	}
	for key := range after {
		if _, seen := before[key]; !seen {
			visit(key)
		}
	}
	return paths
}

// unknownItems compares the items of a list that are the same ones. Items that came or went are known to our types; what these
// lack of one that came is reported, too.
func unknownItems(path string, before, after, typedBefore, typedAfter []any) []string {
	var paths []string
	for i, at := range pairs(typedBefore, typedAfter) {
		was, typedWas := any(nil), any(nil)
		if at >= 0 {
			was, typedWas = before[at], typedBefore[at]
		}
		paths = append(paths, unknown(path+"["+place(after[i], i)+"]", was, after[i], typedWas, typedAfter[i])...)
	}
	return paths
}

// place is an item of a list as people name it: by its merge key, or else by its number.
func place(item any, i int) string {
	for _, keys := range mergeKeys {
		if id := identity(item, keys); id != "" {
			return id
		}
	}
	return fmt.Sprint(i)
}
