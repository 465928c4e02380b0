// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/conversion"
	"sigs.k8s.io/yaml"

	rolloutsv1alpha1 "kruise.io/rollouts/api/v1alpha1"
	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

var (
	_ conversion.Hub         = &rolloutsv1beta1.Rollout{}
	_ conversion.Hub         = &rolloutsv1beta1.BatchRelease{}
	_ conversion.Convertible = &rolloutsv1alpha1.Rollout{}
	_ conversion.Convertible = &rolloutsv1alpha1.BatchRelease{}
)

// parse reads an object, refusing what its version does not know.
func parse[T any](t *testing.T, manifest string) *T {
	t.Helper()
	out := new(T)
	if err := yaml.UnmarshalStrict([]byte(manifest), out); err != nil {
		t.Fatalf("%v in %s", err, manifest)
	}
	return out
}

// visible returns an object as YAML without its conversion data and what is never set here.
func visible(t *testing.T, obj any) string {
	t.Helper()
	data, err := yaml.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := yaml.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	metadata, _ := fields["metadata"].(map[string]any)
	if annotations, ok := metadata["annotations"].(map[string]any); ok {
		delete(annotations, dataKey)
		if len(annotations) == 0 {
			delete(metadata, "annotations")
		}
	}
	if data, err = yaml.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRolloutRules(t *testing.T) {
	t.Parallel()
	const workload = `{apiVersion: apps/v1, kind: Deployment, name: demo}`
	tests := map[string]struct{ alpha, wantBeta string }{
		"the first tutorial's batches lose nothing": {
			alpha: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: partition}}, spec: {objectRef: {workloadRef: ` + workload + `},
			  disabled: false, strategy: {canary: {steps: [{replicas: 1, pause: {}}, {replicas: 50%, pause: {duration: 60}}]}}}, status: {}}`,
			wantBeta: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: partition}}, spec: {workloadRef: ` + workload + `,
			  disabled: false, strategy: {canary: {steps: [{replicas: 1, pause: {}}, {replicas: 50%, pause: {duration: 60}}]}}},
			  status: {currentStepIndex: 0, currentStepState: ""}}`,
		},
		"weight becomes traffic, and replicas where there are none": {
			alpha: `{metadata: {}, spec: {objectRef: {workloadRef: ` + workload + `},
			  strategy: {paused: true, canary: {steps: [{weight: 20}, {weight: 50, replicas: 3}]}}}}`,
			wantBeta: `{metadata: {}, spec: {workloadRef: ` + workload + `, strategy: {paused: true, canary: {enableExtraWorkloadForCanary: true,
			  steps: [{traffic: 20%, replicas: 20%}, {traffic: 50%, replicas: 3}]}}}, status: {currentStepIndex: 0, currentStepState: ""}}`,
		},
		"any style but partition runs an extra workload": {
			alpha: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: Canary}}, spec: {objectRef: {workloadRef: ` + workload + `},
			  strategy: {canary: {}}}}`,
			wantBeta: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: Canary}}, spec: {workloadRef: ` + workload + `,
			  strategy: {canary: {enableExtraWorkloadForCanary: true}}}, status: {currentStepIndex: 0, currentStepState: ""}}`,
		},
		"partition in any case runs none": {
			alpha: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: PARTITION}}, spec: {objectRef: {workloadRef: ` + workload + `},
			  strategy: {canary: {}}}}`,
			wantBeta: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: PARTITION}}, spec: {workloadRef: ` + workload + `,
			  strategy: {canary: {}}}, status: {currentStepIndex: 0, currentStepState: ""}}`,
		},
		"the annotation names the TrafficRouting": {
			alpha: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: partition, rollouts.kruise.io/trafficrouting: tr}},
			  spec: {objectRef: {workloadRef: ` + workload + `}, strategy: {canary: {}}}}`,
			wantBeta: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: partition, rollouts.kruise.io/trafficrouting: tr}},
			  spec: {workloadRef: ` + workload + `, strategy: {canary: {trafficRoutingRef: tr}}}, status: {currentStepIndex: 0, currentStepState: ""}}`,
		},
		"everything else is copied": {
			alpha: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: partition}}, spec: {disabled: true, rolloutID: "7",
			  objectRef: {workloadRef: ` + workload + `}, strategy: {canary: {failureThreshold: 10%, disableGenerateCanaryService: true,
			  patchPodTemplateMetadata: {labels: {a: b}}, trafficRoutings: [{service: s, gracePeriodSeconds: 5, ingress: {name: i, classType: nginx}}],
			  steps: [{replicas: 1, requestHeaderModifier: {remove: [x]}, matches: [{headers: [{name: h, value: v}]}]}]}}}}`,
			wantBeta: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: partition}}, spec: {disabled: true, workloadRef: ` + workload + `,
			  strategy: {canary: {failureThreshold: 10%, disableGenerateCanaryService: true, patchPodTemplateMetadata: {labels: {a: b}},
			  trafficRoutings: [{service: s, gracePeriodSeconds: 5, ingress: {name: i, classType: nginx}}],
			  steps: [{replicas: 1, requestHeaderModifier: {remove: [x]}, matches: [{headers: [{name: h, value: v}]}]}]}}},
			  status: {currentStepIndex: 0, currentStepState: ""}}`,
		},
		"no workload and no strategy": {
			alpha:    `{metadata: {}, spec: {objectRef: {}, strategy: {}}}`,
			wantBeta: `{metadata: {}, spec: {strategy: {}}, status: {currentStepIndex: 0, currentStepState: ""}}`,
		},
		"a status fills the mirror at the top": {
			alpha: `{metadata: {}, spec: {objectRef: {}, strategy: {}}, status: {phase: Progressing, message: m, observedGeneration: 2,
			  canaryStatus: {currentStepIndex: 2, currentStepState: StepReady, nextStepIndex: 3, canaryReplicas: 1, canaryReadyReplicas: 1, podTemplateHash: h}}}`,
			wantBeta: `{metadata: {}, spec: {strategy: {}}, status: {phase: Progressing, message: m, observedGeneration: 2, currentStepIndex: 2,
			  currentStepState: StepReady, canaryStatus: {currentStepIndex: 2, currentStepState: StepReady, nextStepIndex: 3, canaryReplicas: 1,
			  canaryReadyReplicas: 1, podTemplateHash: h}}}`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alpha := parse[rolloutsv1alpha1.Rollout](t, tc.alpha)
			beta := toBeta(t, alpha)
			if got, want := visible(t, beta), visible(t, parse[rolloutsv1beta1.Rollout](t, tc.wantBeta)); got != want {
				t.Errorf("v1beta1 is\n%swant\n%s", got, want)
			}
			same(t, "coming back", toAlpha(t, beta), alpha)
		})
	}
}

