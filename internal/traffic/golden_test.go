// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// given is what a case's .in.yaml holds.
type given struct {
	Why     string                                  `json:"why"`
	Routing rolloutsv1beta1.TrafficRoutingRef       `json:"routing"`
	Shared  bool                                    `json:"disableGenerateCanaryService,omitempty"`
	Scripts map[string]string                       `json:"scripts,omitempty"`
	Step    *rolloutsv1beta1.TrafficRoutingStrategy `json:"step"` // absent: restored
	Objects []map[string]any                        `json:"objects"`
}

// result is what its .out.yaml holds.
type result struct {
	Error   string           `json:"error,omitempty"`
	Objects []map[string]any `json:"objects,omitempty"` // those that changed, or were there and are not
	Deleted []string         `json:"deleted,omitempty"`
}

// TestGolden renders every testdata/<router>/<case>.in.yaml.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".in.yaml")
		t.Run(strings.TrimPrefix(name, "testdata/"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in := given{}
			if err := yaml.UnmarshalStrict(text, &in); err != nil {
				t.Fatal(err)
			}
			out, err := yaml.Marshal(render(t, in))
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(name+".out.yaml", out, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name + ".out.yaml")
			if err != nil || !bytes.Equal(out, want) {
				t.Errorf("%v: got\n%s\nwant\n%s\nrun with -update if it is meant", err, out, want)
			}
		})
	}
}

func render(t *testing.T, in given) result {
	c := Config{Backends: BackendsOf(in.Routing.Service, in.Shared), Owner: config.Owner, Scripts: in.Scripts}
	if in.Step != nil {
		if err := Able(in.Routing, c, *in.Step); err != nil {
			return result{Error: "at admission: " + err.Error()}
		}
	}
	routers, err := Routers(in.Routing, c)
	if err != nil {
		return result{Error: err.Error()}
	}
	var r *Route
	if in.Step != nil {
		var err error
		if r, err = RouteOf(*in.Step); err != nil {
			return result{Error: err.Error()}
		}
	}
	out := result{}
	for _, router := range routers {
		have := Objects{}
		for _, object := range in.Objects {
			u := &unstructured.Unstructured{Object: integers64(object)}
			for _, ref := range router.Refs() {
				if ref.Kind == u.GetKind() && ref.Name == u.GetName() {
					have[ref] = u
				}
			}
		}
		want, err := router.Render(have, r)
		if err != nil {
			return result{Error: err.Error()}
		}
		for _, ref := range router.Refs() {
			switch {
			case want[ref] == nil && have[ref] != nil:
				out.Deleted = append(out.Deleted, ref.String())
			case want[ref] != nil && (have[ref] == nil || encode(have[ref].Object) != encode(want[ref].Object)):
				out.Objects = append(out.Objects, want[ref].Object)
			}
		}
	}
	return out
}

// integers64 makes integers of YAML's numbers, as the API machinery does.
func integers64(object map[string]any) map[string]any {
	v, _ := plain(object).(map[string]any)
	return v
}
