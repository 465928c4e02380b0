// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"maps"
)

const (
	alpha, beta = "v1alpha1", "v1beta1"
	confirm     = "Rollout is in step(1/3), and you need manually confirm to enter the next step"
)

// edit changes an object of a test.
type edit func(object)

// rollout is the tutorial's, paused at step 1 of 3, in either version.
func rollout(version string, edits ...edit) object {
	steps := []any{object{"replicas": 1}, object{"replicas": "50%"}, object{"replicas": "100%"}}
	ref := object{"apiVersion": "apps/v1", "kind": "Deployment", "name": "workload-demo"}
	spec := object{"workloadRef": ref, "strategy": object{"canary": object{"steps": steps}}}
	status := object{
		"observedGeneration": 2, "phase": "Progressing", "message": confirm,
		"canaryStatus": object{
			"currentStepIndex": 1, "currentStepState": "StepPaused", "nextStepIndex": 2, "stableRevision": "aaa", "canaryRevision": "bbb",
			"podTemplateHash": "bbb", "canaryReplicas": 1, "canaryReadyReplicas": 1, "finalisingStep": "",
			"message": "BatchRelease is at state Ready, rollout-id , step 1",
		},
	}
	if version == beta {
		status["currentStepIndex"], status["currentStepState"] = 1, "StepPaused"
	} else {
		spec = object{"objectRef": object{"workloadRef": ref}, "strategy": object{"canary": object{"steps": steps}}}
	}
	o := object{
		"apiVersion": "rollouts.kruise.io/" + version, "kind": "Rollout",
		"metadata": object{"name": "rollouts-demo", "namespace": "default", "generation": 2, "resourceVersion": "7"},
		"spec":     spec, "status": status,
	}
	for _, e := range edits {
		e(o)
	}
	return o
}

// at returns the map at a path of an object.
func at(o object, path ...string) object {
	for _, p := range path {
		o = o[p].(object)
	}
	return o
}

// step puts a release somewhere else.
func step(index int, state, message string) edit {
	return func(o object) {
		c := at(o, "status", "canaryStatus")
		c["currentStepIndex"], c["currentStepState"], c["nextStepIndex"] = index, state, index+1
		at(o, "status")["message"] = message
	}
}

func paused(o object) { at(o, "spec", "strategy")["paused"] = true }

// ended puts an end to a release.
func ended(succeeded, message string) edit {
	return func(o object) {
		at(o, "status")["phase"], at(o, "status")["message"] = "Healthy", message
		at(o, "status")["conditions"] = []any{
			object{"type": "Progressing", "status": "False", "reason": "Completed", "message": message},
			object{"type": "Succeeded", "status": succeeded, "reason": "", "message": ""},
		}
		at(o, "status", "canaryStatus")["currentStepState"] = "Completed"
	}
}

// blueGreen makes it one of blue-green style at step 3, with traffic.
func blueGreen(o object) {
	o["spec"] = object{"workloadRef": at(o, "spec", "workloadRef"), "strategy": object{"blueGreen": object{"steps": []any{
		object{"replicas": "50%", "traffic": "0%"}, object{"replicas": "100%", "traffic": "0%"}, object{"replicas": "100%", "traffic": "100%"},
	}}}}
	c := maps.Clone(at(o, "status", "canaryStatus"))
	c["updatedRevision"], c["currentStepIndex"] = "bbb", 3
	delete(c, "canaryRevision")
	delete(at(o, "status"), "canaryStatus")
	at(o, "status")["blueGreenStatus"] = c
}

// deployment is the tutorial's at version 2, released in partition style.
func deployment(edits ...edit) object {
	o := object{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": object{
			"name": "workload-demo", "namespace": "default", "uid": "d", "resourceVersion": "9",
			"labels": object{"rollouts.kruise.io/stable-revision": "aaa"},
			"annotations": object{
				"deployment.kubernetes.io/revision":      "3",
				"rollouts.kruise.io/in-progressing":      `{"rolloutName":"rollouts-demo"}`,
				"rollouts.kruise.io/deployment-strategy": `{"rollingStyle":"Partition"}`,
				"kubernetes.io/change-cause":             "v3",
			},
		},
		"spec": object{
			"replicas": 10, "paused": true, "selector": object{"matchLabels": object{"app": "demo"}}, "template": template("version-3", ""),
		},
		"status": object{"replicas": 10, "readyReplicas": 10},
	}
	for _, e := range edits {
		e(o)
	}
	return o
}

func template(version, hash string) object {
	l := object{"app": "demo"}
	if hash != "" {
		l["pod-template-hash"] = hash
	}
	return object{
		"metadata": object{"labels": l},
		"spec":     object{"containers": []any{object{"name": "busybox", "image": "busybox:" + version}}},
	}
}

// set is a ReplicaSet of the Deployment.
func set(revision int, hash string, pods int) object {
	return object{
		"apiVersion": "apps/v1", "kind": "ReplicaSet",
		"metadata": object{
			"name": "workload-demo-" + hash, "namespace": "default", "uid": hash,
			"labels": object{"app": "demo", "pod-template-hash": hash},
			"annotations": object{
				"deployment.kubernetes.io/revision": fmt.Sprint(revision), "kubernetes.io/change-cause": fmt.Sprintf("v%d", revision),
				"rollouts.kruise.io/deployment-strategy": "of the past",
			},
			"ownerReferences": []any{object{"apiVersion": "apps/v1", "kind": "Deployment", "name": "workload-demo", "uid": "d", "controller": true}},
		},
		"spec":   object{"replicas": pods, "template": template(fmt.Sprintf("version-%d", revision), hash)},
		"status": object{"replicas": pods, "readyReplicas": pods},
	}
}

// pod is one of a ReplicaSet, ready.
func pod(hash, name string) object {
	return object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": object{
			"name": "workload-demo-" + hash + "-" + name, "namespace": "default",
			"labels":          object{"app": "demo", "pod-template-hash": hash},
			"ownerReferences": []any{object{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "workload-demo-" + hash, "uid": hash, "controller": true}},
		},
		"spec": object{"containers": []any{object{"name": "busybox", "image": "busybox"}}},
		"status": object{
			"phase": "Running", "conditions": []any{object{"type": "Ready", "status": "True"}}, "containerStatuses": []any{object{"name": "busybox", "ready": true}},
		},
	}
}