// TestRolloutSeenFromV1alpha1 shows what older clients see of v1beta1 objects that were never theirs.
func TestRolloutSeenFromV1alpha1(t *testing.T) {
	t.Parallel()
	const workload = `{apiVersion: apps/v1, kind: Deployment, name: demo}`
	tests := map[string]struct{ beta, wantAlpha string }{
		"the style becomes an annotation": {
			beta:      `{spec: {workloadRef: ` + workload + `, strategy: {canary: {steps: [{traffic: 5%, replicas: 5%}]}}}}`,
			wantAlpha: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: partition}}, spec: {objectRef: {workloadRef: ` + workload + `}, strategy: {canary: {steps: [{weight: 5, replicas: 5%}]}}}}`,
		},
		"an extra workload is canary, a TrafficRouting an annotation": {
			beta: `{metadata: {annotations: {mine: kept}}, spec: {workloadRef: ` + workload + `, strategy: {canary: {trafficRoutingRef: tr, enableExtraWorkloadForCanary: true}}}}`,
			wantAlpha: `{metadata: {annotations: {mine: kept, rollouts.kruise.io/rolling-style: canary, rollouts.kruise.io/trafficrouting: tr}},
			  spec: {objectRef: {workloadRef: ` + workload + `}, strategy: {canary: {}}}}`,
		},
		"paths and query parameters are not seen": {
			beta: `{spec: {workloadRef: ` + workload + `, strategy: {canary: {steps: [{matches: [{path: {value: /a}, headers: [{name: h, value: v}], queryParams: [{name: q, value: v}]}]}]}}}}`,
			wantAlpha: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: partition}}, spec: {objectRef: {workloadRef: ` + workload + `},
			  strategy: {canary: {steps: [{matches: [{headers: [{name: h, value: v}]}]}]}}}}`,
		},
		"routes and their rules have the same names": {
			beta: `{spec: {workloadRef: ` + workload + `, strategy: {canary: {trafficRoutings: [{service: s, gateway: {httpRouteName: h, grpcRouteName: g, ruleNames: [a, b]}}]}}}}`,
			wantAlpha: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: partition}}, spec: {objectRef: {workloadRef: ` + workload + `},
			  strategy: {canary: {trafficRoutings: [{service: s, gateway: {httpRouteName: h, grpcRouteName: g, ruleNames: [a, b]}}]}}}}`,
		},
		"traffic that is no percentage has no weight": {
			beta: `{spec: {workloadRef: ` + workload + `, strategy: {canary: {steps: [{traffic: x}, {traffic: "20"}]}}}}`,
			wantAlpha: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: partition}}, spec: {objectRef: {workloadRef: ` + workload + `},
			  strategy: {canary: {steps: [{}, {}]}}}}`,
		},
		"a blue-green Rollout has no strategy, and the rest": {
			beta: `{spec: {workloadRef: ` + workload + `, disabled: true, strategy: {paused: true, blueGreen: {steps: [{replicas: 100%}]}}},
			  status: {phase: Progressing, currentStepIndex: 1, currentStepState: StepPaused, blueGreenStatus: {currentStepIndex: 1, currentStepState: StepPaused, updatedRevision: r}}}`,
			wantAlpha: `{spec: {objectRef: {workloadRef: ` + workload + `}, disabled: true, strategy: {paused: true}}, status: {phase: Progressing}}`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			beta := parse[rolloutsv1beta1.Rollout](t, tc.beta)
			alpha := toAlpha(t, beta)
			if got, want := visible(t, alpha), visible(t, parse[rolloutsv1alpha1.Rollout](t, tc.wantAlpha)); got != want {
				t.Errorf("v1alpha1 is\n%swant\n%s", got, want)
			}
			same(t, "coming back", toBeta(t, alpha), beta)
		})
	}
}

