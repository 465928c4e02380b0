// SPDX-License-Identifier: Apache-2.0

package main

// act is one thing the user does, and what is waited for before the next.
type act struct {
	say   string
	run   string
	until []string // arguments of kubectl wait
}

const (
	deployment = "deployment/workload-demo"
	rollout    = "rollout/rollouts-demo"
)

// atStep waits until a step is done and the Deployment is at rest: all 10 pods available.
func atStep(step, updated string) []string {
	return []string{
		"--for=jsonpath='{.status.currentStepIndex}'=" + step + " " + rollout,
		"--for=jsonpath='{.status.currentStepState}'=StepPaused " + rollout,
		"--for=jsonpath='{.status.updatedReplicas}'=" + updated + " " + deployment,
		"--for=jsonpath='{.status.availableReplicas}'=10 " + deployment,
	}
}

// script is the first release of the tutorials: in three batches, each approved by hand.
var script = []act{
	{say: "A Deployment of 10 pods at version-1", run: "kubectl apply -f workload-demo.yaml", until: []string{
		"--for=jsonpath='{.status.availableReplicas}'=10 " + deployment,
	}},
	{say: "A Rollout: 1 pod, then half of them, then all", run: "kubectl apply -f rollouts-demo.yaml", until: []string{
		"--for=jsonpath='{.status.phase}'=Healthy " + rollout,
	}},
	{run: "kubectl get rollout"},
	{
		say: "Version-2: the change is held, and one pod gets it",
		run: `kubectl patch deployment workload-demo -p \
'{"spec":{"template":{"spec":{"containers":[{"name":"busybox", "env":[{"name":"VERSION", "value":"version-2"}]}]}}}}'`,
		until: atStep("1", "1"),
	},
	{run: "kubectl get deploy"},
	{run: "kubectl get replicaset"},
	{run: "kubectl get rollout"},
	{say: "Approved: half of the pods", run: "kubectl kruise rollout approve rollout/rollouts-demo -n default", until: atStep("2", "5")},
	{run: "kubectl get deploy"},
	{run: "kubectl get replicaset"},
	{run: "kubectl get rollout"},
	{say: "Approved: all of them, and the Deployment is the user's own again", run: "kubectl kruise rollout approve rollout/rollouts-demo -n default", until: []string{
		"--for=jsonpath='{.status.phase}'=Healthy " + rollout,
	}},
	{run: "kubectl get deploy"},
	{run: "kubectl get replicaset"},
	{run: "kubectl get rollout"},
}
