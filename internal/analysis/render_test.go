// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1beta1"
)

// templates reads templates, by name; one whose name begins with cluster is of the whole cluster.
func templates(t *testing.T, specs map[string]string) (have []Template) {
	t.Helper()
	for name, text := range specs {
		spec := &v1beta1.AnalysisTemplateSpec{}
		if err := yaml.UnmarshalStrict([]byte(text), spec); err != nil {
			t.Fatal(err)
		}
		cluster := strings.HasPrefix(name, "cluster")
		tpl := Template{Ref: v1beta1.AnalysisTemplateRef{TemplateName: name, ClusterScope: cluster}, Namespace: "shop", Spec: spec}
		if cluster {
			tpl.Namespace = ""
		}
		have = append(have, tpl)
	}
	return have
}

const (
	asking = "{name: m, provider: {web: {url: 'http://metrics/{{args.a}}'}}}"
	one    = "{templates: [{templateName: t}]}"
	shared = "templates: [{templateName: cluster, clusterScope: true}]"
)

func with(arg string) string { return "{metrics: [" + asking + "], args: [{name: a" + arg + "}]}" }

func giving(value string) string {
	return "{templates: [{templateName: t}], args: [{name: a, " + value + "}]}"
}

// TestRender: what templates come to, and what is wrong with them.
func TestRender(t *testing.T) {
	t.Parallel()
	ro := &v1beta1.Rollout{}
	ro.Namespace, ro.Name, ro.Labels = "shop", "web", map[string]string{"team": "a-team", "bad": "x'} or vector(1"}
	ro.Status.Message = "anything"
	secret := ", valueFrom: {secretKeyRef: {name: s, key: k}}"
	type set = map[string]string
	for name, tc := range map[string]struct {
		analysis  string
		templates set
		want      string // the first URL, or a part of the error
	}{
		"a value of the template":          {one, set{"t": with(", value: x")}, "http://metrics/x"},
		"the Rollout's goes first":         {giving("value: z"), set{"t": with(", value: x")}, "http://metrics/z"},
		"a field of the Rollout":           {giving(`valueFrom: {fieldRef: {fieldPath: "metadata.labels['team']"}}`), set{"t": with("")}, "http://metrics/a-team"},
		"a field that changes":             {giving("valueFrom: {fieldRef: {fieldPath: status.message}}"), set{"t": with("")}, "has to begin with metadata or spec"},
		"the hash of new pods":             {giving("valueFrom: {podTemplateHashValue: Latest}"), set{"t": with("")}, "http://metrics/new"},
		"spaces, and what is always there": {one, set{"t": "{metrics: [{name: m, provider: {web: {url: 'http://{{ rollouts.namespace }}/{{rollouts.name}}'}}}]}"}, "http://shop/web"},
		"other braces stay":                {one, set{"t": "{metrics: [{name: m, provider: {web: {url: 'http://h/{{x}}'}}}]}"}, "http://h/{{x}}"},
		"no value":                         {one, set{"t": with("")}, "arg a has no value"},
		"not declared":                     {one, set{"t": "{metrics: [" + asking + "]}"}, "{{args.a}} stands for nothing"},
		"given, not declared":              {"{templates: [{templateName: t}], args: [{name: b, value: y}]}", set{"t": with(", value: x")}, "which no template declares: they declare a"},
		"no number":                        {one, set{"t": "{metrics: [{name: m, interval: 10s, count: '{{args.a}}', provider: {web: {url: u}}}], args: [{name: a, value: many}]}"}, `count is "many", which is no number`},
		"a template of a template":         {one, set{"t": "{templates: [{templateName: s}], args: [{name: a, value: x}]}", "s": with("")}, "http://metrics/x"},
		"in a circle":                      {one, set{"t": "{templates: [{templateName: s}]}", "s": "{templates: [{templateName: t}]}"}, "names itself"},
		"missing":                          {one, nil, "AnalysisTemplate t does not exist"},
		"twice one name":                   {"templates: [{templateName: s}, {templateName: t}]", set{"t": with(", value: x"), "s": with(", value: x")}, "two metrics have the name m"},
		"two values":                       {"templates: [{templateName: s}, {templateName: t}]", set{"t": with(", value: x"), "s": "{args: [{name: a, value: y}]}"}, "different values"},
		"too often":                        {one, set{"t": "{metrics: [{name: m, interval: 1s, provider: {web: {url: u}}}]}"}, "the least is 5s"},
		"count without interval":           {one, set{"t": "{metrics: [{name: m, count: 3, provider: {web: {url: u}}}]}"}, "there is no interval"},
		"a condition that is none":         {one, set{"t": "{metrics: [{name: m, successCondition: 'result >', provider: {web: {url: u}}}]}"}, "successCondition:"},
		"a Secret stays out of the text":   {one, set{"t": with(secret)}, "http://metrics/{{args.a}}"},

		"a cluster template takes plain values":   {"{" + shared + ", args: [{name: a, value: web-1}]}", set{"cluster": with("")}, "http://metrics/web-1"},
		"and no others":                           {"{" + shared + `, args: [{name: a, value: "x'} or vector(1)"}]}`, set{"cluster": with("")}, "does not match the pattern"},
		"unless it says so":                       {"{" + shared + ", args: [{name: a, value: 'a b'}]}", set{"cluster": with(", pattern: 'a.b'")}, "http://metrics/a b"},
		"not by a template of a tenant either":    {"templates: [{templateName: t}, {templateName: cluster, clusterScope: true}]", set{"cluster": with(""), "t": `{args: [{name: a, value: "x'} or vector(1)"}]}`}, "does not match the pattern"},
		"nor by a label that it reads":            {shared, set{"cluster": with(`, valueFrom: {fieldRef: {fieldPath: "metadata.labels['bad']"}}`)}, "does not match the pattern"},
		"the platform's Secret is not a tenant's": {"templates: [{templateName: t}, {templateName: cluster, clusterScope: true}]", set{"cluster": "{args: [{name: a" + secret + "}]}", "t": "{metrics: [" + asking + "]}"}, "a Secret of a template of another scope"},
		"nor sent to where a tenant says": {
			"{" + shared + ", args: [{name: host, value: evil}]}",
			set{"cluster": "{metrics: [{name: m, provider: {web: {url: 'http://{{args.host}}/', headers: [{key: Authorization, value: '{{args.a}}'}]}}}], args: [{name: host}, {name: a" + secret + "}]}"},
			"is a part of where its Secret is sent",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := v1beta1.Analysis{}
			if err := yaml.UnmarshalStrict([]byte(tc.analysis), &a); err != nil {
				t.Fatal(err)
			}
			metrics, _, err := Render(a, templates(t, tc.templates), Values{Rollout: ro, CanaryHash: "new"})
			switch {
			case err != nil && strings.Contains(err.Error(), tc.want):
			case err != nil || metrics[0].Provider.Web.URL != tc.want:
				t.Errorf("got %+v %v, want %s", metrics, err, tc.want)
			}
		})
	}
}
