// SPDX-License-Identifier: Apache-2.0

package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// BatchRelease moves the pods of one workload to its new template, batch by batch.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=batchreleases
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="KIND",type="string",JSONPath=".spec.workloadRef.kind"
// +kubebuilder:printcolumn:name="PHASE",type="string",JSONPath=".status.phase"
// +kubebuilder:printcolumn:name="BATCH",type="integer",JSONPath=".status.canaryStatus.currentBatch"
// +kubebuilder:printcolumn:name="BATCH-STATE",type="string",JSONPath=".status.canaryStatus.batchState"
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp"
type BatchRelease struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the order: by a Rollout's controller, or by users where there is no Rollout.
	Spec BatchReleaseSpec `json:"spec,omitempty"`
	// Status is the controller's answer. What others write there is put back by admission.
	Status BatchReleaseStatus `json:"status,omitempty"`
}

// BatchReleaseList is a list of BatchReleases.
//
// +kubebuilder:object:root=true
type BatchReleaseList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BatchRelease `json:"items"`
}

// BatchReleaseSpec is the desired state of a BatchRelease.
type BatchReleaseSpec struct {
	// WorkloadRef is the workload to move, in the same namespace. One that does not exist yet is waited for.
	//
	// +optional
	WorkloadRef ObjectRef `json:"workloadRef,omitempty"`
	// ReleasePlan is how to move it, and how far.
	ReleasePlan ReleasePlan `json:"releasePlan"`
}

// ReleasePlan is the batches of a release and how far to go.
type ReleasePlan struct {
	// Batches in their order, counted from 0.
	//
	// +optional
	Batches []ReleaseBatch `json:"batches,omitempty"`
	// BatchPartition is the last batch to release, from 0; no further pods are updated. Absent: the workload's own update strategy is restored, and
	// finishes by its own update strategy.
	//
	// +optional
	BatchPartition *int32 `json:"batchPartition,omitempty"`
	// RolloutID is put on updated pods, as the label rollouts.kruise.io/rollout-id. Absent: their revision is.
	//
	// +optional
	RolloutID string `json:"rolloutID,omitempty"`
	// FailureThreshold is how many updated pods may be unready for a batch to count as ready all the same: a number of pods,
	// or a percentage of the updated ones, such as "20%", from "0%" to "100%". One pod has to be ready in any case. Absent:
	// none may be.
	//
	// +optional
	FailureThreshold *intstr.IntOrString `json:"failureThreshold,omitempty"`
	// FinalizingPolicy is whether to wait for the workload's pods once its own update strategy is restored: WaitResume waits until all are
	// at the new version, Immediate does not. Absent, and anything else: they are not.
	//
	// +optional
	FinalizingPolicy FinalizingPolicyType `json:"finalizingPolicy,omitempty"`
	// PatchPodTemplateMetadata is put on the pods of the canary Deployment, on top of the pod template. In canary style
	// only. It is read when that Deployment is made.
	//
	// +optional
	PatchPodTemplateMetadata *PatchPodTemplateMetadata `json:"patchPodTemplateMetadata,omitempty"`
	// Aborted takes all pods back to the version that the release started from, and keeps them there. Default: false.
	//
	// +optional
	Aborted bool `json:"aborted,omitempty"`
	// RollingStyle is how pods are updated: Partition replaces the workload's own, Canary makes a second Deployment,
	// BlueGreen a second set of pods. A style that the workload's kind does not have is not released. Absent: Canary with
	// enableExtraWorkloadForCanary, else Partition.
	//
	// +optional
	RollingStyle RollingStyleType `json:"rollingStyle,omitempty"`
	// EnableExtraWorkloadForCanary stands for the style Canary where rollingStyle is absent.
	EnableExtraWorkloadForCanary bool `json:"enableExtraWorkloadForCanary"`
}

// ReleaseBatch is one batch.
type ReleaseBatch struct {
	// CanaryReplicas is how many pods run the new version once the batch is released: a number of pods, or a percentage of
	// the workload's replicas, rounded up. More than there are counts as all.
	CanaryReplicas intstr.IntOrString `json:"canaryReplicas"`
}

// FinalizingPolicyType is what to wait for once the workload's own update strategy is restored.
type FinalizingPolicyType string

// Finalizing policies.
const (
	// WaitResumeFinalizingPolicy waits until every pod is at the new version.
	WaitResumeFinalizingPolicy FinalizingPolicyType = "WaitResume"
	// ImmediateFinalizingPolicy waits for nothing.
	ImmediateFinalizingPolicy FinalizingPolicyType = "Immediate"
)

// RollingStyleType is how pods are moved to a new version.
type RollingStyleType string

