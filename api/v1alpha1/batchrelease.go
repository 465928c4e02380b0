// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// BatchRelease moves the pods of one workload to its new template, batch by batch.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=batchreleases
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="KIND",type="string",JSONPath=".spec.targetReference.workloadRef.kind"
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
	// TargetRef names the workload to move.
	TargetRef ObjectRef `json:"targetReference"`
	// ReleasePlan is how to move it.
	ReleasePlan ReleasePlan `json:"releasePlan"`
}

// ReleasePlan is the batches of a release and how far to go.
type ReleasePlan struct {
	// Batches in their order.
	//
	// +optional
	Batches []rolloutsv1beta1.ReleaseBatch `json:"batches,omitempty"`
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
	FinalizingPolicy rolloutsv1beta1.FinalizingPolicyType `json:"finalizingPolicy,omitempty"`
	// PatchPodTemplateMetadata is put on the pod template of the canary Deployment.
	//
	// +optional
	PatchPodTemplateMetadata *rolloutsv1beta1.PatchPodTemplateMetadata `json:"patchPodTemplateMetadata,omitempty"`
	// Aborted takes all pods back to the version the release started from, and keeps them there.
	//
	// +optional
	Aborted bool `json:"aborted,omitempty"`
	// RollingStyle is how pods are moved. It is read from the annotation rollouts.kruise.io/rolling-style.
	//
	// +optional
	RollingStyle rolloutsv1beta1.RollingStyleType `json:"rollingStyle,omitempty"`
	// EnableExtraWorkloadForCanary runs new pods in a Deployment beside the stable one.
	EnableExtraWorkloadForCanary bool `json:"enableExtraWorkloadForCanary"`
}

// BatchReleaseStatus is what was seen.
type BatchReleaseStatus struct {
	// Conditions of the BatchRelease.
	//
	// +optional
	Conditions []rolloutsv1beta1.RolloutCondition `json:"conditions,omitempty"`
	// CanaryStatus is the progress of the current batch.
	//
	// +optional
	CanaryStatus rolloutsv1beta1.BatchReleaseCanaryStatus `json:"canaryStatus,omitempty"`
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
	Phase rolloutsv1beta1.RolloutPhase `json:"phase,omitempty"`
}
