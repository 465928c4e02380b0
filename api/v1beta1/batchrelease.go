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

	Spec   BatchReleaseSpec   `json:"spec,omitempty"`
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

// BatchReleaseSpec is what is asked of a BatchRelease.
type BatchReleaseSpec struct {
	// WorkloadRef is the workload to move, in the same namespace.
	//
	// +optional
	WorkloadRef ObjectRef `json:"workloadRef,omitempty"`
	// ReleasePlan is how to move it.
	ReleasePlan ReleasePlan `json:"releasePlan"`
}

// ReleasePlan is the batches of a release and how far to go.
type ReleasePlan struct {
	// Batches in their order.
	//
	// +optional
	Batches []ReleaseBatch `json:"batches,omitempty"`
	// BatchPartition is the last batch to release, from 0. Absent: give the workload back and let it finish by itself.
	//
	// +optional
	BatchPartition *int32 `json:"batchPartition,omitempty"`
	// RolloutID is put on updated pods.
	//
	// +optional
	RolloutID string `json:"rolloutID,omitempty"`
	// FailureThreshold is how many updated pods of a batch may be unready for it to count as ready all the same.
	//
	// +optional
	FailureThreshold *intstr.IntOrString `json:"failureThreshold,omitempty"`
	// FinalizingPolicy is whether to wait for the workload's pods once it is given back.
	//
	// +optional
	FinalizingPolicy FinalizingPolicyType `json:"finalizingPolicy,omitempty"`
	// PatchPodTemplateMetadata is put on the pod template of the canary Deployment.
	//
	// +optional
	PatchPodTemplateMetadata *PatchPodTemplateMetadata `json:"patchPodTemplateMetadata,omitempty"`
	// Aborted takes all pods back to the version the release started from, and keeps them there.
	//
	// +optional
	Aborted bool `json:"aborted,omitempty"`
	// RollingStyle is how pods are moved.
	//
	// +optional
	RollingStyle RollingStyleType `json:"rollingStyle,omitempty"`
	// EnableExtraWorkloadForCanary runs new pods in a Deployment beside the stable one.
	EnableExtraWorkloadForCanary bool `json:"enableExtraWorkloadForCanary"`
}

// ReleaseBatch is one batch.
type ReleaseBatch struct {
	// CanaryReplicas is how many pods run the new version once the batch is released, as a number or a percentage of all.
	//
	CanaryReplicas intstr.IntOrString `json:"canaryReplicas"`
}

// FinalizingPolicyType is what to wait for once a workload is given back.
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
	PartitionRollingStyle RollingStyleType = "Partition"
	CanaryRollingStyle    RollingStyleType = "Canary"
	BlueGreenRollingStyle RollingStyleType = "BlueGreen"
)

// BatchReleaseStatus is what was seen.
type BatchReleaseStatus struct {
	// Conditions of the BatchRelease.
	//
	// +optional
	Conditions []RolloutCondition `json:"conditions,omitempty"`
	// CanaryStatus is the progress of the current batch.
	//
	// +optional
	CanaryStatus BatchReleaseCanaryStatus `json:"canaryStatus,omitempty"`
	// StableRevision is the revision the workload had when it was claimed.
	//
	// +optional
	StableRevision string `json:"stableRevision,omitempty"`
	// UpdateRevision is the revision being released.
	//
	// +optional
	UpdateRevision string `json:"updateRevision,omitempty"`
	// ObservedGeneration is the generation of the spec this status speaks of.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// ObservedRolloutID is the plan's rollout id this status speaks of.
	//
	// +optional
	ObservedRolloutID string `json:"observedRolloutID,omitempty"`
	// ObservedWorkloadReplicas is how many pods the workload asked for.
	//
	// +optional
	ObservedWorkloadReplicas int32 `json:"observedWorkloadReplicas,omitempty"`
	// CollisionCount is kept for clients of older versions.
	//
	// +optional
	CollisionCount *int32 `json:"collisionCount,omitempty"`
	// ObservedReleasePlanHash is the hash of the plan this status speaks of.
	//
	// +optional
	ObservedReleasePlanHash string `json:"observedReleasePlanHash,omitempty"`
	// Phase of the BatchRelease.
	//
	// +optional
	Phase RolloutPhase `json:"phase,omitempty"`
	// Message says what is awaited.
	//
	// +optional
	Message string `json:"message,omitempty"`
}

// BatchReleaseCanaryStatus is the progress of the current batch.
type BatchReleaseCanaryStatus struct {
	// CurrentBatchState is Upgrading, Verifying or Ready.
	//
	// +optional
	CurrentBatchState BatchState `json:"batchState,omitempty"`
	// CurrentBatch is the batch being released, from 0.
	CurrentBatch int32 `json:"currentBatch"`
	// BatchReadyTime is when the batch became ready.
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
	// NoNeedUpdateReplicas is how many pods were at the wanted revision before a roll-back in batches began.
	//
	// +optional
	NoNeedUpdateReplicas *int32 `json:"noNeedUpdateReplicas,omitempty"`
	// LargestBatch is what the largest batch that was ordered of this version asks for, a number of pods or a percentage: however
	// the workload is scaled, no more pods than that run the new version. Written by the controller.
	//
	// +optional
	LargestBatch *intstr.IntOrString `json:"largestBatch,omitempty"`
}

// BatchState is the state of the current batch.
type BatchState string

// Batch states.
const (
	BatchUpgrading BatchState = "Upgrading"
	BatchVerifying BatchState = "Verifying"
	BatchReady     BatchState = "Ready"
)

// Phases of a BatchRelease.
const (
	PhasePreparing  RolloutPhase = "Preparing"
	PhaseFinalizing RolloutPhase = "Finalizing"
	PhaseCompleted  RolloutPhase = "Completed"
)
