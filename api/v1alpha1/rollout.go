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

	Spec   RolloutSpec   `json:"spec,omitempty"`
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
	// ObjectRef names the workload whose changes are released.
	ObjectRef ObjectRef `json:"objectRef"`
	// Strategy is how they are released.
	Strategy RolloutStrategy `json:"strategy"`
	// DeprecatedRolloutID is accepted and kept for older clients; the label rollouts.kruise.io/rollout-id of the workload is what counts.
	//
	// +optional
	DeprecatedRolloutID string `json:"rolloutID,omitempty"`
	// Disabled leaves the workload to its own update strategy.
	//
	// +optional
	// +kubebuilder:default=false
	Disabled bool `json:"disabled"`
}

// ObjectRef holds a workload reference.
type ObjectRef struct {
	// WorkloadRef is the workload, in the Rollout's namespace.
	//
	// +optional
	WorkloadRef *rolloutsv1beta1.ObjectRef `json:"workloadRef,omitempty"`
}

// RolloutStrategy is how changes are released.
type RolloutStrategy struct {
	// Paused stops the release where it is.
	//
	// +optional
	Paused bool `json:"paused,omitempty"`
	// Canary releases step by step; the annotation rollouts.kruise.io/rolling-style says whether in place (partition)
	// or beside the stable pods (canary, the default).
	//
	// +optional
	Canary *CanaryStrategy `json:"canary,omitempty"`
}

// CanaryStrategy releases step by step.
type CanaryStrategy struct {
	// Steps of the release, in order.
	//
	// +optional
	Steps []CanaryStep `json:"steps,omitempty"`
	// TrafficRoutings are the Services and routes that follow the steps.
	//
	// +optional
	TrafficRoutings []rolloutsv1beta1.TrafficRoutingRef `json:"trafficRoutings,omitempty"`
	// FailureThreshold is how many updated pods of a batch may be unready for it to count as ready all the same.
	//
	// +optional
	FailureThreshold *intstr.IntOrString `json:"failureThreshold,omitempty"`
	// PatchPodTemplateMetadata is put on the pod template of the canary Deployment.
	//
	// +optional
	PatchPodTemplateMetadata *rolloutsv1beta1.PatchPodTemplateMetadata `json:"patchPodTemplateMetadata,omitempty"`
	// DisableGenerateCanaryService leaves the Services alone.
	//
	// +optional
	DisableGenerateCanaryService bool `json:"disableGenerateCanaryService,omitempty"`
}

// CanaryStep is one step: how many pods, which requests, and what to wait for before the next.
type CanaryStep struct {
	TrafficRoutingStrategy `json:",inline"`
	// Replicas is how many pods run the new version in this step, as a number or a percentage. Absent: as many percent as weight.
	//
	// +optional
	Replicas *intstr.IntOrString `json:"replicas,omitempty"`
	// Pause is what to wait for once the step is reached.
	//
	// +optional
	Pause rolloutsv1beta1.RolloutPause `json:"pause,omitempty"`
}

// TrafficRoutingStrategy is which requests reach the new version.
type TrafficRoutingStrategy struct {
	// Weight is the share of requests, in percent.
	//
	// +optional
	Weight *int32 `json:"weight,omitempty"`
	// RequestHeaderModifier changes headers of the requests that reach the new version.
	//
	// +optional
	RequestHeaderModifier *gatewayv1beta1.HTTPHeaderFilter `json:"requestHeaderModifier,omitempty"`
	// Matches send just the requests that match one of them to the new version.
	//
	// +optional
	Matches []HttpRouteMatch `json:"matches,omitempty"`
}

// HttpRouteMatch is what a request has to have: all of it. The name is the schema's, as every generated client knows it.
type HttpRouteMatch struct {
	// Headers of the request.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=16
	Headers []gatewayv1beta1.HTTPHeaderMatch `json:"headers,omitempty"`
}

// RolloutStatus is what was seen.
type RolloutStatus struct {
	// ObservedGeneration is the generation of the spec this status speaks of.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// CanaryStatus is the progress of the release.
	//
	// +optional
	CanaryStatus *rolloutsv1beta1.CanaryStatus `json:"canaryStatus,omitempty"`
	// Conditions of the Rollout.
	//
	// +optional
	Conditions []rolloutsv1beta1.RolloutCondition `json:"conditions,omitempty"`
	// Message says what happens, or what is awaited.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// Phase of the Rollout.
	//
	// +optional
	Phase rolloutsv1beta1.RolloutPhase `json:"phase,omitempty"`
	// Release is what happened in the present release, or in the last one.
	//
	// +optional
	Release *rolloutsv1beta1.ReleaseStatus `json:"release,omitempty"`
}
