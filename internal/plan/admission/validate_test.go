// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan/admission"
	drivers "kruise.io/rollouts/internal/workload"
)

// everything is a manager that has drivers for everything.
var everything = admission.Limits{PartitionPercent: 100, FilterWorkloadType: true}

// deployments is a manager that moves Deployments in batches, and nothing else.
var deployments = admission.Limits{
	FilterWorkloadType: true,
	Supports: func(group, kind string, style v1beta1.RollingStyleType) bool {
		return group == "apps" && kind == "Deployment" && style == v1beta1.PartitionRollingStyle
	},
}

// shipped is the manager as it is.
var shipped = admission.Limits{FilterWorkloadType: true, Supports: drivers.Supports}

// parse reads an object as the API server hands it over: without what its version does not know.
func parse[T any](t *testing.T, manifest string) *T {
	t.Helper()
	out := new(T)
	if err := yaml.Unmarshal([]byte(manifest), out); err != nil {
		t.Fatalf("%v in %s", err, manifest)
	}
	return out
}

// check compares errors with the beginnings they should have.
func check(t *testing.T, errs field.ErrorList, want []string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	match := len(got) == len(want)
	for i := 0; match && i < len(want); i++ {
		// The value may change from version to version of Kubernetes; path and text are ours.
		path, text, _ := strings.Cut(want[i], " :: ")
		match = strings.HasPrefix(got[i], path+": ") && strings.Contains(got[i], ": "+text)
	}
	if !match {
		t.Errorf("errors are\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// beta is a v1beta1 Rollout of a Deployment with a strategy, alpha a v1alpha1 one, partition one in batches.
func beta(strategy string) string {
	return `{metadata: {name: demo, namespace: ns}, spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: demo}, strategy: ` + strategy + `}}`
}

func alpha(strategy string) string {
	return `{metadata: {name: demo, namespace: ns}, spec: {objectRef: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: demo}}, strategy: ` + strategy + `}}`
}

func partition(strategy string) string {
	return strings.Replace(alpha(strategy), `namespace: ns}`, `namespace: ns, annotations: {rollouts.kruise.io/rolling-style: partition}}`, 1)
}

func workload(apiVersion, kind, strategy string) string {
	return fmt.Sprintf(`{metadata: {name: demo, namespace: ns}, spec: {workloadRef: {apiVersion: %s, kind: %s, name: demo}, strategy: %s}}`, apiVersion, kind, strategy)
}

// named gives the workload of a Rollout a name of so many characters.
func named(manifest string, length int) string {
	return strings.Replace(manifest, "kind: Deployment, name: demo", "kind: Deployment, name: "+strings.Repeat("d", length), 1)
}

func TestCreateV1beta1(t *testing.T) {
	t.Parallel()
	const canary = `{canary: {steps: [{replicas: 100%}]}}`
	const routed = `trafficRoutings: [{service: s, ingress: {name: i}}]`
	half := everything
	half.PartitionPercent = 50
	anyKind := everything
	anyKind.FilterWorkloadType = false
	tests := map[string]struct {
		manifest string
		limits   *admission.Limits
		others   string
		want     []string
	}{
		"batches":                             {manifest: beta(`{canary: {steps: [{replicas: 1}, {replicas: 50%}, {replicas: 100%, pause: {duration: 60}}]}}`)},
		"a canary with traffic and a match":   {manifest: beta(`{canary: {enableExtraWorkloadForCanary: true, ` + routed + `, steps: [{replicas: 1, traffic: 5%, matches: [{headers: [{name: h, value: v}]}]}]}}`)},
		"a blue-green step without traffic":   {manifest: beta(`{blueGreen: {` + routed + `, steps: [{replicas: 100%, traffic: 0%}]}}`)},
		"more pods than 100 in number":        {manifest: beta(`{canary: {steps: [{replicas: 300}]}}`)},
		"a partition with all traffic":        {manifest: beta(`{canary: {` + routed + `, steps: [{replicas: 100%, traffic: 100%}]}}`)},
		"several routings":                    {manifest: beta(`{canary: {trafficRoutings: [{service: a, ingress: {name: a}}, {service: b, gateway: {httpRouteName: b}}], steps: [{replicas: 1}]}}`)},
		"custom routes":                       {manifest: beta(`{canary: {trafficRoutings: [{service: a, customNetworkRefs: [{apiVersion: a/v1, kind: A, name: a}]}], steps: [{replicas: 1}]}}`), limits: &admission.Limits{Scripts: map[string]string{"lua.traffic.routing.A.a": "return obj.data"}}},
		"numbers and percentages do not mix":  {manifest: beta(`{canary: {steps: [{replicas: 50%}, {replicas: 1}, {replicas: 20%}]}}`)},
		"a look-alike where any kind will do": {manifest: workload("example.com/v1", "Pets", canary), limits: &anyKind},
		"all known kinds are accepted":        {manifest: workload("apps.kruise.io/v1beta1", "StatefulSet", canary)},
		"beside the stable pods":              {manifest: beta(`{canary: {enableExtraWorkloadForCanary: true, patchPodTemplateMetadata: {labels: {a: b}}, steps: [{replicas: 1}, {replicas: 100%}]}}`), limits: &shipped},
		"traffic without routings":            {manifest: beta(`{canary: {steps: [{replicas: 10%, traffic: 10%}]}}`), limits: &deployments},

		"21: a workload whose name is no label": {manifest: named(beta(`{canary: {enableExtraWorkloadForCanary: true, steps: [{replicas: 1}]}}`), 64), want: []string{
			"Spec.ObjectRef.WorkloadRef.Name :: the workload's name must be no more than 63 characters in Canary style, because it is the value of a label of the canary Deployment; enableExtraWorkloadForCanary: false releases a Deployment in batches",
		}},
		"21: one that is just short enough":        {manifest: named(beta(`{canary: {enableExtraWorkloadForCanary: true, steps: [{replicas: 1}]}}`), 63)},
		"21: in batches nothing is called like it": {manifest: named(beta(`{canary: {steps: [{replicas: 1}]}}`), 200)},
		"22: a Rollout whose name is no finalizer": {
			manifest: strings.Replace(beta(`{canary: {steps: [{replicas: 1}]}}`), "{name: demo, namespace: ns", "{annotations: {rollouts.kruise.io/trafficrouting: t}, namespace: ns, name: "+strings.Repeat("r", 64), 1),
			want:     []string{"Metadata.Name :: the name of a Rollout with a TrafficRouting must be no more than 63 characters"},
		},
		"23: metadata that no pod can have": {
			manifest: beta(`{canary: {enableExtraWorkloadForCanary: true, patchPodTemplateMetadata: {labels: {"a b": c, track: "a b"}, annotations: {"/": c}}, steps: [{replicas: 1}]}}`),
			want: []string{
				"Spec.Strategy.Canary.PatchPodTemplateMetadata.Labels :: patchPodTemplateMetadata must be valid labels and annotations of pods",
				"Spec.Strategy.Canary.PatchPodTemplateMetadata.Labels[track] :: patchPodTemplateMetadata must be valid labels and annotations of pods",
				"Spec.Strategy.Canary.PatchPodTemplateMetadata.Annotations :: patchPodTemplateMetadata must be valid labels and annotations of pods",
			},
		},

		"1: an unknown kind": {manifest: workload("batch/v1", "Job", canary), want: []string{
			"Spec.ObjectRef.WorkloadRef :: WorkloadRef kind is not supported; supported: apps Deployment (Partition, Canary, BlueGreen)",
		}},
		"1: a kind spelled otherwise": {manifest: workload("apps/v1", "deployment", canary), want: []string{
			"Spec.ObjectRef.WorkloadRef :: WorkloadRef kind is not supported; write kind: Deployment",
		}},
		"1: a kind in another group": {manifest: workload("extensions/v1beta1", "Deployment", canary), want: []string{
			`Spec.ObjectRef.WorkloadRef :: WorkloadRef kind is not supported; Deployment is in apiVersion apps/..., not in "extensions/v1beta1"`,
		}},
		"1: an apiVersion that is none": {manifest: workload("a/b/c", "Deployment", canary), want: []string{
			"Spec.ObjectRef.WorkloadRef :: WorkloadRef kind is not supported",
		}},
		"1: no workload at all": {manifest: `{spec: {strategy: ` + canary + `}}`, want: []string{
			"Spec.ObjectRef.WorkloadRef :: WorkloadRef kind is not supported; workloadRef needs apiVersion, kind and name",
		}},
		"1: a workload without a name": {
			manifest: strings.Replace(beta(canary), "kind: Deployment, name: demo", "kind: Deployment, name: ''", 1),
			want:     []string{"Spec.ObjectRef.WorkloadRef.Name :: the workload's name"},
		},
		"2: blue-green of a StatefulSet": {manifest: workload("apps/v1", "StatefulSet", `{blueGreen: {steps: [{replicas: 100%}]}}`), want: []string{
			"Spec.ObjectRef.WorkloadRef :: WorkloadRef kind is not supported for bluegreen style",
		}},
		"3: no strategy": {manifest: beta(`{}`), want: []string{"Spec.Strategy :: Canary and BlueGreen cannot both be empty"}},
		"4: both": {manifest: beta(`{canary: {steps: [{replicas: 1}]}, blueGreen: {steps: [{replicas: 1}]}}`), want: []string{
			"Spec.Strategy :: Canary and BlueGreen cannot both be set",
		}},
		"5: no steps": {manifest: beta(`{canary: {}}`), want: []string{"Spec.Strategy.Canary.Steps :: The number of Canary.Steps cannot be empty"}},
		"5: no blue-green steps": {manifest: beta(`{blueGreen: {}}`), want: []string{
			"Spec.Strategy.BlueGreen.Steps :: The number of Canary.Steps cannot be empty",
		}},
		"5: too many steps": {manifest: beta(`{canary: {steps: [` + strings.Repeat(`{replicas: 1},`, 51) + `]}}`), want: []string{
			"Spec.Strategy.Canary.Steps :: 51: must have at most 50 items",
		}},
		"6: no replicas": {manifest: beta(`{canary: {steps: [{traffic: 5%}]}}`), want: []string{
			"Spec.Strategy.Canary.Steps[0].steps :: replicas cannot be empty; write a number",
		}},
		"7: replicas out of bounds, each step by itself": {
			manifest: beta(`{canary: {steps: [{replicas: 0}, {replicas: -1}, {replicas: 0%}, {replicas: 101%}, {replicas: half}, {replicas: "5"}, {replicas: ""}]}}`),
			want: []string{
				`Spec.Strategy.Canary.Steps[0].Replicas :: replicas must be positive number, or a percentage with "0%" < canaryReplicas <= "100%"`,
				`Spec.Strategy.Canary.Steps[1].Replicas :: replicas must be positive number, or a percentage with "0%" < canaryReplicas <= "100%"`,
				`Spec.Strategy.Canary.Steps[2].Replicas :: replicas must be positive number, or a percentage with "0%" < canaryReplicas <= "100%"`,
				`Spec.Strategy.Canary.Steps[3].Replicas :: replicas must be positive number, or a percentage with "0%" < canaryReplicas <= "100%"`,
				`Spec.Strategy.Canary.Steps[4].Replicas :: replicas must be positive number, or a percentage with "0%" < canaryReplicas <= "100%"`,
				`Spec.Strategy.Canary.Steps[5].Replicas :: replicas must be positive number, or a percentage with "0%" < canaryReplicas <= "100%"; write 5 without quotes for a number of pods, or 5% for a percentage`,
				`Spec.Strategy.Canary.Steps[6].Replicas :: replicas must be positive number, or a percentage with "0%" < canaryReplicas <= "100%"`,
			},
		},
		"8: a percentage above the limit with traffic": {
			limits: &half, manifest: beta(`{canary: {` + routed + `, steps: [{replicas: 50%, traffic: 50%}, {replicas: 51%, traffic: 51%}, {replicas: 60%}]}}`),
			want: []string{"Spec.Strategy.Canary.Steps[1].steps :: For partition style rollout: step[x].replicas must not greater than partition-percent-limit if traffic specified; the limit is 50%"},
		},
		"8: the same with a match, for another kind whatever its flag": {
			limits: &half, manifest: workload("apps/v1", "StatefulSet", `{canary: {enableExtraWorkloadForCanary: true, `+routed+`, steps: [{replicas: 60%, matches: [{}]}]}}`),
			want: []string{"Spec.Strategy.Canary.Steps[0].steps :: For partition style rollout: step[x].replicas"},
		},
		"8: not for a canary": {limits: &half, manifest: beta(`{canary: {enableExtraWorkloadForCanary: true, ` + routed + `, steps: [{replicas: 60%, traffic: 60%}]}}`)},
		"9: traffic out of bounds": {
			manifest: beta(`{canary: {steps: [{replicas: 1, traffic: 0%}, {replicas: 1, traffic: 101%}, {replicas: 1, traffic: "20"}, {replicas: 1, traffic: ""}]}}`),
			want: []string{
				`Spec.Strategy.Canary.Steps[0].steps :: traffic must be percentage with "0%" < traffic <= "100%" in canary strategy; leave traffic out`,
				`Spec.Strategy.Canary.Steps[1].steps :: traffic must be percentage with "0%" < traffic <= "100%" in canary strategy`,
				`Spec.Strategy.Canary.Steps[2].steps :: traffic must be percentage with "0%" < traffic <= "100%" in canary strategy; write 20%`,
				`Spec.Strategy.Canary.Steps[3].steps :: traffic must be percentage with "0%" < traffic <= "100%" in canary strategy`,
			},
		},
		"10: blue-green traffic out of bounds": {manifest: beta(`{blueGreen: {steps: [{replicas: 1, traffic: -1%}]}}`), want: []string{
			`Spec.Strategy.BlueGreen.Steps[0].steps :: traffic must be percentage with "0%" <= traffic <= "100%" in blueGreen strategy`,
		}},
		"11: going back": {manifest: beta(`{canary: {steps: [{replicas: 20%}, {replicas: 10%}]}}`), want: []string{
			"Spec.Strategy.Canary.Steps.CanaryReplicas :: Steps.CanaryReplicas must be a non decreasing sequence; step 2 has 10% after 20% in step 1",
		}},
		"11: going back in numbers": {manifest: beta(`{blueGreen: {steps: [{replicas: 2}, {replicas: 1}]}}`), want: []string{
			"Spec.Strategy.BlueGreen.Steps.CanaryReplicas :: Steps.CanaryReplicas must be a non decreasing sequence",
		}},
		"rules of all and of one": {
			manifest: beta(`{canary: {steps: [{replicas: 1, traffic: 10%}], trafficRoutings: [{service: s, gateway: {httpRouteName: r}}, {service: s, gateway: {httpRouteName: r, ruleNames: [a]}}]}}`),
			want:     []string{"Spec.Strategy.Canary.TrafficRouting[1].Gateway :: rules of HTTPRoute r that route to Service s are selected by another item of trafficRoutings"},
		},
		"rules of two and of one": {
			manifest: beta(`{canary: {steps: [{replicas: 1, traffic: 10%}], trafficRoutings: [{service: s, gateway: {grpcRouteName: r, ruleNames: [a, b]}}, {service: s, gateway: {grpcRouteName: r, ruleNames: [b, c]}}]}}`),
			want:     []string{"Spec.Strategy.Canary.TrafficRouting[1].Gateway :: rules of GRPCRoute r that route to Service s are selected by another item of trafficRoutings"},
		},
		"rules each named once": {
			manifest: beta(`{canary: {steps: [{replicas: 1, traffic: 10%}], trafficRoutings: [{service: s, gateway: {httpRouteName: r, ruleNames: [b]}}, {service: s, gateway: {httpRouteName: r, ruleNames: [a]}}]}}`),
		},
		"13 to 17 all at once": {
			manifest: beta(`{canary: {steps: [{replicas: 1}], trafficRoutings: [{gracePeriodSeconds: -1}, {service: s, ingress: {}, gateway: {}}]}}`),
			want: []string{
				"Spec.Strategy.Canary.TrafficRouting.GracePeriodSeconds :: TrafficRouting.GracePeriodSeconds cannot be negative",
				"Spec.Strategy.Canary.TrafficRouting.Service :: TrafficRouting.Service cannot be empty",
				"Spec.Strategy.Canary.TrafficRouting.TrafficRoutings :: TrafficRoutings are not set",
				"Spec.Strategy.Canary.TrafficRouting[1].Ingress :: TrafficRouting.Ingress.Ingress cannot be empty",
				"Spec.Strategy.Canary.TrafficRouting[1].Gateway :: TrafficRouting.Gateway must set the name of HTTPRoute or HTTPsRoute",
			},
		},
		"18: the workload is taken, in whichever version of its group": {
			manifest: beta(canary),
			others: `[{metadata: {name: demo, namespace: ns}, spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: demo}}},
			  {metadata: {name: else, namespace: other}, spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: demo}}},
			  {metadata: {name: else, namespace: ns}, spec: {workloadRef: {apiVersion: apps/v1, kind: StatefulSet, name: demo}}},
			  {metadata: {name: first, namespace: ns}, spec: {disabled: true, workloadRef: {apiVersion: apps/v1beta1, kind: Deployment, name: demo}}}]`,
			want: []string{"Conflict Checker :: This rollout conflict with Rollout(ns/first), one workload only have less than one Rollout"},
		},
		"a pause of less than nothing": {manifest: beta(`{canary: {steps: [{replicas: 1, pause: {duration: -5}}]}}`), want: []string{
			"Spec.Strategy.Canary.Steps[0].Pause.Duration :: pause.duration is in seconds and cannot be negative",
		}},
		"a threshold that is none": {manifest: beta(`{canary: {failureThreshold: 120%, steps: [{replicas: 1}]}}`), want: []string{
			"Spec.Strategy.Canary.FailureThreshold :: failureThreshold must be a number of pods, or a percentage",
		}},
		"a threshold that is negative": {manifest: beta(`{canary: {failureThreshold: -1, steps: [{replicas: 1}]}}`), want: []string{
			"Spec.Strategy.Canary.FailureThreshold :: failureThreshold must be a number of pods, or a percentage",
		}},
		"a threshold in quotes": {manifest: beta(`{canary: {failureThreshold: "1", steps: [{replicas: 1}]}}`), want: []string{
			`Spec.Strategy.Canary.FailureThreshold :: failureThreshold must be a number of pods, or a percentage with "0%" <= failureThreshold <= "100%"; write 1 without quotes`,
		}},
		"matches that have no routes": {manifest: beta(`{canary: {steps: [{replicas: 1, matches: [{}]}]}}`), want: []string{
			"Spec.Strategy.Canary.Steps[0].Matches :: matches require trafficRoutings",
		}},
		"matches with a TrafficRouting": {manifest: beta(`{canary: {trafficRoutingRef: tr, steps: [{replicas: 1, matches: [{}]}]}}`)},
		"parameters without a name": {manifest: beta(`{canary: {` + routed + `, steps: [{replicas: 1, matches: [{queryParams: [{value: v}]}]}]}}`), want: []string{
			"Spec.Strategy.Canary.Steps[0].Matches[0].QueryParams[0].Name :: a query parameter has name, value and type",
		}},
		"a ReplicaSet with routes": {manifest: workload("apps/v1", "ReplicaSet", `{canary: {`+routed+`, steps: [{replicas: 1, traffic: 5%}]}}`), want: []string{
			"Spec.ObjectRef.WorkloadRef :: WorkloadRef kind is not supported with traffic routing: the pods of a ReplicaSet have no label with their revision for a Service to select; remove trafficRoutings, trafficRoutingRef and the annotation rollouts.kruise.io/trafficrouting, or make it a Deployment",
		}},
		"a style without a driver": {limits: &deployments, manifest: beta(`{canary: {enableExtraWorkloadForCanary: true, steps: [{replicas: 1}]}}`), want: []string{
			"Spec.ObjectRef.WorkloadRef :: WorkloadRef kind is not supported in Canary style by this version; supported: apps Deployment (Partition); enableExtraWorkloadForCanary: false releases a Deployment in batches",
		}},
		"a kind without a driver": {limits: &deployments, manifest: workload("apps/v1", "StatefulSet", canary), want: []string{
			"Spec.ObjectRef.WorkloadRef :: WorkloadRef kind is not supported in Partition style by this version; supported: apps Deployment (Partition)",
		}},
		"a query match on nginx": {manifest: beta(`{canary: {` + routed + `, steps: [{replicas: 1, matches: [{queryParams: [{name: v, value: "2"}]}]}]}}`), want: []string{
			"Spec.Strategy.Canary.Steps[0] :: Ingress class nginx cannot match query parameters (match 1); it can route by weight",
		}},
		"two headers of one request on nginx": {manifest: beta(`{canary: {` + routed + `, steps: [{replicas: 1, matches: [{headers: [{name: a, value: "1"}, {name: b, value: "2"}]}]}]}}`), want: []string{
			"Spec.Strategy.Canary.Steps[0] :: Ingress class nginx cannot match several headers or parameters of one request (match 1)",
		}},
		"a class without a script": {manifest: beta(`{canary: {trafficRoutings: [{service: s, ingress: {name: i, classType: traefik}}], steps: [{replicas: 1, traffic: 5%}]}}`), want: []string{
			"Spec.Strategy.Canary.TrafficRouting.TrafficRoutings :: traefik lua script is not found",
		}},
		"a class with a broken script": {
			limits:   &admission.Limits{Scripts: map[string]string{"lua.traffic.routing.ingress.own": "return {\n  a =\n}"}},
			manifest: beta(`{canary: {trafficRoutings: [{service: s, ingress: {name: i, classType: own}}], steps: [{replicas: 1, traffic: 5%}]}}`), want: []string{
				"Spec.Strategy.Canary.TrafficRouting.TrafficRoutings :: script lua.traffic.routing.ingress.own:3: syntax error",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := everything
			if tc.limits != nil {
				limits = *tc.limits
			}
			var others []v1beta1.Rollout
			if tc.others != "" {
				others = *parse[[]v1beta1.Rollout](t, tc.others)
			}
			check(t, admission.ValidateRollout(parse[v1beta1.Rollout](t, tc.manifest), nil, others, limits), tc.want)
		})
	}
}

func TestCreateV1alpha1(t *testing.T) {
	t.Parallel()
	const routed = `trafficRoutings: [{service: s, ingress: {name: i}}]`
	half := everything
	half.PartitionPercent = 50
	tests := map[string]struct {
		manifest string
		limits   *admission.Limits
		others   string
		want     []string
	}{
		"beside the stable pods": {limits: &shipped, manifest: alpha(`{canary: {steps: [{replicas: 1}, {replicas: 100%}]}}`)},
		"21: a workload whose name is no label": {manifest: named(alpha(`{canary: {steps: [{replicas: 1}]}}`), 64), want: []string{
			"Spec.ObjectRef.WorkloadRef.Name :: the workload's name must be no more than 63 characters in Canary style, because it is the value of a label of the canary Deployment; the annotation rollouts.kruise.io/rolling-style: partition releases a Deployment in batches",
		}},
		"21: one that is just short enough":        {manifest: named(alpha(`{canary: {steps: [{replicas: 1}]}}`), 63)},
		"21: in batches nothing is called like it": {manifest: named(partition(`{canary: {steps: [{replicas: 1}]}}`), 200)},
		"22: a Rollout whose name is no finalizer": {
			manifest: strings.Replace(alpha(`{canary: {steps: [{replicas: 1}]}}`), "{name: demo, namespace: ns", "{annotations: {rollouts.kruise.io/trafficrouting: t}, namespace: ns, name: "+strings.Repeat("r", 64), 1),
			want:     []string{"Metadata.Name :: the name of a Rollout with a TrafficRouting must be no more than 63 characters"},
		},
		"23: metadata that no pod can have": {
			manifest: alpha(`{canary: {patchPodTemplateMetadata: {labels: {"a b": c, track: "a b"}, annotations: {"/": c}}, steps: [{replicas: 1}]}}`),
			want: []string{
				"Spec.Strategy.Canary.PatchPodTemplateMetadata.Labels :: patchPodTemplateMetadata must be valid labels and annotations of pods",
				"Spec.Strategy.Canary.PatchPodTemplateMetadata.Labels[track] :: patchPodTemplateMetadata must be valid labels and annotations of pods",
				"Spec.Strategy.Canary.PatchPodTemplateMetadata.Annotations :: patchPodTemplateMetadata must be valid labels and annotations of pods",
			},
		},

		"the first tutorial's batches":       {limits: &deployments, manifest: partition(`{canary: {steps: [{replicas: 1}, {replicas: 50%}, {replicas: 100%}]}}`)},
		"the third tutorial's fourth":        {limits: &deployments, manifest: partition(`{canary: {steps: [{replicas: 1, pause: {}}, {replicas: 50%, pause: {duration: 60}}, {weight: 100, replicas: 100%, pause: {duration: 60}}]}}`)},
		"the third tutorial's first":         {manifest: partition(`{canary: {` + routed + `, steps: [{replicas: 1, pause: {}, matches: [{headers: [{type: Exact, name: User-Agent, value: Android}]}]}, {weight: 50, replicas: 50%}, {weight: 100, replicas: 100%}]}}`)},
		"KubeVela's single step":             {manifest: alpha(`{canary: {` + routed + `, steps: [{weight: 20}]}}`)},
		"weights of nothing beside replicas": {manifest: alpha(`{canary: {steps: [{replicas: 1, weight: 0}]}}`)},
		"weights alone in batches":           {limits: &deployments, manifest: partition(`{canary: {steps: [{weight: 20}, {weight: 100}]}}`)},
		"no workload": {
			manifest: strings.Replace(partition(`{canary: {steps: [{replicas: 1}]}}`), "workloadRef: {apiVersion", "x: {apiVersion", 1),
			want:     []string{"Spec.ObjectRef.WorkloadRef :: WorkloadRef is required; write apiVersion, kind and name"},
		},
		"the tutorial's broken example": {
			// What the API server leaves of it, had it accepted a header without a name.
			manifest: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: partition}}, spec: {objectRef: {workloadRef: , apiVersion: apps/v1, kind: Deployment, name: workload-demo},
			  strategy: {canary: {steps: [{replicas: 1, matches: [{headers: [{key: user-agent, type: Exact, value: pc}]}]}, {replicas: 50%}, {replicas: 100%}]},
			  trafficRoutings: [{service: service-demo, ingress: {classType: nginx, name: ingress-demo}}]}}}`,
			want: []string{
				"Spec.ObjectRef.WorkloadRef :: WorkloadRef is required; write apiVersion, kind and name of the workload below workloadRef, indented further than it",
				"Spec.Strategy.Canary.Steps[0].Matches :: matches require trafficRoutings, which name the Service and the routes; write them below strategy.canary",
			},
		},
		"its header, once the routes are where they belong": {
			manifest: partition(`{canary: {` + routed + `, steps: [{replicas: 1, matches: [{headers: [{key: user-agent, value: pc}]}]}]}}`),
			want:     []string{"Spec.Strategy.Canary.Steps[0].Matches[0].Headers[0].Name :: a header has name, value and type; there is no key"},
		},
		"another style": {manifest: strings.Replace(partition(`{canary: {steps: [{replicas: 1}]}}`), "rolling-style: partition", "rolling-style: blue", 1), want: []string{
			"RollingStyle :: Rolling style must be 'Canary', 'Partition' or empty",
		}},
		"no strategy": {manifest: alpha(`{}`), want: []string{"Spec.Strategy.Canary :: Canary cannot be empty"}},
		"no steps":    {manifest: alpha(`{canary: {}}`), want: []string{"Spec.Strategy.Canary.Steps :: The number of Canary.Steps cannot be empty"}},
		"an empty step": {manifest: alpha(`{canary: {steps: [{}]}}`), want: []string{
			"Spec.Strategy.Canary.Steps[0].steps :: weight and replicas cannot be empty at the same time",
		}},
		"replicas out of bounds": {manifest: alpha(`{canary: {steps: [{replicas: 0, weight: 5}]}}`), want: []string{
			`Spec.Strategy.Canary.Steps[0].Replicas :: replicas must be positive number, or a percentage with "0%" < canaryReplicas <= "100%"`,
		}},
		"a percentage above the limit with weight": {limits: &half, manifest: partition(`{canary: {steps: [{replicas: 60%, weight: 5}]}}`), want: []string{
			"Spec.Strategy.Canary.Steps[0].steps :: For patition style rollout: step[x].replicas must not greater than replicasLimitWithTraffic if traffic or matches specified; the limit is 50%",
		}},
		"a weight above the limit": {limits: &half, manifest: partition(`{canary: {steps: [{weight: 60}]}}`), want: []string{
			"Spec.Strategy.Canary.Steps[0].steps :: For patition style rollout: step[x].weight must not greater than replicasLimitWithTraffic if replicas is not specified; the limit is 50%",
		}},
		"no limit for a canary": {limits: &half, manifest: alpha(`{canary: {steps: [{weight: 60}]}}`)},
		"weights out of bounds": {manifest: alpha(`{canary: {steps: [{weight: 0}, {weight: 101}, {weight: 101, replicas: 1}]}}`), want: []string{
			"Spec.Strategy.Canary.Steps[0].steps :: weight must be positive number, and less than or equal to replicasLimitWithTraffic (defaults to 30); write a number from 1 to 100",
			"Spec.Strategy.Canary.Steps[1].steps :: weight must be positive number, and less than or equal to replicasLimitWithTraffic (defaults to 30)",
			"Spec.Strategy.Canary.Steps[2].steps :: weight is a percentage of the traffic",
		}},
		"weights going back": {manifest: alpha(`{canary: {` + routed + `, steps: [{weight: 20, replicas: 1}, {weight: 10, replicas: 2}]}}`), want: []string{
			"Spec.Strategy.Canary.Steps.Weight :: Steps.Weight must be a non decreasing sequence; step 2 has 10 after 20 in step 1",
		}},
		"weights going back without routes": {manifest: alpha(`{canary: {steps: [{weight: 20, replicas: 1}, {weight: 10, replicas: 2}]}}`)},
		"a weight behind a percentage": {manifest: alpha(`{canary: {steps: [{replicas: 50%}, {weight: 20}]}}`), want: []string{
			"Spec.Strategy.Canary.Steps.CanaryReplicas :: Steps.CanaryReplicas must be a non decreasing sequence; step 2 has 20% after 50% in step 1",
		}},
		"a workload that is taken": {
			manifest: alpha(`{canary: {steps: [{weight: 20}]}}`),
			others:   `[{metadata: {name: first, namespace: ns}, spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: demo}}}]`,
			want:     []string{"Conflict Checker :: This rollout conflict with Rollout(ns/first)"},
		},
		"routes": {manifest: alpha(`{canary: {trafficRoutings: [{service: s}], steps: [{weight: 20}]}}`), want: []string{
			"Spec.Strategy.Canary.TrafficRouting.TrafficRoutings :: TrafficRoutings are not set",
		}},
		"a canary without a driver": {limits: &deployments, manifest: alpha(`{canary: {steps: [{weight: 20}]}}`), want: []string{
			"Spec.ObjectRef.WorkloadRef :: WorkloadRef kind is not supported in Canary style by this version; supported: apps Deployment (Partition); the annotation rollouts.kruise.io/rolling-style: partition releases a Deployment in batches",
		}},
		"a header twice in a match": {
			manifest: partition(`{canary: {` + routed + `, steps: [{replicas: 1, matches: [{headers: [{name: a, value: b}, {name: a, value: c}]}]}]}}`),
			want:     []string{`Spec.Strategy.Canary.Steps[0].Matches[0].Headers[1].Name :: "a"`},
		},
		"too many matches": {
			manifest: partition(`{canary: {` + routed + `, steps: [{replicas: 1, matches: [` + strings.Repeat(`{headers: [{name: a, value: b}]},`, 17) + `]}]}}`),
			want:     []string{`Spec.Strategy.Canary.Steps[0].Matches :: 17: must have at most 16 items`},
		},
		"too many steps": {manifest: partition(`{canary: {steps: [` + strings.Repeat(`{replicas: 1},`, 51) + `]}}`), want: []string{
			"Spec.Strategy.Canary.Steps :: 51: must have at most 50 items",
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limits := everything
			if tc.limits != nil {
				limits = *tc.limits
			}
			var others []v1beta1.Rollout
			if tc.others != "" {
				others = *parse[[]v1beta1.Rollout](t, tc.others)
			}
			check(t, admission.ValidateRolloutV1alpha1(parse[v1alpha1.Rollout](t, tc.manifest), nil, others, limits), tc.want)
		})
	}
}

func TestUpdateV1beta1(t *testing.T) {
	t.Parallel()
	const before = `{canary: {steps: [{replicas: 1}, {replicas: 100%}]}}`
	tests := map[string]struct {
		before, after string // before is the strategy that was
		phase         v1beta1.RolloutPhase
		limits        *admission.Limits
		want          []string
	}{
		"steps, pauses and more may change": {
			before: before, phase: v1beta1.PhaseProgressing,
			after: strings.Replace(beta(`{paused: true, canary: {failureThreshold: 1, steps: [{replicas: 2, pause: {duration: 0}}, {replicas: 50%}]}}`), "strategy:", "disabled: true, strategy:", 1),
		},
		"the workload may not": {
			before: before, phase: v1beta1.PhaseProgressing, after: workload("apps/v1", "StatefulSet", before),
			want: []string{"Spec.ObjectRef :: Rollout 'ObjectRef' field is immutable; finish the release"},
		},
		"nor routes, style and the number of steps": {
			before: before, phase: v1beta1.PhaseTerminating, after: beta(`{blueGreen: {trafficRoutings: [{service: s, ingress: {name: i}}], steps: [{replicas: 1}]}}`),
			want: []string{
				"Spec.Strategy.Canary|BlueGreen.TrafficRoutings :: Rollout 'Strategy.Canary|BlueGreen.TrafficRoutings' field is immutable",
				"Spec.Strategy.Canary|BlueGreen :: Rollout style and enableExtraWorkloadForCanary are immutable",
				"Spec.Strategy.Canary|BlueGreen :: Amount of Rollout steps are immutable",
			},
		},
		"nor the extra workload": {
			before: before, phase: v1beta1.PhaseProgressing, after: beta(`{canary: {enableExtraWorkloadForCanary: true, steps: [{replicas: 1}, {replicas: 100%}]}}`),
			want: []string{"Spec.Strategy.Canary|BlueGreen :: Rollout style and enableExtraWorkloadForCanary are immutable"},
		},
		"all of it may while nothing is released": {
			before: before, phase: v1beta1.PhaseHealthy, after: workload("apps/v1", "StatefulSet", `{canary: {trafficRoutings: [{service: s, ingress: {name: i}}], steps: [{replicas: 1}]}}`),
		},
		"what was accepted before a rule stays": {
			before: `{canary: {steps: [{replicas: 0}]}}`, after: beta(`{canary: {steps: [{replicas: 0}]}}`),
		},
		"and can be mended step by step": {
			before: `{canary: {steps: [{replicas: 0}, {replicas: 0}]}}`, after: beta(`{canary: {steps: [{replicas: 1}, {replicas: 0}]}}`),
			want: []string{"Spec.Strategy.Canary.Steps.CanaryReplicas :: Steps.CanaryReplicas must be a non decreasing sequence"},
		},
		"what was accepted before a rule does not keep one from pausing": {
			before: `{canary: {failureThreshold: 200%, trafficRoutings: [{service: ""}], steps: [{replicas: 1, traffic: 0%}]}}`,
			after:  beta(`{paused: true, canary: {failureThreshold: 200%, trafficRoutings: [{service: ""}], steps: [{replicas: 1, traffic: 0%}]}}`),
		},
		"nor from disabling a kind this version has no driver for": {
			before: `{canary: {enableExtraWorkloadForCanary: true, steps: [{replicas: 1}]}}`, limits: &deployments,
			after: strings.Replace(beta(`{canary: {enableExtraWorkloadForCanary: true, steps: [{replicas: 1}]}}`), "strategy:", "disabled: true, strategy:", 1),
		},
		"steps are looked at again where other rules hold now": {
			before: `{canary: {trafficRoutings: [{service: s, ingress: {name: i}}], steps: [{replicas: 1, matches: [{}]}]}}`,
			after:  beta(`{canary: {steps: [{replicas: 1, matches: [{}]}]}}`),
			want:   []string{"Spec.Strategy.Canary.Steps[0].Matches :: matches require trafficRoutings"},
		},
		"a deleted one is left alone": {
			before: before, phase: v1beta1.PhaseTerminating, after: strings.Replace(beta(`{}`), "namespace: ns", "namespace: ns, deletionTimestamp: '2026-01-01T00:00:00Z'", 1),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := parse[v1beta1.Rollout](t, beta(tc.before))
			old.Status.Phase = tc.phase
			limits := everything
			if tc.limits != nil {
				limits = *tc.limits
			}
			check(t, admission.ValidateRollout(parse[v1beta1.Rollout](t, tc.after), old, nil, limits), tc.want)
		})
	}
}

func TestUpdateV1alpha1(t *testing.T) {
	t.Parallel()
	const before = `{canary: {steps: [{replicas: 1}, {replicas: 100%}]}}`
	tests := map[string]struct {
		after string
		phase v1beta1.RolloutPhase
		want  []string
	}{
		"steps may come": {phase: v1beta1.PhaseProgressing, after: partition(`{canary: {steps: [{replicas: 1}, {replicas: 50%}, {replicas: 100%}]}}`)},
		"and go":         {phase: v1beta1.PhaseProgressing, after: partition(`{canary: {steps: [{replicas: 1}]}}`)},
		"the workload may not change": {
			phase: v1beta1.PhaseProgressing, after: strings.Replace(partition(before), "name: demo}}", "name: other}}", 1),
			want: []string{"Spec.ObjectRef :: Rollout 'ObjectRef' field is immutable"},
		},
		"nor routes and style": {
			phase: v1beta1.PhaseProgressing, after: alpha(`{canary: {trafficRoutings: [{service: s, ingress: {name: i}}], steps: [{replicas: 1}]}}`),
			want: []string{
				"Spec.Strategy.Canary.TrafficRoutings :: Rollout 'Strategy.Canary.TrafficRoutings' field is immutable",
				"Metadata.Annotation :: Rollout 'Rolling-Style' annotation is immutable",
			},
		},
		"another spelling is the same style": {
			phase: v1beta1.PhaseProgressing, after: strings.Replace(partition(`{paused: true, canary: {steps: [{replicas: 1}, {replicas: 100%}]}}`), ": partition", ": Partition", 1),
		},
		"all of it may while nothing is released": {
			phase: v1beta1.PhaseHealthy, after: alpha(`{canary: {trafficRoutings: [{service: s, ingress: {name: i}}], steps: [{replicas: 1}]}}`),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := parse[v1alpha1.Rollout](t, partition(before))
			old.Status.Phase = tc.phase
			check(t, admission.ValidateRolloutV1alpha1(parse[v1alpha1.Rollout](t, tc.after), old, nil, everything), tc.want)
		})
	}
}

// TestBlueGreenThroughV1alpha1 pauses a blue-green Rollout by a client that cannot see its strategy.
func TestBlueGreenThroughV1alpha1(t *testing.T) {
	t.Parallel()
	hub := parse[v1beta1.Rollout](t, beta(`{blueGreen: {steps: [{replicas: 100%}]}}`))
	hub.Status.Phase = v1beta1.PhaseProgressing
	old := &v1alpha1.Rollout{}
	if err := old.ConvertFrom(hub); err != nil {
		t.Fatal(err)
	}
	paused := old.DeepCopy()
	paused.Spec.Strategy.Paused = true
	check(t, admission.ValidateRolloutV1alpha1(paused, old, nil, everything), nil)

	moved := old.DeepCopy()
	moved.Spec.ObjectRef.WorkloadRef.Name = "other"
	check(t, admission.ValidateRolloutV1alpha1(moved, old, nil, everything), []string{"Spec.ObjectRef :: Rollout 'ObjectRef' field is immutable"})
}

// TestAnswer shows the whole of an answer once, as users get it.
func TestAnswer(t *testing.T) {
	t.Parallel()
	errs := admission.ValidateRollout(parse[v1beta1.Rollout](t, beta(`{canary: {steps: [{replicas: "5"}, {replicas: 1, traffic: "20"}]}}`)), nil, nil, everything)
	want := `[Spec.Strategy.Canary.Steps[0].Replicas: Invalid value: "5": replicas must be positive number, or a percentage with "0%" < canaryReplicas <= "100%"; ` +
		`write 5 without quotes for a number of pods, or 5% for a percentage, ` +
		`Spec.Strategy.Canary.Steps[1].steps: Invalid value: "20": traffic must be percentage with "0%" < traffic <= "100%" in canary strategy; write 20%]`
	if got := errs.ToAggregate().Error(); got != want {
		t.Errorf("answer is\n%s\nwant\n%s", got, want)
	}
}

// FuzzValidateNeverPanics validates whatever decodes, as a new object and as an update of another.
func FuzzValidateNeverPanics(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"spec":{"strategy":{"canary":{}}}}`,
		`{"spec":{"objectRef":{"workloadRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"}},"strategy":{"canary":{"steps":[{"weight":-1},{"replicas":"x%"}],"trafficRoutings":[{"gateway":{}}],"failureThreshold":"z"}}}}`,
		`{"spec":{"workloadRef":{"apiVersion":"a/b/c","kind":"","name":""},"strategy":{"blueGreen":{"steps":[{"traffic":"1%","matches":[{"headers":[{}]}]}]}}},"status":{"phase":"Progressing"}}`,
		`{"metadata":{"annotations":{"rollouts.kruise.io/conversion-data":"{\"v1beta1\":{\"blueGreen\":{\"steps\":[{}]}}}"}}}`,
	} {
		f.Add([]byte(seed), []byte(`{"status":{"phase":"Progressing"}}`))
	}
	f.Fuzz(func(_ *testing.T, data, before []byte) {
		for _, limits := range []admission.Limits{{}, everything, deployments} {
			var now, old v1beta1.Rollout
			if json.Unmarshal(data, &now) == nil {
				_ = admission.ValidateRollout(&now, nil, []v1beta1.Rollout{now}, limits).ToAggregate()
				if json.Unmarshal(before, &old) == nil {
					_ = admission.ValidateRollout(&now, &old, []v1beta1.Rollout{old}, limits).ToAggregate()
				}
			}
			var alphaNow, alphaOld v1alpha1.Rollout
			if json.Unmarshal(data, &alphaNow) == nil {
				_ = admission.ValidateRolloutV1alpha1(&alphaNow, nil, nil, limits).ToAggregate()
				if json.Unmarshal(before, &alphaOld) == nil {
					_ = admission.ValidateRolloutV1alpha1(&alphaNow, &alphaOld, []v1beta1.Rollout{now}, limits).ToAggregate()
				}
			}
		}
	})
}
