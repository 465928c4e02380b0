// SPDX-License-Identifier: Apache-2.0

package raw

import (
	"encoding/json"
	"reflect"
	"testing"

	"sigs.k8s.io/yaml"
)

// object reads an object of a test.
func object(t *testing.T, text string) map[string]any {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestOverlay: what changed does, and what is in neither of the two objects that show the change stays with what it belongs to.
func TestOverlay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ onto, from, to, want string }{
		"a field": {
			`{a: 1, new: {x: y}}`, `{a: 1}`, `{a: 2}`, `{a: 2, new: {x: y}}`,
		},
		"a field that goes": {
			`{a: 1, b: {c: 1, new: x}}`, `{a: 1, b: {c: 1}}`, `{b: {}}`, `{b: {new: x}}`,
		},
		"a map that comes": {
			`{a: 1}`, `{a: 1}`, `{a: 1, b: {c: 1}}`, `{a: 1, b: {c: 1}}`,
		},
		"a map that comes where the cluster has fields": {
			`{b: {new: x}}`, `{}`, `{b: {c: 1}}`, `{b: {c: 1, new: x}}`,
		},
		"an item known by its name": {
			`{l: [{name: a, v: 1, new: x}, {name: b, v: 1, new: y}]}`, `{l: [{name: a, v: 1}, {name: b, v: 1}]}`, `{l: [{name: a, v: 1}, {name: b, v: 2}]}`,
			`{l: [{name: a, v: 1, new: x}, {name: b, v: 2, new: y}]}`,
		},
		"items that come, go and change places": {
			`{l: [{name: a, new: x}, {name: b, new: y}, {name: c, new: z}]}`, `{l: [{name: a}, {name: b}, {name: c}]}`, `{l: [{name: c}, {name: d}, {name: a}]}`,
			`{l: [{name: c, new: z}, {name: d}, {name: a, new: x}]}`,
		},
		"an item in another's place is another": {
			`{l: [{name: a, new: x}]}`, `{l: [{name: a}]}`, `{l: [{name: b}]}`, `{l: [{name: b}]}`,
		},
		"ports of a Service by their names": {
			`{l: [{name: http, port: 80, protocol: TCP, new: x}, {name: dns, port: 53, protocol: UDP, new: y}]}`,
			`{l: [{name: http, port: 80, protocol: TCP}, {name: dns, port: 53, protocol: UDP}]}`,
			`{l: [{name: dns, port: 80, protocol: UDP}, {name: http, port: 81, protocol: TCP}]}`,
			`{l: [{name: dns, port: 80, protocol: UDP, new: y}, {name: http, port: 81, protocol: TCP, new: x}]}`,
		},
		"ports without names by number and protocol": {
			`{l: [{containerPort: 53, protocol: TCP, new: x}, {containerPort: 53, protocol: UDP, new: y}]}`,
			`{l: [{containerPort: 53, protocol: TCP}, {containerPort: 53, protocol: UDP}]}`,
			`{l: [{containerPort: 53, protocol: UDP, hostPort: 1}]}`,
			`{l: [{containerPort: 53, protocol: UDP, hostPort: 1, new: y}]}`,
		},
		"a port that gets another name": {
			`{l: [{name: a, port: 80, protocol: TCP, new: x}]}`, `{l: [{name: a, port: 80, protocol: TCP}]}`, `{l: [{name: b, port: 80, protocol: TCP}]}`,
			`{l: [{name: b, port: 80, protocol: TCP, new: x}]}`,
		},
		"two of one name, in their order": {
			`{l: [{name: a, v: 1, new: x}, {name: a, v: 2, new: y}]}`, `{l: [{name: a, v: 1}, {name: a, v: 2}]}`, `{l: [{name: a, v: 1}, {name: a, v: 3}]}`,
			`{l: [{name: a, v: 1, new: x}, {name: a, v: 3, new: y}]}`,
		},
		"rules without names by their places": {
			`{l: [{w: 1, new: x}, {w: 2, new: y}]}`, `{l: [{w: 1}, {w: 2}]}`, `{l: [{w: 3}, {w: 4}]}`, `{l: [{w: 3, new: x}, {w: 4, new: y}]}`,
		},
		"rules that stay, where others go": {
			`{l: [{w: 1, new: x}, {w: 2, new: y}]}`, `{l: [{w: 1}, {w: 2}]}`, `{l: [{w: 2}]}`, `{l: [{w: 2, new: y}]}`,
		},
		"lists in items of lists": {
			`{l: [{name: a, env: [{name: e, value: "1", new: x}], new: y}]}`, `{l: [{name: a, env: [{name: e, value: "1"}]}]}`, `{l: [{name: a, env: [{name: e, value: "2"}]}]}`,
			`{l: [{name: a, env: [{name: e, value: "2", new: x}], new: y}]}`,
		},
		"lists of values as a whole": {
			`{l: [a, b], new: x}`, `{l: [a, b]}`, `{l: [c]}`, `{l: [c], new: x}`,
		},
		"another list than was seen": {
			`{l: [{name: a, new: x}, {name: b}]}`, `{l: [{name: a}]}`, `{l: [{name: a, v: 1}]}`, `{l: [{name: a, v: 1}]}`,
		},
		"another type": {
			`{a: {new: x}}`, `{a: {}}`, `{a: 1}`, `{a: 1}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onto, from, to := object(t, c.onto), object(t, c.from), object(t, c.to)
			Overlay(onto, from, to)
			if want := object(t, c.want); !reflect.DeepEqual(onto, want) {
				have, _ := json.Marshal(onto)
				t.Errorf("it is %s, want %s", have, c.want)
			}
			if !reflect.DeepEqual(from, object(t, c.from)) || !reflect.DeepEqual(to, object(t, c.to)) {
				t.Error("it changes what tells the change")
			}
		})
	}
}

// TestUnknown: paths are as exact as people would write them.
func TestUnknown(t *testing.T) {
	t.Parallel()
	const pod = `{containers: [{name: main, image: v1, ports: [{containerPort: 80}]}, {name: side}], tolerations: [{effect: a}]}`
	for name, c := range map[string]struct {
		before, after           string
		typedBefore, typedAfter string
		want                    []string
	}{
		"nothing":            {pod, pod, pod, pod, nil},
		"what our types see": {`{a: 1}`, `{a: 2}`, `{a: 1}`, `{a: 2}`, nil},
		"the same quantity":  {`{cpu: 1000m}`, `{cpu: "1"}`, `{cpu: "1"}`, `{cpu: "1"}`, nil},
		"a container's": {
			`{containers: [{name: side}, {name: main, future: 1}]}`, `{containers: [{name: side}, {name: main, future: 2}]}`,
			`{containers: [{name: side}, {name: main}]}`, `{containers: [{name: side}, {name: main}]}`,
			[]string{"at.containers[name=main].future"},
		},
		"a container's that moves": {
			`{containers: [{name: side}, {name: main, future: 1}]}`, `{containers: [{name: main, future: 2}, {name: side}]}`,
			`{containers: [{name: side}, {name: main}]}`, `{containers: [{name: main}, {name: side}]}`,
			[]string{"at.containers[name=main].future"},
		},
		"a port's, beside what is known": {
			`{containers: [{name: main, image: v1, ports: [{containerPort: 80}]}]}`, `{containers: [{name: main, image: v2, ports: [{containerPort: 80, future: x}]}]}`,
			`{containers: [{name: main, image: v1, ports: [{containerPort: 80}]}]}`, `{containers: [{name: main, image: v2, ports: [{containerPort: 80}]}]}`,
			[]string{"at.containers[name=main].ports[containerPort=80].future"},
		},
		"one without a name": {
			`{tolerations: [{effect: a, future: 1}]}`, `{tolerations: [{effect: a}]}`, `{tolerations: [{effect: a}]}`, `{tolerations: [{effect: a}]}`,
			[]string{"at.tolerations[0].future"},
		},
		"a container that comes": {
			`{containers: [{name: main}]}`, `{containers: [{name: main}, {name: side, future: {x: y}}]}`,
			`{containers: [{name: main}]}`, `{containers: [{name: main}, {name: side}]}`,
			[]string{"at.containers[name=side].future"},
		},
		"a list, a map and a value": {
			`{list: [{a: 1}], map: {a: {b: 1}}, gone: 1}`, `{list: [{a: 2}], map: {a: {b: 2}}}`, `{}`, `{}`,
			[]string{"at.gone", "at.list", "at.map.a.b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Unknown("at", object(t, c.before), object(t, c.after), object(t, c.typedBefore), object(t, c.typedAfter))
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
