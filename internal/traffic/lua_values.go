// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// exact is the integer up to which Lua's numbers hold each one.
const exact = 1 << 53

// What bounds the values that a script is given and gives.
var (
	errTooLarge = fmt.Errorf("the value is too large: it may have %d parts, of which a string has one more for each 64 bytes", maxValue)
	errTooDeep  = fmt.Errorf("the value is nested deeper than %d levels", maxNesting)
)

// Lua has one kind of table. Those made from an object remember in their metatable which kind of value they were, so
// that an empty list and an empty map come out as they went in.
const kindField = "__kind"

// toLua makes a Lua value. What Lua cannot hold (null, and integers beyond 2^53) becomes a value that scripts can pass
// on but not look into.
func toLua(l *lua.LState, v any) (lua.LValue, error) { return newWriter(l).value(v, 0) }

// writer makes values of Lua of one value. It counts, because each takes some hundred bytes.
type writer struct {
	l            *lua.LState
	left         int
	list, fields *lua.LTable // their metatables
}

func newWriter(l *lua.LState) *writer {
	return &writer{l: l, left: maxValue, list: kindOf(l, "list"), fields: kindOf(l, "map")}
}

// kindOf makes a metatable that says what a table is.
func kindOf(l *lua.LState, kind string) *lua.LTable {
	meta := l.CreateTable(0, 1)
	meta.RawSetString(kindField, lua.LString(kind))
	return meta
}

// value makes a Lua value.
func (w *writer) value(v any, depth int) (lua.LValue, error) {
	if w.left--; w.left < 0 {
		return nil, errTooLarge
	}
	if depth > maxNesting {
		return nil, errTooDeep
	}
	switch v := v.(type) {
	case bool:
		return lua.LBool(v), nil
	case string:
		w.left -= len(v) >> 6
		return lua.LString(v), nil
	case float64:
		return lua.LNumber(v), nil
	case int:
		return lua.LNumber(v), nil
	case int64:
		if v > -exact && v < exact {
			return lua.LNumber(v), nil
		}
	case []any:
		return w.listOf(v, depth)
	case map[string]any:
		return w.mapOf(v, depth)
	}
	opaque := w.l.NewUserData()
	opaque.Value = v
	return opaque, nil
}

func (w *writer) listOf(v []any, depth int) (lua.LValue, error) {
	if len(v) >= maxArray {
		return nil, fmt.Errorf("the value is too large: it has a list of %d, and %d are too many", len(v), maxArray)
	}
	list := w.l.CreateTable(len(v), 0)
	list.Metatable = w.list
	for i, item := range v {
		value, err := w.value(item, depth+1)
		if err != nil {
			return nil, err
		}
		list.RawSetInt(i+1, value)
	}
	return list, nil
}

func (w *writer) mapOf(v map[string]any, depth int) (lua.LValue, error) {
	table := w.l.CreateTable(0, min(len(v), max(w.left, 0)))
	table.Metatable = w.fields
	for _, key := range sortedKeys(v) { // so that pairs() goes the same way every time
		w.left -= len(key) >> 6
		value, err := w.value(v[key], depth+1)
		if err != nil {
			return nil, err
		}
		table.RawSetString(key, value)
	}
	return table, nil
}

// fromLua makes a value of JSON: whole numbers become integers, tables with keys from 1 lists, others maps. An empty
// table that the script made is a list, as json.encode writes it; json.decode("{}") makes an empty map.
func fromLua(v lua.LValue) (any, error) {
	return (&reader{left: maxValue}).value(v, 0)
}

// reader makes one value. It counts, because tables that hold others twice can say a great deal in few words.
type reader struct{ left int }

// value makes a value of JSON.
func (r *reader) value(v lua.LValue, depth int) (any, error) {
	if r.left--; r.left < 0 {
		return nil, errTooLarge
	}
	if depth > maxNesting {
		return nil, errTooDeep
	}
	switch v := v.(type) {
	case *lua.LNilType:
		return nil, nil
	case lua.LBool:
		return bool(v), nil
	case lua.LString:
		r.left -= len(v) >> 6
		return string(v), nil
	case lua.LNumber:
		return number(float64(v))
	case *lua.LUserData:
		return v.Value, nil
	case *lua.LTable:
		return r.table(v, depth)
	default:
		return nil, fmt.Errorf("a %s cannot be written as JSON", v.Type())
	}
}

// number makes an integer of a whole number.
func number(f float64) (any, error) {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return nil, fmt.Errorf("%v is no number of JSON", f)
	case f == math.Trunc(f) && math.Abs(f) < exact:
		return int64(f), nil
	default:
		return f, nil
	}
}

// table makes a list or a map.
func (r *reader) table(t *lua.LTable, depth int) (any, error) {
	list, fields, err := r.entries(t, depth)
	switch {
	case err != nil:
		return nil, err
	case len(fields) > 0 && len(list) > 0:
		return nil, fmt.Errorf("a table has both the key %s and a value at 1; it is neither list nor map", cited(sortedKeys(fields)[0]))
	case len(fields) > 0:
		return fields, nil
	case len(list) > 0:
		return list, nil
	}
	if meta, ok := t.Metatable.(*lua.LTable); ok && meta.RawGetString(kindField) == lua.LString("map") {
		return fields, nil
	}
	return list, nil
}

// entries are the values of a table, by index and by key.
func (r *reader) entries(t *lua.LTable, depth int) (list []any, fields map[string]any, err error) {
	list, fields = make([]any, t.Len()), map[string]any{}
	listed := 0
	for key, value := t.Next(lua.LNil); key != lua.LNil; key, value = t.Next(key) { // ForEach has another order each time, and another error
		item, failed := r.value(value, depth+1)
		if err == nil {
			err = failed
		}
		switch key := key.(type) {
		case lua.LString:
			fields[string(key)] = item
		case lua.LNumber:
			listed++
			if i := int(key); lua.LNumber(i) == key && i >= 1 && i <= len(list) {
				list[i-1] = item
			}
		default:
			err = fmt.Errorf("a %s is no key of JSON", key.Type())
		}
	}
	for i := range list {
		if listed != len(list) && list[i] == nil {
			return nil, nil, fmt.Errorf("a list has no value at %d, but has one after it", i+1)
		}
	}
	if err == nil && listed != len(list) {
		err = fmt.Errorf("a list has values that are not at 1, 2, 3 and so on")
	}
	return list, fields, err
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// decode reads JSON as the API machinery does: whole numbers are integers.
func decode(text string) (any, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	return integers(v), nil
}

// integers replaces the literal numbers in a decoded value.
func integers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = integers(v[key])
		}
	}
	return v
}
