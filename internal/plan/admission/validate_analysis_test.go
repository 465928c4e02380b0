// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"fmt"
	"testing"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan/admission"
)

// Strategies with an analysis: of a step, of a step whose requests an Ingress routes, and beside the steps.
func gated(analysis string) string {
	return `{canary: {steps: [{replicas: 1, analysis: ` + analysis + `}]}}`
}

func routedBy(routing, analysis string) string {
	return `{canary: {trafficRoutings: [{service: s, ` + routing + `}], steps: [{replicas: 1, analysis: ` + analysis + `}]}}`
}

func beside(analysis string) string {
	return `{canary: {analysis: ` + analysis + `, steps: [{replicas: 1}, {replicas: 2}]}}`
}

const (
	nginx  = `ingress: {name: i}`
	inStep = "Spec.Strategy.Canary.Steps[0].Analysis"
	aside  = "Spec.Strategy.Canary.Analysis"
)

func TestAnalyses(t *testing.T) {
	t.Parallel()
	custom := everything
	custom.Scripts = map[string]string{"lua.traffic.routing.A.a": "return obj.data", "lua.traffic.routing.ingress.own": "return obj.annotations"}
	const cannot = " :: successRate, latency and compare need a gateway that tells the requests of the two versions apart: "
	for name, tc := range map[string]struct {
		strategy string
		want     []string
	}{
		"templates": {strategy: gated(`{templates: [{templateName: a}, {templateName: b, clusterScope: true}], args: [{name: a, value: ""}, {name: b, valueFrom: {fieldRef: {fieldPath: metadata.name}}},
			{name: c, valueFrom: {podTemplateHashValue: Latest}}], dryRun: [{metricName: "*"}], measurementRetention: [{metricName: a, limit: 20}], for: 5m, timeout: 5m}`)},
		"requests": {strategy: routedBy(nginx, `{successRate: "99.5%", latency: {p99: 300ms, p50: 1s}, compare: {errors: 1%, slow: "off", quantile: "0.95"}, minRequests: 1, prometheus: {address: "http://p:9090"},
			onFailure: abort, onInconclusive: continue, onError: pause, onNoData: continue, onTooFewRequests: abort}`)},
		"pods only":          {strategy: gated(`{pods: {}}`)},
		"beside the steps":   {strategy: beside(`{pods: {}, startingStep: 2}`)},
		"of blue-green":      {strategy: `{blueGreen: {analysis: {pods: {}}, steps: [{replicas: 1, analysis: {templates: [{templateName: a}]}}]}}`},
		"24: nothing":        {strategy: gated(`{minRequests: 1}`), want: []string{inStep + " :: an analysis that measures nothing; write templates"}},
		"24: nothing beside": {strategy: beside(`{startingStep: 1}`), want: []string{aside + " :: an analysis that measures nothing"}},
		"not even the pods":  {strategy: beside(`{pods: {disabled: true}}`)},
		"25: what follows": {strategy: gated(`{pods: {}, onFailure: continue, onInconclusive: stop, onError: continue, onNoData: Pause, onTooFewRequests: none}`), want: []string{
			inStep + ".OnFailure :: what follows must be pause or abort", inStep + ".OnInconclusive :: what follows must be pause, abort or continue", inStep + ".OnError :: what follows must be pause or abort",
			inStep + ".OnNoData :: what follows must be pause, abort or continue", inStep + ".OnTooFewRequests :: what follows must be pause, abort or continue",
		}},
		"26: times": {strategy: gated(`{pods: {}, for: "5", timeout: -1m}`), want: []string{
			inStep + ".For :: it must be a duration above 0; write one", inStep + ".Timeout :: it must be a duration above 0",
		}},
		"26: shorter than it lasts": {strategy: gated(`{pods: {}, for: 5m, timeout: 4m}`), want: []string{inStep + ".Timeout :: timeout must not be shorter than for"}},
		"27: requests, all wrong": {strategy: routedBy(nginx, `{successRate: 101, latency: {p42: 1s, p99: soon}, compare: {errors: 0%, slow: "0.5", quantile: NaN}, minRequests: 0, prometheus: {address: "p:9090", gateway: envoy}}`), want: []string{
			inStep + `.SuccessRate :: successRate must be a percentage with "0%" < successRate <= "100%"; write one such as 99`,
			inStep + ".Latency[p42] :: latency must be of a quantile that is known; they are p50, p75, p90, p95, p99, p999", inStep + ".Latency[p99] :: it must be a duration above 0",
			inStep + ".MinRequests :: minRequests must be 1 or more", inStep + `.Compare.Errors :: by how much a version may be worse must be a percentage between "0%" and "100%"; write one such as "0.5%"`,
			inStep + ".Compare.Slow :: by how much a version may be worse must be a percentage", inStep + ".Compare.Quantile :: quantile must be a number from 0.5 to 0.995",
			inStep + ".Prometheus.Address :: it has to be an address", inStep + ".Prometheus.Gateway :: gateway must be one whose series are known; they are traefik, ingress-nginx, istio",
		}},
		"27: no percentage": {strategy: routedBy(nginx, `{successRate: "0.995"}`), want: []string{inStep + ".SuccessRate :: successRate must be a percentage"}},
		"28: args": {strategy: gated(`{templates: [{templateName: a}], args: [{name: "a b", value: x}, {name: a}, {name: a, value: x, valueFrom: {}}, {name: b, valueFrom: {}}, {name: c, valueFrom: {podTemplateHashValue: Old}},
			{name: d, valueFrom: {fieldRef: {fieldPath: data.x}}}]}`), want: []string{
			inStep + ".Args[0].Name :: the name of an arg must be one that {{args.NAME}} can have", inStep + ".Args[1] :: an arg must have one of value and valueFrom", inStep + `.Args[2].Name :: "a"`,
			inStep + ".Args[2] :: an arg must have one of value and valueFrom", inStep + ".Args[3].ValueFrom :: valueFrom must have one of fieldRef and podTemplateHashValue",
			inStep + ".Args[4].ValueFrom.PodTemplateHashValue :: podTemplateHashValue must be Stable or Latest", inStep + ".Args[5].ValueFrom.FieldRef.FieldPath :: ",
		}},
		"29: names": {strategy: gated(`{templates: [{templateName: ""}], dryRun: [{metricName: ""}], measurementRetention: [{metricName: "", limit: 0}]}`), want: []string{
			inStep + ".Templates[0].TemplateName :: templateName must be the name of an AnalysisTemplate", inStep + ".DryRun[0].MetricName :: the name of a metric", inStep + ".MeasurementRetention[0].MetricName :: the name of a metric",
			inStep + ".MeasurementRetention[0].Limit :: one measurement is kept at least",
		}},
		"30: no routes": {strategy: gated(`{compare: {}}`), want: []string{inStep + " :: successRate, latency and compare need trafficRoutings, by which the requests of the two versions are told apart; name the application's own counters in prometheus.podMetrics, or write templates with queries of its metrics"}},
		"30: a TrafficRouting": {strategy: `{canary: {trafficRoutingRef: t, steps: [{replicas: 1, analysis: {successRate: 99}}]}}`, want: []string{
			inStep + " :: successRate, latency and compare need trafficRoutings",
		}},
		"30: templates need none":      {strategy: routedBy(`ingress: {name: i, classType: mse}`, `{templates: [{templateName: a}]}`)},
		"30: Gateway API, any":         {strategy: routedBy(`gateway: {httpRouteName: r}`, `{compare: {}}`)},
		"30: Traefik, HTTPRoute":       {strategy: routedBy(`gateway: {httpRouteName: r}`, `{compare: {}, prometheus: {gateway: traefik}}`)},
		"30: Traefik, Ingress":         {strategy: routedBy(nginx, `{compare: {}, prometheus: {gateway: traefik}}`)},
		"30: Traefik, GRPCRoute":       {strategy: routedBy(`gateway: {grpcRouteName: r}`, `{compare: {}, prometheus: {gateway: traefik}}`), want: []string{inStep + cannot + "the query for traefik-ingress needs the name of the Ingress; name the application's own counters"}},
		"30: Traefik, TraefikService":  {strategy: routedBy(`customNetworkRefs: [{apiVersion: traefik.io/v1alpha1, kind: TraefikService, name: t}]`, `{compare: {}}`), want: []string{inStep + cannot + `the series of the gateway "TraefikService" are not known`}},
		"30: Istio":                    {strategy: routedBy(`customNetworkRefs: [{apiVersion: networking.istio.io/v1, kind: VirtualService, name: t}]`, `{compare: {}}`)},
		"30: Istio by Gateway API":     {strategy: routedBy(`gateway: {grpcRouteName: r}`, `{compare: {}, prometheus: {gateway: istio}}`)},
		"30: MSE":                      {strategy: routedBy(`ingress: {name: i, classType: mse}`, `{latency: {p99: 1s}}`), want: []string{inStep + cannot + "no documented series of MSE distinguishes"}},
		"30: Higress":                  {strategy: routedBy(`ingress: {name: i, classType: higress}`, `{successRate: 99}`), want: []string{inStep + cannot + "no documented series of Higress distinguishes"}},
		"30: a class of one's own":     {strategy: routedBy(`ingress: {name: i, classType: own}`, `{successRate: 99}`), want: []string{inStep + cannot + `the series of the gateway "own" are not known`}},
		"30: pods count":               {strategy: gated(`{successRate: 99, compare: {slow: "off"}, prometheus: {podMetrics: {requests: http_requests_total, errorSelector: 'code=~"5.."'}}}`)},
		"30: pods count, latency, too": {strategy: gated(`{compare: {}, prometheus: {podMetrics: {requests: r, errors: e, buckets: b_bucket, podLabel: kubernetes_pod}}}`)},
		"30: pods without a histogram": {strategy: gated(`{compare: {}, prometheus: {podMetrics: {requests: r, errors: e}}}`), want: []string{inStep + ".Prometheus.PodMetrics.Buckets :: latency and compare need a histogram; name its buckets, or set compare.slow to off"}},
		"30: no names of counters":     {strategy: gated(`{successRate: 99, prometheus: {podMetrics: {requests: "sum(r)", errors: e}}}`), want: []string{inStep + `.Prometheus.PodMetrics :: podMetrics.requests: "sum(r)" is no name of a counter`}},
		"30: Istio, one Service":       {strategy: `{canary: {disableGenerateCanaryService: true, trafficRoutings: [{service: s, customNetworkRefs: [{apiVersion: networking.istio.io/v1, kind: VirtualService, name: v}, {apiVersion: networking.istio.io/v1, kind: DestinationRule, name: d}]}], steps: [{replicas: 1, analysis: {compare: {}}}]}}`},
		"30: no canary Service": {strategy: `{canary: {disableGenerateCanaryService: true, trafficRoutings: [{service: s, ` + nginx + `}], steps: [{replicas: 1, analysis: {compare: {}}}]}}`, want: []string{
			inStep + " :: successRate, latency and compare need a gateway that tells the requests of the two versions apart: the query for ingress-nginx needs the name of the canary Service",
		}},
		"31: a step that there is not": {strategy: beside(`{pods: {}, startingStep: 3}`), want: []string{aside + ".StartingStep :: startingStep must be one of the steps; write a number from 1 to 2"}},
		"31: from none on":             {strategy: beside(`{pods: {}, startingStep: 0}`), want: []string{aside + ".StartingStep :: startingStep must be one of the steps"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, admission.ValidateRollout(parse[v1beta1.Rollout](t, beta(tc.strategy)), nil, nil, custom), tc.want)
		})
	}
}

