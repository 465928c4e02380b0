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
	// TargetRef names the workload to move. One that does not exist yet is waited for.
	TargetRef ObjectRef `json:"targetReference"`
	// ReleasePlan is how to move it, and how far.
	ReleasePlan ReleasePlan `json:"releasePlan"`
}

// ReleasePlan is the batches of a release and how far to go.
type ReleasePlan struct {
	// Batches in their order, counted from 0.
	//
	// +optional
	Batches []rolloutsv1beta1.ReleaseBatch `json:"batches,omitempty"`
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
	FinalizingPolicy rolloutsv1beta1.FinalizingPolicyType `json:"finalizingPolicy,omitempty"`
	// PatchPodTemplateMetadata is put on the pods of the canary Deployment, on top of the pod template. In canary style
	// only. It is read when that Deployment is made.
	//
	// +optional
	PatchPodTemplateMetadata *rolloutsv1beta1.PatchPodTemplateMetadata `json:"patchPodTemplateMetadata,omitempty"`
	// Aborted takes all pods back to the version that the release started from, and keeps them there. Default: false.
	//
	// +optional
	Aborted bool `json:"aborted,omitempty"`
	// RollingStyle is how pods are moved: Partition, Canary or BlueGreen. It is not read: the annotation
	// rollouts.kruise.io/rolling-style counts in this version.
	//
	// +optional
	RollingStyle rolloutsv1beta1.RollingStyleType `json:"rollingStyle,omitempty"`
	// EnableExtraWorkloadForCanary stands for the style Canary where rollingStyle is absent.
	EnableExtraWorkloadForCanary bool `json:"enableExtraWorkloadForCanary"`
}

// BatchReleaseStatus is what was seen.
type BatchReleaseStatus struct {
	// Conditions of the BatchRelease: Progressing while a batch is under way, Stalled while the cluster does not take a
	// write.
	//
	// +optional
	Conditions []rolloutsv1beta1.RolloutCondition `json:"conditions,omitempty"`
	// CanaryStatus is the progress of the current batch.
	//
	// +optional
	CanaryStatus rolloutsv1beta1.BatchReleaseCanaryStatus `json:"canaryStatus,omitempty"`
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
	Phase rolloutsv1beta1.RolloutPhase `json:"phase,omitempty"`
	// Blockers are what is waited for, the oldest first; at most 10. Empty: nothing is. They are for programs and for people, and no
	// decision is made by them.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Blockers []rolloutsv1beta1.Blocker `json:"blockers,omitempty"`
}
