// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1beta1"
)

// validated validates the spec of a template, named own.
func validated(t *testing.T, cluster bool, manifest string) field.ErrorList {
	t.Helper()
	spec := &v1beta1.AnalysisTemplateSpec{}
	if err := yaml.UnmarshalStrict([]byte(manifest), spec); err != nil {
		t.Fatalf("%v in %s", err, manifest)
	}
	return ValidateTemplate(v1beta1.AnalysisTemplateRef{TemplateName: "own", ClusterScope: cluster}, spec)
}

// complains compares errors with the beginnings that they should have: "path: text".
func complains(t *testing.T, errs field.ErrorList, want []string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	match := len(got) == len(want)
	for i := 0; match && i < len(want); i++ {
		path, text, _ := strings.Cut(want[i], ": ")
		match = strings.HasPrefix(got[i], path+": ") && strings.Contains(got[i], text)
	}
	if !match {
		t.Errorf("errors are\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// measuring is a template of one metric of Prometheus with more fields, asking is one of one provider.
func measuring(fields string) string {
	return fmt.Sprintf(`{metrics: [{name: m, provider: {prometheus: {query: up}}, %s}]}`, fields)
}

func asking(provider string) string { return `{metrics: [{name: m, provider: {` + provider + `}}]}` }

func TestValidateTemplate(t *testing.T) {
	t.Parallel()
	const up = `{name: m, provider: {prometheus: {query: up}}}`
	for name, c := range map[string]struct {
		manifest string
		cluster  bool
		want     []string
	}{
		"one metric":          {manifest: measuring(``)},
		"other templates":     {manifest: `{templates: [{templateName: other}, {templateName: own, clusterScope: true}]}`},
		"nothing":             {manifest: `{}`, want: []string{"spec.metrics: a template has metrics, or templates that have some"}},
		"too many metrics":    {manifest: `{metrics: [` + metricsCalled(21) + `]}`, want: []string{"spec.metrics: 21: must have at most 20 items"}},
		"a metric twice":      {manifest: `{metrics: [` + up + `, ` + up + `]}`, want: []string{"spec.metrics[1].name: Duplicate value"}},
		"a metric of no name": {manifest: `{metrics: [{name: "", provider: {prometheus: {query: up}}}]}`, want: []string{"spec.metrics[0].name: the metric's name"}},
		"itself and others": {manifest: `{templates: [{templateName: own}, {templateName: a}, {templateName: a}, {}]}`, want: []string{
			"spec.templates[0].templateName: a template cannot name itself", "spec.templates[2]: Duplicate value", "spec.templates[3].templateName: the template's name",
		}},
		"out of the cluster": {cluster: true, manifest: `{templates: [{templateName: a}]}`, want: []string{"spec.templates[0].clusterScope: a ClusterAnalysisTemplate has no namespace"}},
		"names of metrics": {manifest: `{metrics: [` + up + `], dryRun: [{metricName: m}, {metricName: "*"}, {metricName: x}, {metricName: ""}], measurementRetention: [{metricName: o, limit: 1}, {metricName: m, limit: 0}]}`, want: []string{
			"spec.dryRun[2].metricName: the template has no metric of that name", "spec.dryRun[3].metricName: a metric's name",
			"spec.measurementRetention[0].metricName: the template has no metric of that name", "spec.measurementRetention[1].limit: one measurement is kept at least",
		}},
		"names of metrics of other templates": {manifest: `{templates: [{templateName: a}], dryRun: [{metricName: x}]}`},

		"all numbers":       {manifest: measuring(`interval: 30s, initialDelay: 1m, count: "10", failureLimit: 2, inconclusiveLimit: 0, consecutiveErrorLimit: 4, consecutiveSuccessLimit: 5`)},
		"any may fail":      {manifest: measuring(`interval: 5s, failureLimit: -1, consecutiveSuccessLimit: 2`)},
		"no end":            {manifest: measuring(`interval: 5s`)},
		"too often":         {manifest: measuring(`interval: 4s`), want: []string{"spec.metrics[0].interval: the least interval is 5s"}},
		"no duration":       {manifest: measuring(`interval: "30", initialDelay: soon`), want: []string{"spec.metrics[0].interval: it has to be a duration", "spec.metrics[0].initialDelay: it has to be a duration"}},
		"several, and when": {manifest: measuring(`count: 3`), want: []string{"spec.metrics[0].interval: count is 3; write the time between two measurements"}},
		"in a row, and when": {manifest: measuring(`consecutiveSuccessLimit: 3`), want: []string{
			"spec.metrics[0].interval: consecutiveSuccessLimit is 3; write the time between two measurements",
		}},
		"negative": {manifest: measuring(`interval: 5s, count: -1, failureLimit: -2, inconclusiveLimit: -1, consecutiveErrorLimit: -1, consecutiveSuccessLimit: -1`), want: []string{
			"spec.metrics[0].count: the least is 0", "spec.metrics[0].failureLimit: the least is -1", "spec.metrics[0].inconclusiveLimit: the least is 0",
			"spec.metrics[0].consecutiveErrorLimit: the least is 0", "spec.metrics[0].consecutiveSuccessLimit: the least is 0",
		}},
		"nothing would fail it":  {manifest: measuring(`failureLimit: -1`), want: []string{"spec.metrics[0].failureLimit: -1 needs a consecutiveSuccessLimit"}},
		"no number":              {manifest: measuring(`count: ten`), want: []string{`spec.metrics[0].count: it has to be a number, or an arg`}},
		"what an arg says later": {manifest: strings.Replace(measuring(`interval: "{{args.often}}", count: "{{ args.num }}", failureLimit: "{{args.num}}"`), "{", "{args: [{name: num}, {name: often}], ", 1)},

		"conditions": {manifest: measuring(`successCondition: "result[0] >= 0.95", failureCondition: "isNaN(result[0])"`)},
		"conditions that are none": {manifest: measuring(`successCondition: "result[0] >= ", failureCondition: "results[0] > 1"`), want: []string{
			"spec.metrics[0].successCondition: column 13: unexpected token EOF", "spec.metrics[0].failureCondition: column 1: unknown name results",
		}},
		"a condition that gives a number": {manifest: measuring(`successCondition: "1 + 1"`), want: []string{"spec.metrics[0].successCondition: expected bool"}},
		"conditions with args": {manifest: `{args: [{name: a}, {name: b}], metrics: [
			{name: number, successCondition: "result[0] >= {{args.a}}", provider: {prometheus: {query: up}}},
			{name: text, successCondition: 'result == "{{args.a}}"', provider: {prometheus: {query: up}}},
			{name: quoted, successCondition: 'hasPrefix(string(result), {{args.a}}) && result[0] > {{args.b}}', provider: {prometheus: {query: up}}},
			{name: whole, successCondition: "{{args.a}}", provider: {prometheus: {query: up}}},
			{name: operator, successCondition: "result[0] {{args.a}} {{args.b}}", provider: {prometheus: {query: up}}},
			{name: half, successCondition: "result[0] {{args.a}}", provider: {prometheus: {query: up}}},
			{name: named, successCondition: "result.{{args.a}} > 1", provider: {prometheus: {query: up}}},
			{name: many, successCondition: "result in [{{args.a}}, {{args.b}}, {{rollouts.step}}, {{args.a}}, {{rollouts.step}}]", provider: {prometheus: {query: up}}}]}`},
		"one that is none with any arg": {manifest: `{args: [{name: a}], metrics: [{name: m, successCondition: "result[0 >= {{args.a}}", provider: {prometheus: {query: up}}}]}`, want: []string{
			"spec.metrics[0].successCondition: it is no condition, whatever the args are; with 1 for them: column 13: unexpected token EOF",
		}},
		"a Secret in a condition": {manifest: `{args: [{name: a, valueFrom: {secretKeyRef: {name: s, key: k}}}], metrics: [{name: m, successCondition: 'result == "{{args.a}}"', interval: "{{args.a}}", provider: {prometheus: {query: up}}}]}`, want: []string{
			"spec.metrics[0].interval: arg a is the value of a Secret, which is put into the provider's fields only",
			"spec.metrics[0].successCondition: arg a is the value of a Secret, which is put into the provider's fields only",
		}},

		"args that are declared": {manifest: `{args: [{name: a}], metrics: [{name: m, provider: {prometheus: {query: 'up{a="{{args.a}}", n="{{ rollouts.namespace }}"}', headers: [{key: X, value: "{{args.a}}"}]}}}]}`},
		"args that are not": {manifest: `{args: [{name: a}], metrics: [{name: m, interval: "{{args.c}}", provider: {prometheus: {query: 'up{a="{{args.b}}", n="{{ rollouts.nmespace }}"}', headers: [{key: X, value: "{{ args['a'] }}"}]}}}]}`, want: []string{
			"spec.metrics[0].interval: it stands for nothing: the template declares the args a",
			"spec.metrics[0].provider.prometheus.headers[0].value: it stands for nothing; write {{args.NAME}}",
			"spec.metrics[0].provider.prometheus.query: it stands for nothing: the template declares the args a",
			"spec.metrics[0].provider.prometheus.query: it stands for nothing; there are rollouts.canaryHash, rollouts.canaryService, rollouts.name",
		}},
		"args of another template": {manifest: `{templates: [{templateName: other}], metrics: [{name: m, provider: {prometheus: {query: "{{args.b}}"}}}]}`},
		"values": {manifest: `{metrics: [` + up + `], args: [{name: a, value: x, pattern: "[a-z]"}, {name: b, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}},
			{name: c, valueFrom: {podTemplateHashValue: Latest}}, {name: d, valueFrom: {secretKeyRef: {name: s, key: k}}}]}`},
		"values that are none": {manifest: `{metrics: [` + up + `], args: [{name: "a b"}, {name: a, value: x, valueFrom: {podTemplateHashValue: Latest}}, {name: b, pattern: "["}, {name: c, value: X, pattern: "[a-z]"},
			{name: d, valueFrom: {}}, {name: e, valueFrom: {podTemplateHashValue: Newest}}, {name: f, valueFrom: {fieldRef: {fieldPath: data.a}}}, {name: g, valueFrom: {fieldRef: {fieldPath: ""}}},
			{name: h, valueFrom: {secretKeyRef: {name: "", key: k}}}, {name: i, valueFrom: {secretKeyRef: {name: s, key: ""}}}, {name: i}]}`, want: []string{
			"spec.args[0].name: no {{args.NAME}} can stand for it", "spec.args[1].valueFrom: value and valueFrom cannot both be set", "spec.args[2].pattern: it is no regular expression",
			"spec.args[3].value: it does not match the arg's own pattern [a-z]", "spec.args[4].valueFrom: exactly one of secretKeyRef, fieldRef and podTemplateHashValue; there are 0",
			"spec.args[5].valueFrom.podTemplateHashValue: supported values: \"Stable\", \"Latest\"", "spec.args[6].valueFrom.fieldRef.fieldPath: has to begin with metadata, spec or status",
			"spec.args[7].valueFrom.fieldRef.fieldPath: ", "spec.args[8].valueFrom.secretKeyRef.name: it is no name of a Secret", "spec.args[9].valueFrom.secretKeyRef.key: it is no key of a Secret",
			"spec.args[10].name: Duplicate value",
		}},

		"where the platform's Secret goes is not for a Rollout to say": {
			cluster: true, manifest: `{args: [{name: token, valueFrom: {secretKeyRef: {name: s, key: k}}}, {name: host}, {name: path, value: /}], metrics: [
				{name: m, provider: {web: {url: "http://{{args.host}}{{args.path}}", method: POST, jsonBody: {a: ["{{args.host}}"]}, headers: [{key: Authorization, value: "Bearer {{args.token}}"}, {key: X, value: "{{args.host}}"}]}}},
				{name: second, provider: {prometheus: {query: "{{args.host}}", address: "{{args.host}}", authentication: {basicAuth: {username: "{{args.host}}", password: "{{args.token}}"}}}}}]}`,
			want: []string{
				"spec.metrics[0].provider.web.headers[1].value: arg host is one that a Rollout gives, and it would decide where the Secret of this ClusterAnalysisTemplate is sent",
				"spec.metrics[0].provider.web.jsonBody.a[0]: arg host is one that a Rollout gives",
				"spec.metrics[0].provider.web.url: arg host is one that a Rollout gives",
				"spec.metrics[1].provider.prometheus.address: arg host is one that a Rollout gives",
				"spec.metrics[1].provider.prometheus.authentication.basicAuth.username: arg host is one that a Rollout gives",
			},
		},
		"nor what a Rollout's label says": {
			cluster: true, manifest: `{args: [{name: token, valueFrom: {secretKeyRef: {name: s, key: k}}}, {name: host, valueFrom: {fieldRef: {fieldPath: metadata.labels.host}}}], metrics: [{name: m, provider: {web: {url: "http://{{args.host}}/"}}}]}`,
			want: []string{"spec.metrics[0].provider.web.url: arg host is one that a Rollout gives"},
		},
		"without a Secret it may": {cluster: true, manifest: `{args: [{name: host}], metrics: [{name: m, provider: {web: {url: "http://{{args.host}}/"}}}]}`},
		"a Secret of the same namespace": {
			manifest: `{args: [{name: token, valueFrom: {secretKeyRef: {name: s, key: k}}}, {name: host}], metrics: [{name: m, provider: {web: {url: "http://{{args.host}}/{{args.token}}"}}}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			complains(t, validated(t, c.cluster, c.manifest), c.want)
		})
	}
}

// metricsCalled are so many metrics, each with a name of its own.
func metricsCalled(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`{name: m%d, provider: {prometheus: {query: up}}}`, i))
	}
	return strings.Join(all, ", ")
}

func TestValidateProviders(t *testing.T) {
	t.Parallel()
	const m = "spec.metrics[0].provider"
	for name, c := range map[string]struct {
		provider string
		cluster  bool
		want     []string
	}{
		"none": {``, false, []string{m + ": exactly one of prometheus, web, job, datadog, cloudWatch, newRelic, influxdb, graphite; kayenta, wavefront, skywalking and plugin of Argo Rollouts are not supported"}},
		"two":  {`prometheus: {query: up}, graphite: {address: "http://g", query: q}`, false, []string{m + ": \"prometheus, graphite\": a metric has exactly one provider"}},

		"prometheus": {`prometheus: {address: "http://p:9090/prefix", query: up, timeout: 60, rangeQuery: {start: 'now() - duration("1h")', end: now(), step: 1m}, headers: [{key: X-Scope-OrgID, value: a}],
			authentication: {oauth2: {tokenUrl: "https://t", clientId: a, clientSecret: b}}}`, false, nil},
		"prometheus, all wrong": {`prometheus: {address: "p:9090", timeout: 61, rangeQuery: {step: often}, headers: [{key: "a b", value: a}, {key: Host, value: a}],
			authentication: {basicAuth: {username: "", password: ""}, oauth2: {tokenUrl: "t", clientId: "", clientSecret: ""}}}`, false, []string{
			m + ".prometheus.address: it has to be an address", m + ".prometheus.query: a query in PromQL", m + ".prometheus.rangeQuery.start: ", m + ".prometheus.rangeQuery.end: ",
			m + ".prometheus.rangeQuery.step: it has to be a duration", m + ".prometheus.timeout: write a number from 1 to 60", m + ".prometheus.headers[0].key: it is no name of a header",
			m + ".prometheus.headers[1].key: the header Host cannot be set", m + ".prometheus.authentication: basicAuth and oauth2 cannot both be set",
			m + ".prometheus.authentication.basicAuth.username: ", m + ".prometheus.authentication.oauth2.tokenUrl: it has to be an address",
			m + ".prometheus.authentication.oauth2.clientId: ", m + ".prometheus.authentication.oauth2.clientSecret: ",
		}},
		"a password in an address":        {`prometheus: {address: "http://u:p@h", query: up}`, false, []string{m + ".prometheus.address: it cannot have a user name or a password"}},
		"an address of parts":             {`prometheus: {address: "http://{{rollouts.service}}.{{rollouts.namespace}}:{{rollouts.step}}", query: up}`, false, nil},
		"an address that is not known":    {`prometheus: {address: "{{rollouts.name}}", query: up}`, false, nil},
		"a part of another scheme":        {`web: {url: "ftp://{{rollouts.service}}/"}`, false, []string{m + ".web.url: it has to be an address"}},
		"web":                             {`web: {url: "https://w/x?y={{rollouts.name}}", method: PUT, jsonBody: {a: 1}, timeoutSeconds: 5, jsonPath: "{$.a}"}`, false, nil},
		"web, all wrong":                  {`web: {url: "", method: PATCH, body: a, jsonBody: {a: 1}, timeoutSeconds: -1}`, false, []string{m + ".web.url: an address", m + ".web.method: supported values", m + ".web.jsonBody: body and jsonBody cannot both be set", m + ".web.timeoutSeconds: write a number from 1 to 60"}},
		"web, a body with GET":            {`web: {url: "http://w", body: a}`, false, []string{m + ".web.method: a body is sent with POST and PUT only"}},
		"job":                             {`job: {metadata: {labels: {a: b}, annotations: {A: b}}, spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: a, image: b, command: [sh, -c, "echo {{rollouts.name}} {{range .items}}"]}]}}}}`, false, nil},
		"job, all wrong":                  {`job: {metadata: {labels: {"a b": "b c"}}, spec: {template: {spec: {restartPolicy: Always}}}}`, false, []string{m + ".job.metadata.labels: it is no key", m + ".job.metadata.labels[a b]: it is no value of a label", m + ".job.spec.template.spec.containers: ", m + ".job.spec.template.spec.restartPolicy: supported values"}},
		"job, no spec":                    {`job: {spec: {backoffLimit: "{{rollouts.step}}"}}`, false, []string{m + ".job.spec: it is no spec of a Job (batch/v1)"}},
		"datadog":                         {`datadog: {query: "avg:a{*}", interval: 5m}`, false, nil},
		"datadog v2":                      {`datadog: {queries: {a: "avg:a{*}", b: "avg:b{*}"}, formula: a/b, aggregator: sum, secretRef: {name: s, namespaced: true}}`, false, nil},
		"datadog, nothing asked":          {`datadog: {}`, false, []string{m + ".datadog.query: one of query and queries"}},
		"datadog, both":                   {`datadog: {query: a, queries: {a: b}}`, false, []string{m + ".datadog.queries: query and queries cannot both be set"}},
		"datadog, no formula":             {`datadog: {queries: {a: b, c: d}, interval: 0s}`, false, []string{m + ".datadog.interval: it has to be a duration", m + ".datadog.formula: a formula of the names"}},
		"datadog v1 with queries":         {`datadog: {apiVersion: v1, queries: {a: b}}`, false, []string{m + ".datadog.apiVersion: queries, formula and aggregator are of apiVersion v2"}},
		"datadog v3":                      {`datadog: {apiVersion: v3, query: a}`, false, []string{m + ".datadog.apiVersion: supported values"}},
		"datadog, another sum":            {`datadog: {apiVersion: v2, query: a, aggregator: total, secretRef: {name: "a b"}}`, false, []string{m + ".datadog.aggregator: supported values", m + ".datadog.secretRef.name: it is no name of a Secret"}},
		"datadog of the cluster":          {`datadog: {query: a, secretRef: {namespaced: true}}`, true, []string{m + ".datadog.secretRef.namespaced: a ClusterAnalysisTemplate has no namespace"}},
		"cloudWatch":                      {`cloudWatch: {interval: 10m, metricDataQueries: [{id: rate, expression: "a / b"}, {id: a, returnData: false, metricStat: {metric: {metricName: x, dimensions: [{name: a, value: b}]}, period: 60, stat: Sum}}]}`, false, nil},
		"cloudWatch, nothing asked":       {`cloudWatch: {metricDataQueries: []}`, false, []string{m + ".cloudWatch.metricDataQueries: at least one query"}},
		"cloudWatch, nothing returned":    {`cloudWatch: {metricDataQueries: [{id: a, expression: b, returnData: false}]}`, false, []string{m + ".cloudWatch.metricDataQueries: a query whose returnData is true"}},
		"cloudWatch, ids":                 {`cloudWatch: {metricDataQueries: [{id: A, expression: b}, {id: a, expression: b, period: 61}, {id: a}]}`, false, []string{m + ".cloudWatch.metricDataQueries[0].id: it begins with a small letter", m + ".cloudWatch.metricDataQueries[1].period: it is in seconds", m + ".cloudWatch.metricDataQueries[2].id: Duplicate", m + ".cloudWatch.metricDataQueries[2]: exactly one of expression and metricStat"}},
		"cloudWatch, a metric of nothing": {`cloudWatch: {metricDataQueries: [{id: a, metricStat: {metric: {metricName: "", dimensions: [{name: "", value: b}]}, period: 0, stat: ""}}]}`, false, []string{m + ".cloudWatch.metricDataQueries[0].metricStat.metric.metricName: ", m + ".cloudWatch.metricDataQueries[0].metricStat.stat: ", m + ".cloudWatch.metricDataQueries[0].metricStat.period: ", m + ".cloudWatch.metricDataQueries[0].metricStat.metric.dimensions[0].name: "}},
		"newRelic":                        {`newRelic: {query: "SELECT 1", profile: n, timeout: 5}`, false, nil},
		"newRelic, all wrong":             {`newRelic: {query: " ", profile: "N", timeout: 100}`, false, []string{m + ".newRelic.query: a query in NRQL", m + ".newRelic.timeout: ", m + ".newRelic.profile: it is no name of a Secret"}},
		"influxdb":                        {`influxdb: {query: from}`, false, nil},
		"influxdb, nothing asked":         {`influxdb: {query: ""}`, false, []string{m + ".influxdb.query: a query in Flux"}},
		"graphite":                        {`graphite: {address: "http://g", query: q}`, false, nil},
		"graphite, all wrong":             {`graphite: {address: "g", query: ""}`, false, []string{m + ".graphite.address: ", m + ".graphite.query: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			complains(t, validated(t, c.cluster, asking(c.provider)), c.want)
		})
	}
}

// TestSecretsStayOutOfJobs: everybody who reads Jobs would read them.
func TestSecretsStayOutOfJobs(t *testing.T) {
	t.Parallel()
	complains(t, validated(t, false, `{args: [{name: s, valueFrom: {secretKeyRef: {name: s, key: k}}}],
		metrics: [{name: m, provider: {job: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, env: [{name: s, value: "{{args.s}}"}]}]}}}}}}]}`),
		[]string{"spec.metrics[0].provider.job.spec.template.spec.containers[0].env[0].value: arg s is the value of a Secret, and everybody who reads Jobs would read it"})
}

// TestSteering: the args that a Rollout may not give to a template with a Secret.
func TestSteering(t *testing.T) {
	t.Parallel()
	p := v1beta1.MetricProvider{}
	if err := yaml.Unmarshal([]byte(`{web: {url: "http://{{args.a}}", headers: [{key: "{{args.b}}", value: "{{ args.a }}{{rollouts.name}}"}], body: "{{args.c}}"}}`), &p); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(Steering(p)); got != "[b a]" {
		t.Errorf("it is steered by %s", got)
	}
}

// FuzzValidateTemplate validates whatever decodes, of either kind: nothing panics.
func FuzzValidateTemplate(f *testing.F) {
	f.Add(`{"metrics":[{"name":"m","count":"{{args.a}}","successCondition":"result[{{args.a}}] > {{rollouts.step}}","provider":{"web":{"url":"http://%zz","jsonBody":{"a":[1,null]}},"job":{"spec":{}}}}]}`)
	f.Add(`{"args":[{"name":"","valueFrom":{"secretKeyRef":{}}}],"templates":[{}],"dryRun":[{}]}`)
	f.Fuzz(func(_ *testing.T, text string) {
		spec := &v1beta1.AnalysisTemplateSpec{}
		if yaml.Unmarshal([]byte(text), spec) != nil {
			return
		}
		for _, cluster := range []bool{false, true} {
			_ = ValidateTemplate(v1beta1.AnalysisTemplateRef{ClusterScope: cluster}, spec).ToAggregate()
		}
	})
}
