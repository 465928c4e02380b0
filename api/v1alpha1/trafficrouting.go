// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// TrafficRouting describes routes for a Service that is not itself released, active while Rollouts that refer to it release.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="STATUS",type="string",JSONPath=".status.phase",description="The TrafficRouting status phase"
// +kubebuilder:printcolumn:name="MESSAGE",type="string",JSONPath=".status.message",description="The TrafficRouting message"
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp"
type TrafficRouting struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what users ask for. The controller does not write it.
	Spec TrafficRoutingSpec `json:"spec,omitempty"`
	// Status is what the controller found and did. What others write there is put back by admission.
	Status TrafficRoutingStatus `json:"status,omitempty"`
}

// TrafficRoutingList is a list of TrafficRoutings.
//
// +kubebuilder:object:root=true
type TrafficRoutingList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TrafficRouting `json:"items"`
}

// TrafficRoutingSpec is what the user asks for.
type TrafficRoutingSpec struct {
	// ObjectRef are the Services, and the routes to them. The Services themselves are not changed, and no canary
	// Service is made.
	ObjectRef []rolloutsv1beta1.TrafficRoutingRef `json:"objectRef"`
	// Strategy is which requests are routed while a Rollout holds this TrafficRouting.
	Strategy TrafficRoutingRuleStrategy `json:"strategy"`
}

// TrafficRoutingRuleStrategy is which requests are routed.
type TrafficRoutingRuleStrategy struct {
	// Weight is the percentage of the traffic, from 0 to 100. Absent: no traffic routing by weight.
	//
	// +optional
	Weight *int32 `json:"weight,omitempty"`
	// RequestHeaderModifier sets, adds and removes headers of the requests that are routed. Absent: they stay as they are.
	//
	// +optional
	RequestHeaderModifier *gatewayv1beta1.HTTPHeaderFilter `json:"requestHeaderModifier,omitempty"`
	// Matches are alternatives: a request that meets one of them is routed. Absent: requests are distinguished by their weight
	// only.
	//
	// +optional
	Matches []HttpRouteMatch `json:"matches,omitempty"`
}

// TrafficRoutingStatus is what was seen.
type TrafficRoutingStatus struct {
	// ObservedGeneration is the metadata.generation of the spec that this status speaks of: while that is another, the
	// status is old.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Phase of the TrafficRouting: Initial, Healthy, Progressing, Finalizing or Terminating. Requests are routed in
	// Progressing.
	//
	// +optional
	Phase TrafficRoutingPhase `json:"phase,omitempty"`
	// Message says, for people, what happens, and after a colon what is wrong.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// RoutedWith is what is routed with at the moment, as objectRef had it when that began: it is restored by what stands
	// here, whatever objectRef says by now. Absent: nothing is routed.
	//
	// +optional
	RoutedWith *rolloutsv1beta1.RoutedWith `json:"routedWith,omitempty"`
}

// TrafficRoutingPhase is where a TrafficRouting is in its life.
type TrafficRoutingPhase string

// Phases of a TrafficRouting.
const (
	// TrafficRoutingInitial: it does not route requests yet, or cannot: the message says why.
	TrafficRoutingInitial TrafficRoutingPhase = "Initial"
	// TrafficRoutingHealthy: no Rollout holds it, and routes are as their owners wrote them.
	TrafficRoutingHealthy TrafficRoutingPhase = "Healthy"
	// TrafficRoutingProgressing: a Rollout holds it, and requests are routed.
	TrafficRoutingProgressing TrafficRoutingPhase = "Progressing"
	// TrafficRoutingFinalizing: no Rollout holds it any more, and routes are restored.
	TrafficRoutingFinalizing TrafficRoutingPhase = "Finalizing"
	// TrafficRoutingTerminating: it is being deleted, and routes are restored first.
	TrafficRoutingTerminating TrafficRoutingPhase = "Terminating"
)
