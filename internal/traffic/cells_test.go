// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"bytes"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// table says what becomes of each field of a user's object in one router. The tests hold the router to it, and the page for users
// is made from it.
type table struct {
	title   string
	routing string     // of whom
	object  string     // the user's, without the fields of the cells
	typed   func() any // its Go type; nil: none here
	share   way
	match   way // without a step: there are no matches
	cells   []cell
}

// way is one thing that a step asks for.
type way struct {
	step  string
	twins map[string]string // the canary's part next to the stable one: paths in what is rendered, by paths in what the user wrote
	moved map[string]string // where the user's own is by then
}

// cell is one field of the user's object.
type cell struct {
	at    string // its path in the user's object
	value string
	share outcome
	match outcome
	name  string // what the page calls it, if not by its path
}

// outcome is what becomes of it in the canary's part. The zero outcome: it is copied there, or stands around it, and stays.
type outcome struct {
	verb string // "", becomes, left out, refused
	want string // the canary's value
	own  string // the user's own value by then; "": as it was
	why  string // for the page; of what is refused, a part of the message
}

func becomes(want, why string) outcome { return outcome{verb: "becomes", want: want, why: why} }

// divides is a value that is divided between the two parts.
func divides(own, want, why string) outcome {
	return outcome{verb: "becomes", own: own, want: want, why: why}
}

func leftOut(why string) outcome { return outcome{verb: "left out", why: why} }

func refused(text string) outcome { return outcome{verb: "refused", why: text} }

// unheardOf is a field that is not known.
const unheardOf = "newer"

// nobodyKnows is what the page calls it; at whatever level it stands, it is treated as what is known there.
const nobodyKnows = "any field that nobody knows"

func unknownAt(paths ...string) []cell {
	var cells []cell
	for _, path := range paths {
		cells = append(cells, cell{at: path + "." + unheardOf, value: `{list: [], map: {}, "null": null, number: 1152921504606846977}`, name: nobodyKnows})
	}
	return cells
}

// tables are those of all routers.
func tables() []table {
	return slices.Concat(gatewayTables(), ingressTables(), istioTables(), meshTables())
}

// TestCells renders every field of every router, with a weight and with matches.
func TestCells(t *testing.T) {
	for _, table := range tables() {
		t.Run(table.title, func(t *testing.T) {
			for _, c := range table.cells {
				t.Run(strings.TrimPrefix(c.at+" "+c.name, "spec."), func(t *testing.T) {
					object := table.with(t, c)
					if table.typed != nil && !strings.Contains(c.at+c.value, unheardOf) {
						strictly(t, object, table.typed())
					}
					table.share.hold(t, table.routing, object, c, c.share)
					if table.match.step != "" {
						table.match.hold(t, table.routing, object, c, c.match)
					}
				})
			}
		})
	}
}

// with is the user's object with a field.
func (table table) with(t *testing.T, c cell) map[string]any {
	doc := map[string]any{"user": parsed(t, table.object)}
	setAt(doc, keysOf("user."+c.at), parsed(t, c.value))
	object, _ := doc["user"].(map[string]any)
	return object
}

func parsed(t *testing.T, text string) any {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	v, err := decode(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// strictly checks that an object has the fields of its kind, and no others.
func strictly(t *testing.T, object map[string]any, into any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader([]byte(encode(object))))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Errorf("the object of the cell is none of its kind: %v", err)
	}
}