// deadline is a Rollout with more fields in its spec.
func deadline(fields string) string {
	return fmt.Sprintf(`{metadata: {name: demo, namespace: ns}, spec: {%s, workloadRef: {apiVersion: apps/v1, kind: Deployment, name: demo}, strategy: {canary: {steps: [{replicas: 1}]}}}}`, fields)
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	right, wrong := parse[v1beta1.Rollout](t, deadline(`progressDeadlineSeconds: 1, onDeadline: abort`)), parse[v1beta1.Rollout](t, deadline(`progressDeadlineSeconds: 0, onDeadline: continue`))
	texts := []string{"Spec.ProgressDeadlineSeconds :: progressDeadlineSeconds must be 1 or more", "Spec.OnDeadline :: what follows must be pause or abort"}
	check(t, admission.ValidateRollout(right, nil, nil, everything), nil)
	check(t, admission.ValidateRollout(wrong, nil, nil, everything), texts)
	check(t, admission.ValidateRollout(wrong, right, nil, everything), texts)
	paused := wrong.DeepCopy()
	paused.Spec.Strategy.Paused = true
	check(t, admission.ValidateRollout(paused, wrong, nil, everything), nil)
}

// TestAnalysesThatStay: what was accepted before a rule does not keep one from editing anything else.
func TestAnalysesThatStay(t *testing.T) {
	t.Parallel()
	const wrong = `{onFailure: continue, compare: {}}`
	for name, tc := range map[string]struct {
		before, after string
		want          []string
	}{
		"another pause": {
			before: `{canary: {steps: [{replicas: 1, analysis: ` + wrong + `}]}}`, after: `{canary: {steps: [{replicas: 1, analysis: ` + wrong + `, pause: {duration: 1}}]}}`,
		},
		"another step": {
			before: `{canary: {analysis: {startingStep: 7, onFailure: continue}, steps: [{replicas: 1, analysis: ` + wrong + `}, {replicas: 2}]}}`,
			after:  `{canary: {analysis: {startingStep: 7, onFailure: continue}, steps: [{replicas: 1, analysis: ` + wrong + `}, {replicas: 3, analysis: {onFailure: continue, pods: {}}}]}}`,
			want:   []string{"Spec.Strategy.Canary.Steps[1].Analysis.OnFailure :: what follows must be pause or abort"},
		},
		"fewer steps": {
			before: `{canary: {analysis: {pods: {}, startingStep: 2}, steps: [{replicas: 1}, {replicas: 2}]}}`, after: `{canary: {analysis: {pods: {}, startingStep: 2}, steps: [{replicas: 1}]}}`,
			want: []string{"Spec.Strategy.Canary.Analysis.StartingStep :: startingStep must be one of the steps"},
		},
		"other routes": {
			before: `{canary: {trafficRoutings: [{service: s, ingress: {name: i}}], analysis: {compare: {}}, steps: [{replicas: 1, analysis: {compare: {}, onFailure: continue}}]}}`,
			after:  `{canary: {trafficRoutings: [{service: s, ingress: {name: i, classType: mse}}], analysis: {compare: {}}, steps: [{replicas: 1, analysis: {compare: {}, onFailure: continue}}]}}`,
			want: []string{
				"Spec.Strategy.Canary.Steps[0].Analysis :: successRate, latency and compare need a gateway that tells", "Spec.Strategy.Canary.Analysis :: successRate, latency and compare need a gateway that tells",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, admission.ValidateRollout(parse[v1beta1.Rollout](t, beta(tc.after)), parse[v1beta1.Rollout](t, beta(tc.before)), nil, everything), tc.want)
		})
	}
}

