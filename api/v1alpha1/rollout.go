// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Rollout describes how changes to a workload's pod template are released.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="STATUS",type="string",JSONPath=".status.phase",description="The rollout status phase"
// +kubebuilder:printcolumn:name="CANARY_STEP",type="integer",JSONPath=".status.canaryStatus.currentStepIndex",description="The rollout canary status step"
// +kubebuilder:printcolumn:name="CANARY_STATE",type="string",JSONPath=".status.canaryStatus.currentStepState",description="The rollout canary status step state"
// +kubebuilder:printcolumn:name="MESSAGE",type="string",JSONPath=".status.message",description="The rollout canary status message"
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp"
type Rollout struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what users ask for. The controller does not write it.
	Spec RolloutSpec `json:"spec,omitempty"`
	// Status is what the controller found and did. Clients write currentStepState, currentStepIndex and nextStepIndex of
	// canaryStatus, to approve and to jump; whatever else they write there is put back by admission.
	Status RolloutStatus `json:"status,omitempty"`
}

// RolloutList is a list of Rollouts.
//
// +kubebuilder:object:root=true
type RolloutList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Rollout `json:"items"`
}

// RolloutSpec is what the user asks for.
type RolloutSpec struct {
	// ObjectRef names the workload whose changes are released. It cannot be changed during a release.
	ObjectRef ObjectRef `json:"objectRef"`
	// Strategy is how they are released.
	Strategy RolloutStrategy `json:"strategy"`
	// DeprecatedRolloutID is kept for older clients, and has no effect: the label rollouts.kruise.io/rollout-id of the
	// workload is what counts.
	//
	// +optional
	DeprecatedRolloutID string `json:"rolloutID,omitempty"`
	// Disabled restores the workload and leaves it to its own update strategy; a release that runs ends, and its pods are
	// not waited for. Default: false.
	//
	// +optional
	// +kubebuilder:default=false
	Disabled bool `json:"disabled"`
}

// ObjectRef holds a workload reference.
type ObjectRef struct {
	// WorkloadRef is the workload, in the same namespace. Admission refuses a Rollout without it.
	//
	// +optional
	WorkloadRef *rolloutsv1beta1.ObjectRef `json:"workloadRef,omitempty"`
}

// RolloutStrategy is how changes are released.
type RolloutStrategy struct {
	// Paused stops the release at its step, but no batch that is under way, until it is false or absent. Default: false.
	//
	// +optional
	Paused bool `json:"paused,omitempty"`
	// Canary releases step by step. The annotation rollouts.kruise.io/rolling-style says whether in batches of the
	// workload's own pods (partition), or in a second Deployment (canary; also where it is empty or absent). A
	// blue-green Rollout shows none.
	//
	// +optional
	Canary *CanaryStrategy `json:"canary,omitempty"`
}

// CanaryStrategy releases step by step.
type CanaryStrategy struct {
	// Steps of the release, in order; at least one. replicas must not go down from one to the next where both are numbers,
	// or both percentages, and neither must weight where requests are routed.
	//
	// +optional
	Steps []CanaryStep `json:"steps,omitempty"`
	// TrafficRoutings are the Services and routes by which requests reach the workload; they follow weight and matches of
	// the steps. All of several move as one. Absent: no requests are routed. They cannot be changed during a release.
	//
	// +optional
	TrafficRoutings []rolloutsv1beta1.TrafficRoutingRef `json:"trafficRoutings,omitempty"`
	// FailureThreshold is how many updated pods may be unready for a batch to count as ready all the same: a number of pods,
	// or a percentage of the updated ones, such as "20%", from "0%" to "100%". One pod has to be ready in any case. Absent:
	// none may be.
	//
	// +optional
	FailureThreshold *intstr.IntOrString `json:"failureThreshold,omitempty"`
	// PatchPodTemplateMetadata is put on the pods of the canary Deployment, on top of the pod template. In canary style
	// only. It is read when that Deployment is made.
	//
	// +optional
	PatchPodTemplateMetadata *rolloutsv1beta1.PatchPodTemplateMetadata `json:"patchPodTemplateMetadata,omitempty"`
	// DisableGenerateCanaryService makes no Service for the new version's pods, and leaves the stable one's selector alone:
	// routes distinguish the versions by themselves. Not every gateway can. Default: false, a Service <service>-canary is made
	// for a release.
	//
	// +optional
	DisableGenerateCanaryService bool `json:"disableGenerateCanaryService,omitempty"`
}