// hold renders one cell, and checks the canary's part, the user's own, and that the original comes back.
func (w way) hold(t *testing.T, routing string, object map[string]any, c cell, o outcome) {
	t.Helper()
	rendered, err := w.render(t, routing, object)
	if o.verb == "refused" {
		if err == nil || !strings.Contains(err.Error(), o.why) {
			t.Errorf("%s: got %v, want an error with %q", w.step, err, o.why)
		}
		return
	}
	if err != nil {
		t.Errorf("%s: %v", w.step, err)
		return
	}
	value, _ := valueAt(map[string]any{"user": object}, keysOf("user."+c.at))
	own := encode(value)
	if o.own != "" {
		own = encode(parsed(t, o.own))
	}
	moved, _ := lead("user."+c.at, w.moved)
	if got, _ := valueAt(rendered, keysOf(moved)); encode(got) != own {
		t.Errorf("%s: the user's own is %s, want %s", w.step, encode(got), own)
	}
	twin, beside := lead("user."+c.at, w.twins)
	if !beside {
		if o.verb != "" && o.own == "" {
			t.Errorf("%s: it has no part in the canary that could be another", w.step)
		}
		return
	}
	got, there := valueAt(rendered, keysOf(twin))
	switch o.verb {
	case "left out":
		if there {
			t.Errorf("%s: the canary's part has %s", w.step, encode(got))
		}
	case "becomes":
		if want := encode(parsed(t, o.want)); encode(got) != want {
			t.Errorf("%s: the canary's part has %s, want %s", w.step, encode(got), want)
		}
	default:
		if encode(got) != encode(value) {
			t.Errorf("%s: the canary's part has %s, want the same as the user's: %s", w.step, encode(got), encode(value))
		}
	}
}

// render is what a routing makes of an object, by admission and its router; the laws hold for it.
func (w way) render(t *testing.T, routing string, object map[string]any) (map[string]any, error) {
	t.Helper()
	ref, step := rolloutsv1beta1.TrafficRoutingRef{}, rolloutsv1beta1.TrafficRoutingStrategy{}
	if err := yaml.UnmarshalStrict([]byte(routing), &ref); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(w.step), &step); err != nil {
		t.Fatal(err)
	}
	if err := Able(ref, config, step); err != nil {
		return nil, err
	}
	c := Config{Backends: BackendsOf(ref.Service, false), Owner: config.Owner}
	routers, err := Routers(ref, c)
	if err != nil {
		return nil, err
	}
	route, err := RouteOf(step)
	if err != nil {
		return nil, err
	}
	refs := routers[0].Refs()
	user := Objects{refs[0]: {Object: runtime.DeepCopyJSON(object)}}
	out, broken, err := Try(routers[0], user, route)
	for _, law := range broken {
		t.Errorf("%s: %v", w.step, law)
	}
	if err != nil {
		return nil, err
	}
	doc := map[string]any{"user": out[refs[0]].Object}
	if len(refs) > 1 && out[refs[1]] != nil {
		doc["canary"] = out[refs[1]].Object
	}
	return doc, nil
}

// lead is a path with its beginning replaced, the longest that there is; false: none.
func lead(at string, by map[string]string) (string, bool) {
	found := ""
	for from := range by {
		if from = "user." + from; len(from) > len(found) && (at == from || strings.HasPrefix(at, from+".") || strings.HasPrefix(at, from+"[")) {
			found = from
		}
	}
	if found == "" {
		return at, false
	}
	to := by[strings.TrimPrefix(found, "user.")]
	if !strings.HasPrefix(to, "canary.") {
		to = "user." + to
	}
	return to + strings.TrimPrefix(at, found), true
}

// keysOf reads a.b[0].c[a.key.with.dots].
func keysOf(text string) []any {
	var keys []any
	for _, part := range regexp.MustCompile(`\[[^]]*\]|[^.[\]]+`).FindAllString(text, -1) {
		name := strings.Trim(part, "[]")
		if i, err := strconv.Atoi(name); err == nil && part[0] == '[' {
			keys = append(keys, i)
		} else {
			keys = append(keys, name)
		}
	}
	return keys
}

func valueAt(v any, keys []any) (any, bool) {
	for _, key := range keys {
		switch key := key.(type) {
		case string:
			fields, _ := v.(map[string]any)
			value, there := fields[key]
			if !there {
				return nil, false
			}
			v = value
		case int:
			list, ok := v.([]any)
			if !ok || key >= len(list) {
				return nil, false
			}
			v = list[key]
		}
	}
	return v, true
}

// setAt sets a value in maps and lists, which are made where they are missing.
func setAt(v any, keys []any, value any) any {
	if len(keys) == 0 {
		return value
	}
	if key, ok := keys[0].(string); ok {
		fields, _ := v.(map[string]any)
		if fields == nil {
			fields = map[string]any{}
		}
		fields[key] = setAt(fields[key], keys[1:], value)
		return fields
	}
	list, _ := v.([]any)
	for i := keys[0].(int); len(list) <= i; {
		list = append(list, nil)
	}
	list[keys[0].(int)] = setAt(list[keys[0].(int)], keys[1:], value)
	return list
}

