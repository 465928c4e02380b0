// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// RolloutHistory is the record of one release. Its status is no subresource: nobody but the manager writes it, and so a
// record costs one write.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
type RolloutHistory struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   RolloutHistorySpec   `json:"spec,omitempty"`
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
	// Rollout as it was.
	//
	// +optional
	Rollout RolloutInfo `json:"rollout,omitempty"`
	// Workload as it was.
	//
	// +optional
	Workload WorkloadInfo `json:"workload,omitempty"`
	// Service as it was.
	//
	// +optional
	Service ServiceInfo `json:"service,omitempty"`
	// TrafficRouting as it was.
	//
	// +optional
	TrafficRouting TrafficRoutingInfo `json:"trafficRouting,omitempty"`
	// Release is what happened, and who did it.
	//
	// +optional
	Release *ReleaseInfo `json:"release,omitempty"`
}

// ReleaseInfo is what happened in a release, and the pod template it released.
type ReleaseInfo struct {
	rolloutsv1beta1.ReleaseStatus `json:",inline"`
	// Revision is the number of the template as the workload's own controller counts. Absent: it never became the
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
	// RolloutID of the release.
	RolloutID       string `json:"rolloutID"`
	NameAndSpecData `json:",inline"`
}

// WorkloadInfo is a workload as it was.
type WorkloadInfo struct {
	// APIVersion of the workload.
	//
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// Kind of the workload.
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
	// Ingress as it was.
	//
	// +optional
	Ingress *IngressInfo `json:"ingress,omitempty"`
	// HTTPRoute as it was.
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
	// Name of the object.
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
	// Phase is empty, or completed.
	//
	// +optional
	Phase string `json:"phase,omitempty"`
	// CanarySteps are the steps and the pods updated in each.
	//
	// +optional
	CanarySteps []CanaryStepInfo `json:"canarySteps,omitempty"`
}

// PhaseCompleted is the phase of a finished RolloutHistory.
const PhaseCompleted = "completed"

// CanaryStepInfo is a step and the pods updated in it.
type CanaryStepInfo struct {
	// CanaryStepIndex of the step, from 1.
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
	// IP of the pod.
	//
	// +optional
	IP string `json:"ip,omitempty"`
	// NodeName of the pod.
	//
	// +optional
	NodeName string `json:"nodeName,omitempty"`
}
