// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
)

// TestAskedWhenRouted: what admission refuses is refused when it is routed, too, by Rollouts as by TrafficRoutings; and all else is
// routed. What becomes of it is checked by TestAsked of package traffic.
func TestAskedWhenRouted(t *testing.T) {
	t.Parallel()
	all := struct {
		Asks []struct {
			Name string                         `json:"name"`
			Step v1beta1.TrafficRoutingStrategy `json:"step"`
		} `json:"asks"`
		Gateways []struct {
			Title   string                    `json:"title"`
			Routing v1beta1.TrafficRoutingRef `json:"routing"`
			Object  map[string]any            `json:"object"`
			Asked   map[string]string         `json:"asked"`
			Alone   map[string]string         `json:"alone"`
		} `json:"gateways"`
	}{}
	text, err := os.ReadFile("../traffic/testdata/asked.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &all); err != nil || len(all.Gateways) == 0 {
		t.Fatal("nothing is asked for", err)
	}
	for _, g := range all.Gateways {
		for _, ask := range all.Asks {
			for _, alone := range []bool{false, true} {
				refused := strings.HasPrefix(g.Asked[ask.Name], "! ") || alone && (strings.HasPrefix(g.Alone[ask.Name], "! ") || g.Alone["*"] != "")
				c := traffic.Config{Backends: traffic.BackendsOf(g.Routing.Service, alone)}
				routers, err := traffic.Routers(g.Routing, c)
				if err != nil {
					t.Fatal(err)
				}
				r := Routing{Ref: g.Routing, Config: c, Routers: routers, Routes: traffic.Objects{routers[0].Refs()[0]: &unstructured.Unstructured{Object: g.Object}}}
				l := &trafficRoutingPlanner{TrafficRoutingInput: TrafficRoutingInput{Routings: []Routing{r}}} // both kinds ask the same function
				if _, err := l.changes(&ask.Step); (err != nil) != refused {
					t.Errorf("%s, %s, alone %v: %v", g.Title, ask.Name, alone, err)
				}
			}
		}
	}
}