// anyIndex is a path without the numbers of its lists.
func anyIndex(at string) string { return regexp.MustCompile(`\[\d+\]`).ReplaceAllString(at, "[]") }

// TestCellsAreComplete: no field of the types that there are in Go is without a cell, also when a newer library has more of them.
func TestCellsAreComplete(t *testing.T) {
	for _, table := range tables() {
		if table.typed == nil {
			continue
		}
		t.Run(table.title, func(t *testing.T) {
			covered := map[string]bool{}
			for _, c := range table.cells {
				cover(covered, anyIndex(c.at), parsed(t, c.value))
			}
			spec, _ := reflect.TypeOf(table.typed()).Elem().FieldByName("Spec")
			for _, field := range fieldsOf(spec.Type, "spec") {
				if !covered[field] {
					t.Errorf("%s has no cell", field)
				}
			}
			for _, field := range []string{"metadata.labels", "metadata.annotations"} {
				if !slices.ContainsFunc(table.cells, func(c cell) bool { return strings.HasPrefix(c.at, field) }) {
					t.Errorf("%s has no cell", field)
				}
			}
		})
	}
}

// cover notes the fields of a value.
func cover(covered map[string]bool, at string, v any) {
	covered[at] = true
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			cover(covered, at+"."+key, value)
		}
	case []any:
		for _, item := range v {
			cover(covered, at+"[]", item)
		}
	}
}

// fieldsOf are the paths of all fields of a type that have none themselves.
func fieldsOf(of reflect.Type, at string) []string {
	switch of.Kind() {
	case reflect.Pointer:
		return fieldsOf(of.Elem(), at)
	case reflect.Slice:
		if of.Elem().Kind() != reflect.Uint8 {
			return fieldsOf(of.Elem(), at+"[]")
		}
	case reflect.Struct:
		var fields []string
		for field := range of.Fields() {
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch {
			case strings.Contains(options, "inline"):
				fields = append(fields, fieldsOf(field.Type, at)...)
			case name != "" && name != "-":
				fields = append(fields, fieldsOf(field.Type, at+"."+name)...)
			}
		}
		if len(fields) > 0 {
			return fields
		}
	default:
	}
	return []string{at}
}

// cellsPage is what the page for users says of all cells: of each router one table, in which fields with the same outcome share a row.
func cellsPage() string {
	text := ""
	for _, table := range tables() {
		head, line := "| field | with a share |", "|---|---|"
		if table.match.step != "" {
			head, line = head+" with matches |", line+"---|"
		}
		text += "\n**" + table.title + "**\n\n" + head + "\n" + line + "\n"
		var order []string
		rows := map[string][]string{}
		for _, c := range table.cells {
			row := " " + table.share.says(c, c.share) + " |"
			if table.match.step != "" {
				row += " " + table.match.says(c, c.match) + " |"
			}
			if rows[row] == nil {
				order = append(order, row)
			}
			name := c.name
			if name == "" {
				name = "`" + anyIndex(strings.TrimPrefix(c.at, "spec.")) + "`"
			}
			if !slices.Contains(rows[row], name) {
				rows[row] = append(rows[row], name)
			}
		}
		for _, row := range order {
			if i := slices.Index(rows[row], nobodyKnows); i >= 0 {
				rows[row] = append(slices.Delete(rows[row], i, i+1), nobodyKnows)
			}
			text += "| " + strings.Join(rows[row], ", ") + " |" + row + "\n"
		}
	}
	return strings.TrimPrefix(text, "\n")
}

func (w way) says(c cell, o outcome) string {
	_, beside := lead("user."+c.at, w.twins)
	switch {
	case o.verb == "refused":
		return "refused: " + o.why
	case o.verb != "":
		return o.why
	case !beside:
		return "stays"
	default:
		return "copied"
	}
}

// TestDocumentedCells: the page for users says what the routers are held to.
func TestDocumentedCells(t *testing.T) { documented(t, "cells", cellsPage()) }
