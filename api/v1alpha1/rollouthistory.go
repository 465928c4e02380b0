// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// RolloutHistory is the record of one release. Its status is no subresource: no one but the manager writes it, and so a
// record costs one write.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
type RolloutHistory struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the record: objects as they were, and what happened. The controller writes it once, when the release ends.
	Spec RolloutHistorySpec `json:"spec,omitempty"`
	// Status is the steps and their pods. It is written with the spec.
	Status RolloutHistoryStatus `json:"status,omitempty"`
}

// RolloutHistoryList is a list of RolloutHistories.
//
// +kubebuilder:object:root=true
type RolloutHistoryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RolloutHistory `json:"items"`
}

// RolloutHistorySpec is the objects of a release as they were.
type RolloutHistorySpec struct {
	// Rollout as it was at the end of the release.
	//
	// +optional
	Rollout RolloutInfo `json:"rollout,omitempty"`
	// Workload as it was at the end of the release.
	//
	// +optional
	Workload WorkloadInfo `json:"workload,omitempty"`
	// Service of the release, as it was; the first, where requests arrived by several. Empty: no requests were routed.
	//
	// +optional
	Service ServiceInfo `json:"service,omitempty"`
	// TrafficRouting is the routes of the release, as they were; one of each kind.
	//
	// +optional
	TrafficRouting TrafficRoutingInfo `json:"trafficRouting,omitempty"`
	// Release is what happened, and who did it. Absent: another implementation wrote the record.
	//
	// +optional
	Release *ReleaseInfo `json:"release,omitempty"`
}

// ReleaseInfo is what happened in a release, and the pod template it released.
type ReleaseInfo struct {
	rolloutsv1beta1.ReleaseStatus `json:",inline"`
	// Revision is the number of the template as the workload's own controller counts, from 1. Absent: it never became the
	// workload's own.
	//
	// +optional
	Revision int64 `json:"revision,omitempty"`
	// Template is the pod template that was released. Absent: it is that of the workload's data.
	//
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	Template *runtime.RawExtension `json:"template,omitempty"`
}

// RolloutInfo is a Rollout as it was.
type RolloutInfo struct {
	// RolloutID is the id of the release, status.observedRolloutID of the Rollout.
	RolloutID       string `json:"rolloutID"`
	NameAndSpecData `json:",inline"`
}

// WorkloadInfo is a workload as it was.
type WorkloadInfo struct {
	// APIVersion of the workload, such as apps/v1.
	//
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// Kind of the workload, such as Deployment.
	//
	// +optional
	Kind            string `json:"kind,omitempty"`
	NameAndSpecData `json:",inline"`
}

// ServiceInfo is a Service as it was.
type ServiceInfo struct {
	NameAndSpecData `json:",inline"`
}

// TrafficRoutingInfo is the routes as they were.
type TrafficRoutingInfo struct {
	// Ingress as it was. Absent: there was none.
	//
	// +optional
	Ingress *IngressInfo `json:"ingress,omitempty"`
	// HTTPRoute as it was. Absent: there was none.
	//
	// +optional
	HTTPRoute *HTTPRouteInfo `json:"httpRoute,omitempty"`
}

// IngressInfo is an Ingress as it was.
type IngressInfo struct {
	NameAndSpecData `json:",inline"`
}

// HTTPRouteInfo is an HTTPRoute as it was.
type HTTPRouteInfo struct {
	NameAndSpecData `json:",inline"`
}

// NameAndSpecData is an object's name and its spec.
type NameAndSpecData struct {
	// Name of the object. Empty: there was none.
	Name string `json:"name"`
	// Data is the object's spec.
	//
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	Data runtime.RawExtension `json:"data,omitempty"`
}

// RolloutHistoryStatus is how the release went.
type RolloutHistoryStatus struct {
	// Phase is completed, or empty.
	//
	// +optional
	Phase string `json:"phase,omitempty"`
	// CanarySteps are the steps, and the pods updated in each that were there at the end.
	//
	// +optional
	CanarySteps []CanaryStepInfo `json:"canarySteps,omitempty"`
}

// PhaseCompleted is the phase of a finished RolloutHistory.
const PhaseCompleted = "completed"

// CanaryStepInfo is a step and the pods updated in it.
type CanaryStepInfo struct {
	// CanaryStepIndex is the step, from 1.
	//
	// +optional
	CanaryStepIndex int32 `json:"canaryStepIndex,omitempty"`
	// Pods updated in the step.
	//
	// +optional
	Pods []Pod `json:"pods,omitempty"`
}

// Pod is a pod as it was.
type Pod struct {
	// Name of the pod.
	//
	// +optional
	Name string `json:"name,omitempty"`
	// IP of the pod, status.podIP.
	//
	// +optional
	IP string `json:"ip,omitempty"`
	// NodeName is the node that it ran on.
	//
	// +optional
	NodeName string `json:"nodeName,omitempty"`
}