// TestEditedThroughTheOtherVersion shows what becomes of the hidden part when a client of v1alpha1 edits the visible one.
func TestEditedThroughTheOtherVersion(t *testing.T) {
	t.Parallel()
	const rich = `{spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: demo}, strategy: {canary: {steps: [
	    {traffic: 20%, replicas: 20%, matches: [{path: {value: /a}, headers: [{name: h, value: v}]}]},
	    {traffic: 050%, replicas: 50%}]}}},
	  status: {currentStepIndex: 1, currentStepState: StepPaused, canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused}}}`
	const blueGreen = `{spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: demo}, strategy: {blueGreen: {steps: [{replicas: 100%}]}}}}`
	tests := map[string]struct {
		beta string
		edit func(*rolloutsv1alpha1.Rollout)
		want func(*rolloutsv1beta1.Rollout)
	}{
		"pausing keeps everything": {
			beta: rich,
			edit: func(r *rolloutsv1alpha1.Rollout) { r.Spec.Strategy.Paused = true },
			want: func(r *rolloutsv1beta1.Rollout) { r.Spec.Strategy.Paused = true },
		},
		"approving moves the mirror": {
			beta: rich,
			edit: func(r *rolloutsv1alpha1.Rollout) {
				r.Status.CanaryStatus.CurrentStepState = rolloutsv1beta1.StepReady
			},
			want: func(r *rolloutsv1beta1.Rollout) {
				r.Status.CanaryStatus.CurrentStepState = rolloutsv1beta1.StepReady
				r.Status.CurrentStepState = rolloutsv1beta1.StepReady
			},
		},
		"a weight is changed, matches stay": {
			beta: rich,
			edit: func(r *rolloutsv1alpha1.Rollout) { r.Spec.Strategy.Canary.Steps[0].Weight = new(int32(30)) },
			want: func(r *rolloutsv1beta1.Rollout) { r.Spec.Strategy.Canary.Steps[0].Traffic = new("30%") },
		},
		"an edited match is taken as it is": {
			beta: rich,
			edit: func(r *rolloutsv1alpha1.Rollout) {
				r.Spec.Strategy.Canary.Steps[0].Matches[0].Headers[0].Value = "w"
			},
			want: func(r *rolloutsv1beta1.Rollout) {
				r.Spec.Strategy.Canary.Steps[0].Matches[0].Headers[0].Value = "w"
				r.Spec.Strategy.Canary.Steps[0].Matches[0].Path = nil
			},
		},
		"a step is put in front": {
			beta: rich,
			edit: func(r *rolloutsv1alpha1.Rollout) {
				steps := &r.Spec.Strategy.Canary.Steps
				*steps = append([]rolloutsv1alpha1.CanaryStep{{Replicas: (*steps)[0].Replicas}}, *steps...)
			},
			want: func(r *rolloutsv1beta1.Rollout) {
				steps := &r.Spec.Strategy.Canary.Steps
				*steps = append([]rolloutsv1beta1.CanaryStep{{Replicas: (*steps)[0].Replicas}}, *steps...)
			},
		},
		"the first step is removed": {
			beta: rich,
			edit: func(r *rolloutsv1alpha1.Rollout) {
				r.Spec.Strategy.Canary.Steps = r.Spec.Strategy.Canary.Steps[1:]
			},
			want: func(r *rolloutsv1beta1.Rollout) {
				r.Spec.Strategy.Canary.Steps = r.Spec.Strategy.Canary.Steps[1:]
			},
		},
		"the style is changed": {
			beta: rich,
			edit: func(r *rolloutsv1alpha1.Rollout) {
				r.Annotations[rolloutsv1beta1.AnnotationRollingStyle] = "canary"
			},
			want: func(r *rolloutsv1beta1.Rollout) {
				r.Annotations = map[string]string{rolloutsv1beta1.AnnotationRollingStyle: "canary"}
				r.Spec.Strategy.Canary.EnableExtraWorkloadForCanary = true
			},
		},
		"a blue-green Rollout is paused": {
			beta: blueGreen,
			edit: func(r *rolloutsv1alpha1.Rollout) { r.Spec.Strategy.Paused = true },
			want: func(r *rolloutsv1beta1.Rollout) { r.Spec.Strategy.Paused = true },
		},
		"a blue-green Rollout is made a canary": {
			beta: blueGreen,
			edit: func(r *rolloutsv1alpha1.Rollout) {
				r.Spec.Strategy.Canary = &rolloutsv1alpha1.CanaryStrategy{}
			},
			want: func(r *rolloutsv1beta1.Rollout) {
				r.Spec.Strategy.BlueGreen = nil
				r.Spec.Strategy.Canary = &rolloutsv1beta1.CanaryStrategy{EnableExtraWorkloadForCanary: true}
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			beta := parse[rolloutsv1beta1.Rollout](t, tc.beta)
			alpha := toAlpha(t, beta)
			tc.edit(alpha)
			tc.want(beta)
			if got, want := visible(t, toBeta(t, alpha)), visible(t, beta); got != want {
				t.Errorf("v1beta1 is\n%swant\n%s", got, want)
			}
		})
	}
}

