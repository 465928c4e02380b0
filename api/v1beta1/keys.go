// SPDX-License-Identifier: Apache-2.0

package v1beta1

// FieldManager is the name under which everything is written that this product writes.
const FieldManager = "kruise-rollout"

// Keys on a Rollout.
const (
	// AnnotationHash holds the hash of the release strategy last seen by the controller.
	AnnotationHash = "rollouts.kruise.io/hash"
	// AnnotationRollingStyle chooses the style of a v1alpha1 Rollout: "canary" (or empty) or "partition".
	AnnotationRollingStyle = "rollouts.kruise.io/rolling-style"
	// AnnotationTrafficRouting names a TrafficRouting of the same namespace that is active while the Rollout releases.
	AnnotationTrafficRouting = "rollouts.kruise.io/trafficrouting"
	// AnnotationRollbackInBatch set to "true" makes a roll-back go through the steps.
	AnnotationRollbackInBatch = "rollouts.kruise.io/rollback-in-batch"
	// AnnotationAbort names a revision whose release is aborted: requests and pods go back to the stable version, and stay
	// there for as long as the annotation and the pod template do.
	AnnotationAbort = "rollouts.kruise.io/abort"
	// AnnotationSkipAnalysis ends the analysis of a step, and approves it: "<revision>/<step>", so that it says nothing of others.
	AnnotationSkipAnalysis = "rollouts.kruise.io/skip-analysis"
	// AnnotationApprove approves a step, wherever it asks for that: "<revision>/<step>", so that it says nothing of others.
	AnnotationApprove = "rollouts.kruise.io/approve"
	// AnnotationApprovedBy is on a Rollout who wrote AnnotationApprove or AnnotationSkipAnalysis, as admission saw it.
	AnnotationApprovedBy = "rollouts.kruise.io/approved-by"
	// AnnotationConversionData carries, as JSON, what the version an object was converted to cannot hold. It is dropped on
	// the way back. Also on a BatchRelease. No one but the conversion reads or writes it.
	AnnotationConversionData = "rollouts.kruise.io/conversion-data"
	// AnnotationOrdered is when its Rollout last requested more pods of a BatchRelease.
	AnnotationOrdered = "rollouts.kruise.io/ordered"
	// FinalizerRollout keeps a deleted Rollout until the workload is restored.
	FinalizerRollout = "rollouts.kruise.io/rollout"
	// FinalizerTrafficRouting keeps a deleted TrafficRouting until its routes are restored.
	FinalizerTrafficRouting = "rollouts.kruise.io/trafficrouting"
	// FinalizerProgressingPrefix and the name of a Rollout are the finalizer of a TrafficRouting while that Rollout releases.
	FinalizerProgressingPrefix = "progressing.rollouts.kruise.io/"
	// FinalizerBatchRelease keeps a deleted BatchRelease until the workload is released.
	FinalizerBatchRelease = "rollouts.kruise.io/batch-release-finalizer"
)

// Keys on workloads.
const (
	// LabelWorkloadType marks a workload that a Rollout refers to. Admission intercepts no others.
	LabelWorkloadType = "rollouts.kruise.io/workload-type"
	// AnnotationInProgressing is stamped by admission when a release starts: {"rolloutName":"<name>","user":"<name>"}. Its
	// presence counts.
	AnnotationInProgressing = "rollouts.kruise.io/in-progressing"
	// AnnotationControlInfo names the BatchRelease that has claimed the workload, as a JSON owner reference.
	AnnotationControlInfo = "batchrelease.rollouts.kruise.io/control-info"
	// LabelStableRevision holds the revision a release started from.
	LabelStableRevision = "rollouts.kruise.io/stable-revision"
	// AnnotationDeploymentStrategy shows clients that a Deployment is released in partition style, and its partition.
	AnnotationDeploymentStrategy = "rollouts.kruise.io/deployment-strategy"
	// AnnotationOriginalStrategy keeps what a release changes in a workload's spec, as the user had it.
	AnnotationOriginalStrategy = "rollouts.kruise.io/original-deployment-strategy"
	// AnnotationDaemonOriginal keeps the type of a native DaemonSet's update strategy, as the user had it.
	AnnotationDaemonOriginal = "rollouts.kruise.io/daemonset-original-update-strategy"
	// AnnotationDaemonRevision and AnnotationDaemonControl are left on native DaemonSets by other implementations. They are
	// removed with the rest of a release.
	AnnotationDaemonRevision = "rollouts.kruise.io/daemonset-revision"
	AnnotationDaemonControl  = "rollouts.kruise.io/daemonset-advanced-control"
	// LabelCanaryDeployment is on a canary Deployment, and names the stable one.
	LabelCanaryDeployment = "rollouts.kruise.io/canary-deployment"
	// AnnotationPatchedMetadata keeps, as JSON, which metadata the pod template of a canary Deployment has on top of the
	// stable one's.
	AnnotationPatchedMetadata = "rollouts.kruise.io/patched-pod-template-metadata"
	// FinalizerCanaryDeployment keeps a canary Deployment and its pods until the BatchRelease releases it.
	FinalizerCanaryDeployment = "finalizer.rollouts.kruise.io/batch-release"
	// LabelRolloutID is the user's id of a release: on the workload it is read, on pods it is written.
	LabelRolloutID = "rollouts.kruise.io/rollout-id"
	// LabelBatchID is the number of the batch, from 1, in which a pod was updated.
	LabelBatchID = "rollouts.kruise.io/rollout-batch-id"
	// AnnotationEditedBy is on a Rollout who paused, resumed or aborted it last, as admission saw it.
	AnnotationEditedBy = "rollouts.kruise.io/edited-by"
	// AnnotationReleaseNumber is on a RolloutHistory the number of its release.
	AnnotationReleaseNumber = "rollouts.kruise.io/release-number"
	// LabelRolloutName names the Rollout on its RolloutHistory, as RolloutNameLabel spells it.
	LabelRolloutName = "rollouts.kruise.io/rollout-name"
)
