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

	Spec   TrafficRoutingSpec   `json:"spec,omitempty"`
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
	// ObjectRef are the Services and the routes that lead to them.
	ObjectRef []rolloutsv1beta1.TrafficRoutingRef `json:"objectRef"`
	// Strategy is which requests are routed.
	Strategy TrafficRoutingRuleStrategy `json:"strategy"`
}

// TrafficRoutingRuleStrategy is which requests are routed.
type TrafficRoutingRuleStrategy struct {
	// Weight is the share of requests, in percent.
	//
	// +optional
	Weight *int32 `json:"weight,omitempty"`
	// RequestHeaderModifier changes headers of the routed requests.
	//
	// +optional
	RequestHeaderModifier *gatewayv1beta1.HTTPHeaderFilter `json:"requestHeaderModifier,omitempty"`
	// Matches route just the requests that match one of them.
	//
	// +optional
	Matches []HttpRouteMatch `json:"matches,omitempty"`
}

// TrafficRoutingStatus is what was seen.
type TrafficRoutingStatus struct {
	// ObservedGeneration is the generation of the spec this status speaks of.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Phase of the TrafficRouting.
	//
	// +optional
	Phase TrafficRoutingPhase `json:"phase,omitempty"`
	// Message says what happens.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// RoutedWith is what is routed with at the moment, as objectRef had it when that began: it is restored by what stands here,
	// whatever objectRef says by now. Written by the controller.
	//
	// +optional
	RoutedWith *rolloutsv1beta1.RoutedWith `json:"routedWith,omitempty"`
}

// TrafficRoutingPhase is where a TrafficRouting is in its life.
type TrafficRoutingPhase string

// Phases of a TrafficRouting.
const (
	TrafficRoutingInitial     TrafficRoutingPhase = "Initial"
	TrafficRoutingHealthy     TrafficRoutingPhase = "Healthy"
	TrafficRoutingProgressing TrafficRoutingPhase = "Progressing"
	TrafficRoutingFinalizing  TrafficRoutingPhase = "Finalizing"
	TrafficRoutingTerminating TrafficRoutingPhase = "Terminating"
)