// Rolling styles.
const (
	// PartitionRollingStyle: the workload's own pods are replaced in batches.
	PartitionRollingStyle RollingStyleType = "Partition"
	// CanaryRollingStyle: new pods run in a second Deployment.
	CanaryRollingStyle RollingStyleType = "Canary"
	// BlueGreenRollingStyle: a second set of pods is made in full.
	BlueGreenRollingStyle RollingStyleType = "BlueGreen"
)

// BatchReleaseStatus is what was seen.
type BatchReleaseStatus struct {
	// Conditions of the BatchRelease: Progressing while a batch is under way, Stalled while the cluster does not take a
	// write.
	//
	// +optional
	Conditions []RolloutCondition `json:"conditions,omitempty"`
	// CanaryStatus is the progress of the current batch.
	//
	// +optional
	CanaryStatus BatchReleaseCanaryStatus `json:"canaryStatus,omitempty"`
	// StableRevision is the revision that the workload had when it was claimed.
	//
	// +optional
	StableRevision string `json:"stableRevision,omitempty"`
	// UpdateRevision is the revision being released.
	//
	// +optional
	UpdateRevision string `json:"updateRevision,omitempty"`
	// ObservedGeneration is the metadata.generation of the spec that this status speaks of: while that is another, the
	// status is old.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// ObservedRolloutID is the rolloutID of the plan that this status speaks of.
	//
	// +optional
	ObservedRolloutID string `json:"observedRolloutID,omitempty"`
	// ObservedWorkloadReplicas is how many pods the workload asked for when the batch was measured.
	//
	// +optional
	ObservedWorkloadReplicas int32 `json:"observedWorkloadReplicas,omitempty"`
	// CollisionCount is kept for clients of older versions. No one writes it.
	//
	// +optional
	CollisionCount *int32 `json:"collisionCount,omitempty"`
	// ObservedReleasePlanHash is the hash of the plan that this status speaks of.
	//
	// +optional
	ObservedReleasePlanHash string `json:"observedReleasePlanHash,omitempty"`
	// Phase of the BatchRelease: Preparing, Progressing, Finalizing or Completed.
	//
	// +optional
	Phase RolloutPhase `json:"phase,omitempty"`
	// Message says, for people, what is awaited. Empty: nothing is.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// Blockers are what is waited for, the oldest first; at most 10. Empty: nothing is. They are for programs and for people, and no
	// decision is made by them.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Blockers []Blocker `json:"blockers,omitempty"`
}

// BatchReleaseCanaryStatus is the progress of the current batch.
type BatchReleaseCanaryStatus struct {
	// CurrentBatchState is the state of the current batch: Upgrading or Ready. Verifying, which other implementations write,
	// is no Ready.
	//
	// +optional
	CurrentBatchState BatchState `json:"batchState,omitempty"`
	// CurrentBatch is the batch being released, from 0.
	CurrentBatch int32 `json:"currentBatch"`
	// BatchReadyTime is when the batch became ready. Absent: it is not.
	//
	// +optional
	BatchReadyTime *metav1.Time `json:"batchReadyTime,omitempty"`
	// UpdatedReplicas is how many pods run the new version.
	//
	// +optional
	UpdatedReplicas int32 `json:"updatedReplicas,omitempty"`
	// UpdatedReadyReplicas is how many of them are ready.
	//
	// +optional
	UpdatedReadyReplicas int32 `json:"updatedReadyReplicas,omitempty"`
	// NoNeedUpdateReplicas is how many pods were at the wanted revision before a roll-back in batches began. Absent: it is
	// none.
	//
	// +optional
	NoNeedUpdateReplicas *int32 `json:"noNeedUpdateReplicas,omitempty"`
	// LargestBatch is what the largest batch that was ordered of this version asks for, a number of pods or a percentage of
	// them: however the workload is scaled, no more pods than that run the new version.
	//
	// +optional
	LargestBatch *intstr.IntOrString `json:"largestBatch,omitempty"`
}

// BatchState is the state of the current batch.
type BatchState string

// Batch states.
const (
	// BatchUpgrading: the batch is under way.
	BatchUpgrading BatchState = "Upgrading"
	// BatchVerifying: the pods of the batch are verified. Other implementations write it.
	BatchVerifying BatchState = "Verifying"
	// BatchReady: the batch is done.
	BatchReady BatchState = "Ready"
)

// Phases of a BatchRelease.
const (
	// PhasePreparing: the workload's kind is not supported, or someone else releases it.
	PhasePreparing RolloutPhase = "Preparing"
	// PhaseFinalizing: the workload is restored.
	PhaseFinalizing RolloutPhase = "Finalizing"
	// PhaseCompleted: the workload is restored; this is final.
	PhaseCompleted RolloutPhase = "Completed"
)
