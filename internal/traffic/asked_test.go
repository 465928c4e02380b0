// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// askedFor is testdata/asked.yaml: everything that can be asked for, and what becomes of it with each gateway.
type askedFor struct {
	Asks []struct {
		Name string                                 `json:"name"`
		Step rolloutsv1beta1.TrafficRoutingStrategy `json:"step"`
	} `json:"asks"`
	Gateways []askedOf `json:"gateways"`
}

// askedOf is what becomes of it with one gateway: a part of what is rendered, or after "! " a part of the refusal.
type askedOf struct {
	Title   string                            `json:"title"`
	Routing rolloutsv1beta1.TrafficRoutingRef `json:"routing"`
	Object  map[string]any                    `json:"object"`
	Asked   map[string]string                 `json:"asked"`
	Alone   map[string]string                 `json:"alone"` // without a canary Service, where that differs
}

// alone is what becomes of it without a canary Service; false: the same, but what is rendered has other names in it.
func (g askedOf) alone(ask string) (string, bool) {
	if want, told := g.Alone[ask]; told {
		return want, true
	}
	if want, told := g.Alone["*"]; told && !strings.HasPrefix(g.Asked[ask], "! ") {
		return want, true
	}
	return g.Asked[ask], false
}

// whatBecomes is what a routing makes of an object, by admission and its router; the laws hold for it.
func whatBecomes(t *testing.T, ref rolloutsv1beta1.TrafficRoutingRef, object map[string]any, step rolloutsv1beta1.TrafficRoutingStrategy, alone bool) (string, error) {
	t.Helper()
	c := Config{Backends: BackendsOf(ref.Service, alone), Owner: config.Owner}
	if err := Able(ref, c, step); err != nil {
		return "", err
	}
	route, err := RouteOf(step)
	if err != nil {
		return "", err
	}
	routers, err := Routers(ref, c)
	if err != nil {
		return "", err
	}
	out, broken, err := Try(routers[0], Objects{routers[0].Refs()[0]: {Object: integers64(object)}}, route)
	for _, law := range broken {
		t.Error(law)
	}
	return dump(out), err
}

func readAsked(t *testing.T) askedFor {
	t.Helper()
	text, err := os.ReadFile("testdata/asked.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := askedFor{}
	if err := yaml.UnmarshalStrict(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestAsked renders all that can be asked for with every gateway, with and without a canary Service: it is done, or refused.
func TestAsked(t *testing.T) {
	all := readAsked(t)
	for _, g := range all.Gateways {
		if len(g.Asked) != len(all.Asks) {
			t.Errorf("%s has %d of %d", g.Title, len(g.Asked), len(all.Asks))
		}
		for _, ask := range all.Asks {
			for _, alone := range []bool{false, true} {
				want, told := g.Asked[ask.Name], true
				if alone {
					want, told = g.alone(ask.Name)
				}
				name := g.Title + ", " + ask.Name
				if alone {
					name += ", without a canary Service"
				}
				t.Run(name, func(t *testing.T) {
					got, err := whatBecomes(t, g.Routing, g.Object, ask.Step, alone)
					text, refused := strings.CutPrefix(want, "! ")
					switch {
					case refused && (err == nil || !strings.Contains(err.Error(), text)):
						t.Errorf("got %v, want an error with %q", err, text)
					case !refused && err != nil:
						t.Errorf("it is refused: %v", err)
					case !refused && told && !strings.Contains(got, text):
						t.Errorf("got %s, want %s in it", got, text)
					}
				})
			}
		}
	}
}