// TestWeightOnlyStepEditedInV1beta1 shows the other direction: the weight speaks for itself again once replicas differ.
func TestWeightOnlyStepEditedInV1beta1(t *testing.T) {
	t.Parallel()
	alpha := parse[rolloutsv1alpha1.Rollout](t, `{spec: {objectRef: {}, strategy: {canary: {steps: [{weight: 20}, {weight: 40}]}}}}`)
	beta := toBeta(t, alpha)
	beta.Spec.Strategy.Canary.Steps[0].Replicas = new(*beta.Spec.Strategy.Canary.Steps[1].Replicas)
	got := toAlpha(t, beta).Spec.Strategy.Canary.Steps
	if got[0].Replicas == nil || got[0].Replicas.StrVal != "40%" || *got[0].Weight != 20 || got[1].Replicas != nil {
		t.Errorf("steps are %s", text(t, got))
	}
}

func TestBatchReleaseRules(t *testing.T) {
	t.Parallel()
	const plan = `batches: [{canaryReplicas: 1}], batchPartition: 0, rolloutID: id, failureThreshold: 1, finalizingPolicy: WaitResume,
	  patchPodTemplateMetadata: {labels: {a: b}}, enableExtraWorkloadForCanary: true`
	tests := map[string]struct{ alpha, wantBeta string }{
		"the style is read from the annotation": {
			alpha: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: BlueGreen}},
			  spec: {targetReference: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: demo}}, releasePlan: {rollingStyle: Canary, ` + plan + `}},
			  status: {phase: Progressing, canaryStatus: {batchState: Ready, currentBatch: 1}}}`,
			wantBeta: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: BlueGreen}},
			  spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: demo}, releasePlan: {rollingStyle: BlueGreen, ` + plan + `}},
			  status: {phase: Progressing, canaryStatus: {batchState: Ready, currentBatch: 1}}}`,
		},
		"without it there is none": {
			alpha:    `{spec: {targetReference: {}, releasePlan: {rollingStyle: Canary, ` + plan + `}}}`,
			wantBeta: `{spec: {releasePlan: {` + plan + `}}}`,
		},
		"and none with another word": {
			alpha:    `{metadata: {annotations: {rollouts.kruise.io/rolling-style: x}}, spec: {targetReference: {}, releasePlan: {` + plan + `}}}`,
			wantBeta: `{metadata: {annotations: {rollouts.kruise.io/rolling-style: x}}, spec: {releasePlan: {` + plan + `}}}`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alpha := parse[rolloutsv1alpha1.BatchRelease](t, tc.alpha)
			beta := batchToBeta(t, alpha)
			if got, want := visible(t, beta), visible(t, parse[rolloutsv1beta1.BatchRelease](t, tc.wantBeta)); got != want {
				t.Errorf("v1beta1 is\n%swant\n%s", got, want)
			}
			same(t, "coming back", batchToAlpha(t, beta), alpha)
		})
	}
}

func TestBatchReleaseSeenFromV1alpha1(t *testing.T) {
	t.Parallel()
	beta := parse[rolloutsv1beta1.BatchRelease](t, `{spec: {releasePlan: {rollingStyle: Partition}}, status: {message: m}}`)
	alpha := batchToAlpha(t, beta)
	if got := alpha.Annotations[rolloutsv1beta1.AnnotationRollingStyle]; got != "partition" {
		t.Errorf("the annotation is %q, want partition", got)
	}
	if got := alpha.Spec.ReleasePlan.RollingStyle; got != rolloutsv1beta1.PartitionRollingStyle {
		t.Errorf("rollingStyle is %q, want Partition", got)
	}
	same(t, "coming back", batchToBeta(t, alpha), beta)
}