// TestAnalysesThroughV1alpha1: what only v1beta1 can say is validated all the same, and no client that cannot see it loses it.
func TestAnalysesThroughV1alpha1(t *testing.T) {
	t.Parallel()
	hub := parse[v1beta1.Rollout](t, beta(`{canary: {analysis: {pods: {}}, steps: [{replicas: 1, analysis: {pods: {}}}, {replicas: 2}, {replicas: 3, analysis: {templates: [{templateName: a}]}}]}}`))
	hub.Spec.ProgressDeadlineSeconds = new(int32(60))
	old := &v1alpha1.Rollout{}
	if err := old.ConvertFrom(hub); err != nil {
		t.Fatal(err)
	}
	const text = "this edit through v1alpha1 would lose "
	step3 := "Spec.Strategy.Canary.Steps[2].Analysis :: " + text + "the analysis of step 3, which only v1beta1 can say; edit the Rollout as rollouts.kruise.io/v1beta1"
	for name, tc := range map[string]struct {
		edit func(ro *v1alpha1.Rollout)
		want []string
	}{
		"paused":    {edit: func(ro *v1alpha1.Rollout) { ro.Spec.Strategy.Paused = true }},
		"a step":    {edit: func(ro *v1alpha1.Rollout) { ro.Spec.Strategy.Canary.Steps[1].Pause.Duration = new(int32(1)) }},
		"one more":  {edit: func(ro *v1alpha1.Rollout) { c := ro.Spec.Strategy.Canary; c.Steps = append(c.Steps, c.Steps[2]) }},
		"one fewer": {edit: func(ro *v1alpha1.Rollout) { c := ro.Spec.Strategy.Canary; c.Steps = c.Steps[:2] }, want: []string{step3}},
		"as a manifest of v1alpha1 has it": {edit: func(ro *v1alpha1.Rollout) { ro.Annotations = nil }, want: []string{
			"Spec.Strategy.Canary.Steps[0].Analysis :: " + text + "the analysis of step 1", step3, "Spec.Strategy.Canary.Analysis :: " + text + "the analysis beside the steps",
			"Spec.ProgressDeadlineSeconds :: " + text + "the deadline of steps",
		}},
		"what nobody can see": {edit: func(ro *v1alpha1.Rollout) {
			wrong := hub.DeepCopy()
			wrong.Spec.Strategy.Canary.Steps[0].Analysis.OnFailure = "continue"
			if err := ro.ConvertFrom(wrong); err != nil {
				t.Fatal(err)
			}
		}, want: []string{"Spec.Strategy.Canary.Steps[0].Analysis.OnFailure :: what follows must be pause or abort"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ro := old.DeepCopy()
			tc.edit(ro)
			check(t, admission.ValidateRolloutV1alpha1(ro, old, nil, everything), tc.want)
		})
	}
	made := old.DeepCopy()
	made.Annotations = nil
	check(t, admission.ValidateRolloutV1alpha1(made, nil, nil, everything), nil)
}