// CanaryStep is one step: how many pods, which requests, and what to wait for before the next.
type CanaryStep struct {
	TrafficRoutingStrategy `json:",inline"`
	// Replicas is how many pods run the new version once the step is done: a number of pods, at least 1 (more than there are
	// counts as all), or a percentage of the workload's replicas, above "0%" and up to "100%", rounded up. Absent: as many
	// percent as weight says.
	//
	// +optional
	Replicas *intstr.IntOrString `json:"replicas,omitempty"`
	// Pause is what to wait for once pods and traffic are as the step says. Absent or empty: until someone approves.
	//
	// +optional
	Pause rolloutsv1beta1.RolloutPause `json:"pause,omitempty"`
}

// TrafficRoutingStrategy is which requests reach the new version.
type TrafficRoutingStrategy struct {
	// Weight is the percentage of the traffic that is routed to the new version, from 0 to 100; without replicas it is at
	// least 1, and the percentage of pods, too. Absent: no traffic routing by weight.
	//
	// +optional
	Weight *int32 `json:"weight,omitempty"`
	// RequestHeaderModifier sets, adds and removes headers of the requests that reach the new version. Absent: they stay as
	// they are.
	//
	// +optional
	RequestHeaderModifier *gatewayv1beta1.HTTPHeaderFilter `json:"requestHeaderModifier,omitempty"`
	// Matches are alternatives: a request that meets one of them reaches the new version. Absent: requests are distinguished by
	// their weight only.
	//
	// +optional
	Matches []HttpRouteMatch `json:"matches,omitempty"`
}

// HttpRouteMatch is what a request has to have: all of it. The name is the schema's, as every generated client knows it.
type HttpRouteMatch struct {
	// Headers of the request, all of them; type is Exact (default) or RegularExpression. A cookie is part of the header
	// Cookie. Absent: any.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=16
	Headers []gatewayv1beta1.HTTPHeaderMatch `json:"headers,omitempty"`
}

// RolloutStatus is what was seen.
type RolloutStatus struct {
	// ObservedGeneration is the metadata.generation of the spec that this status speaks of: while that is another, the
	// status is old.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// CanaryStatus is the progress of the release; present whatever the phase, but for blue-green Rollouts.
	//
	// +optional
	CanaryStatus *rolloutsv1beta1.CanaryStatus `json:"canaryStatus,omitempty"`
	// Conditions of the Rollout: Progressing, Succeeded, Terminating, and Stalled while the cluster does not take a write.
	//
	// +optional
	Conditions []rolloutsv1beta1.RolloutCondition `json:"conditions,omitempty"`
	// Message says, for people, what happens or what is awaited.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// Phase of the Rollout: Initial, Healthy, Progressing, Terminating, Disabling or Disabled. A release runs in
	// Progressing, and is over in Healthy.
	//
	// +optional
	Phase rolloutsv1beta1.RolloutPhase `json:"phase,omitempty"`
	// Release is what happened in the present release, or in the last one, and who did it. Written by the controller and
	// admission. Absent: there was none, or no records are kept.
	//
	// +optional
	Release *rolloutsv1beta1.ReleaseStatus `json:"release,omitempty"`
	// Blockers are what is waited for, the oldest first; at most 10. Empty: nothing is. They are for programs and for people, and no
	// decision is made by them.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Blockers []rolloutsv1beta1.Blocker `json:"blockers,omitempty"`
}
