// SPDX-License-Identifier: Apache-2.0

package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
)

// Rollout describes how changes to a workload's pod template are released.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="STATUS",type="string",JSONPath=".status.phase",description="The rollout status phase"
// +kubebuilder:printcolumn:name="CANARY_STEP",type="integer",JSONPath=".status.currentStepIndex",description="The rollout canary status step"
// +kubebuilder:printcolumn:name="CANARY_STATE",type="string",JSONPath=".status.currentStepState",description="The rollout canary status step state"
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
	// WorkloadRef is the workload whose changes are released, in the Rollout's namespace.
	WorkloadRef ObjectRef `json:"workloadRef"`
	// Strategy is how they are released.
	Strategy RolloutStrategy `json:"strategy"`
	// Disabled leaves the workload to its own update strategy.
	//
	// +optional
	// +kubebuilder:default=false
	Disabled bool `json:"disabled"`
}

// ObjectRef names an object of the same namespace.
type ObjectRef struct {
	// APIVersion of the object, such as apps/v1. Only its group is compared.
	APIVersion string `json:"apiVersion"`
	// Kind of the object, such as Deployment.
	Kind string `json:"kind"`
	// Name of the object.
	Name string `json:"name"`
}

// RolloutStrategy is one of canary and blueGreen.
type RolloutStrategy struct {
	// Paused stops the release where it is.
	//
	// +optional
	Paused bool `json:"paused,omitempty"`
	// Canary releases step by step, in place or beside the stable pods.
	//
	// +optional
	Canary *CanaryStrategy `json:"canary,omitempty"`
	// BlueGreen releases a full second set of pods and then switches traffic.
	//
	// +optional
	BlueGreen *BlueGreenStrategy `json:"blueGreen,omitempty"`
}

// CanaryStrategy releases step by step. Without enableExtraWorkloadForCanary the workload's own pods are replaced in
// batches (partition style); with it new pods run in a second Deployment first (canary style).
type CanaryStrategy struct {
	// Steps of the release, in order.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=50
	Steps []CanaryStep `json:"steps,omitempty"`
	// TrafficRoutings are the Services and routes that follow the steps.
	//
	// +optional
	TrafficRoutings []TrafficRoutingRef `json:"trafficRoutings,omitempty"`
	// FailureThreshold is how many updated pods of a batch may be unready, as a number or a percentage, for the batch
	// to count as ready all the same. Absent: none.
	//
	// +optional
	FailureThreshold *intstr.IntOrString `json:"failureThreshold,omitempty"`
	// PatchPodTemplateMetadata is put on the pod template of the canary Deployment.
	//
	// +optional
	PatchPodTemplateMetadata *PatchPodTemplateMetadata `json:"patchPodTemplateMetadata,omitempty"`
	// EnableExtraWorkloadForCanary runs new pods in a Deployment beside the stable one until the end.
	//
	// +optional
	EnableExtraWorkloadForCanary bool `json:"enableExtraWorkloadForCanary,omitempty"`
	// TrafficRoutingRef names a TrafficRouting that is active while the Rollout releases.
	//
	// +optional
	TrafficRoutingRef string `json:"trafficRoutingRef,omitempty"`
	// DisableGenerateCanaryService leaves the Services alone.
	//
	// +optional
	DisableGenerateCanaryService bool `json:"disableGenerateCanaryService,omitempty"`
}

// BlueGreenStrategy releases a full second set of pods and then switches traffic.
type BlueGreenStrategy struct {
	// Steps of the release, in order.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=50
	Steps []CanaryStep `json:"steps,omitempty"`
	// TrafficRoutings are the Services and routes that follow the steps.
	//
	// +optional
	TrafficRoutings []TrafficRoutingRef `json:"trafficRoutings,omitempty"`
	// FailureThreshold is how many updated pods of a batch may be unready, as a number or a percentage.
	//
	// +optional
	FailureThreshold *intstr.IntOrString `json:"failureThreshold,omitempty"`
	// TrafficRoutingRef names a TrafficRouting that is active while the Rollout releases.
	//
	// +optional
	TrafficRoutingRef string `json:"trafficRoutingRef,omitempty"`
	// DisableGenerateCanaryService leaves the Services alone.
	//
	// +optional
	DisableGenerateCanaryService bool `json:"disableGenerateCanaryService,omitempty"`
}

// PatchPodTemplateMetadata is metadata put on a pod template.
type PatchPodTemplateMetadata struct {
	// Annotations to set.
	//
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// Labels to set.
	//
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
}

// CanaryStep is one step: how many pods, which requests, and what to wait for before the next.
type CanaryStep struct {
	TrafficRoutingStrategy `json:",inline"`
	// Replicas is how many pods run the new version in this step, as a number or a percentage of all.
	//
	// +optional
	Replicas *intstr.IntOrString `json:"replicas,omitempty"`
	// Pause is what to wait for once the step is reached.
	//
	// +optional
	Pause RolloutPause `json:"pause,omitempty"`
}

// TrafficRoutingStrategy is which requests reach the new version.
type TrafficRoutingStrategy struct {
	// Traffic is the share of requests, as a percentage such as "5%".
	//
	// +optional
	Traffic *string `json:"traffic,omitempty"`
	// RequestHeaderModifier changes headers of the requests that reach the new version.
	//
	// +optional
	RequestHeaderModifier *gatewayv1beta1.HTTPHeaderFilter `json:"requestHeaderModifier,omitempty"`
	// Matches send just the requests that match one of them to the new version.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=16
	Matches []HttpRouteMatch `json:"matches,omitempty"`
}

// HttpRouteMatch is what a request has to have: all of it. The name is the schema's, as every generated client knows it.
type HttpRouteMatch struct {
	// Path of the request.
	//
	// +optional
	Path *gatewayv1beta1.HTTPPathMatch `json:"path,omitempty"`
	// Headers of the request.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Headers []gatewayv1beta1.HTTPHeaderMatch `json:"headers,omitempty"`
	// QueryParams of the request.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	QueryParams []gatewayv1beta1.HTTPQueryParamMatch `json:"queryParams,omitempty"`
}

// RolloutPause is what to wait for.
type RolloutPause struct {
	// Duration to wait, in seconds. Absent: until someone approves; 0: not at all.
	//
	// +optional
	Duration *int32 `json:"duration,omitempty"`
}

// TrafficRoutingRef is a Service and the routes that lead to it.
type TrafficRoutingRef struct {
	// Service that selects the workload's pods.
	Service string `json:"service"`
	// GracePeriodSeconds is how long a gateway is given to take up a change; 0 does not wait.
	//
	// +optional
	// +kubebuilder:default=3
	GracePeriodSeconds *int32 `json:"gracePeriodSeconds,omitempty"`
	// Ingress that leads to the Service.
	//
	// +optional
	Ingress *IngressTrafficRouting `json:"ingress,omitempty"`
	// Gateway route that leads to the Service.
	//
	// +optional
	Gateway *GatewayTrafficRouting `json:"gateway,omitempty"`
	// CustomNetworkRefs are objects of any kind, changed by Lua scripts.
	//
	// +optional
	CustomNetworkRefs []ObjectRef `json:"customNetworkRefs,omitempty"`
}

// IngressTrafficRouting names an Ingress.
type IngressTrafficRouting struct {
	// ClassType is the kind of Ingress controller: nginx (default), aliyun-alb, higress, mse, or one from the ConfigMap.
	//
	// +optional
	ClassType string `json:"classType,omitempty"`
	// Name of the Ingress.
	Name string `json:"name"`
}

// GatewayTrafficRouting names Gateway API routes.
type GatewayTrafficRouting struct {
	// HTTPRouteName is the name of the HTTPRoute.
	//
	// +optional
	HTTPRouteName *string `json:"httpRouteName,omitempty"`
	// GRPCRouteName is the name of the GRPCRoute.
	//
	// +optional
	GRPCRouteName *string `json:"grpcRouteName,omitempty"`
	// RuleNames are the names of the rules that are changed, in each of the routes. Absent: all that lead to the Service.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=16
	RuleNames []string `json:"ruleNames,omitempty"`
}

// RolloutStatus is what was seen.
type RolloutStatus struct {
	// ObservedGeneration is the generation of the spec this status speaks of.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// CanaryStatus is the progress in canary and partition style.
	//
	// +optional
	CanaryStatus *CanaryStatus `json:"canaryStatus,omitempty"`
	// BlueGreenStatus is the progress in blue-green style.
	//
	// +optional
	BlueGreenStatus *BlueGreenStatus `json:"blueGreenStatus,omitempty"`
	// Conditions of the Rollout.
	//
	// +optional
	Conditions []RolloutCondition `json:"conditions,omitempty"`
	// Message says what happens, or what is awaited.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// Phase of the Rollout.
	//
	// +optional
	Phase RolloutPhase `json:"phase,omitempty"`
	// CurrentStepIndex mirrors the index in the style's own status, from 1.
	CurrentStepIndex int32 `json:"currentStepIndex"`
	// CurrentStepState mirrors the state in the style's own status.
	CurrentStepState CanaryStepState `json:"currentStepState"`
	// Release is what happened in the present release, or in the last one.
	//
	// +optional
	Release *ReleaseStatus `json:"release,omitempty"`
}

// CommonStatus is the progress of a release, whatever its style.
type CommonStatus struct {
	// ObservedWorkloadGeneration is the workload's generation last seen at this revision.
	//
	// +optional
	ObservedWorkloadGeneration int64 `json:"observedWorkloadGeneration,omitempty"`
	// ObservedRolloutID is the id of the release: the workload's label rollouts.kruise.io/rollout-id, or its revision.
	//
	// +optional
	ObservedRolloutID string `json:"observedRolloutID,omitempty"`
	// RolloutHash is the hash of the strategy this progress was made with.
	//
	// +optional
	RolloutHash string `json:"rolloutHash,omitempty"`
	// StableRevision is the revision the release started from.
	//
	// +optional
	StableRevision string `json:"stableRevision,omitempty"`
	// PodTemplateHash is the label value that tells new pods from stable ones.
	PodTemplateHash string `json:"podTemplateHash"`
	// CurrentStepIndex is the step the release is in, from 1.
	//
	// +optional
	CurrentStepIndex int32 `json:"currentStepIndex"`
	// NextStepIndex is the step to go to: written by a client, it makes the release jump. -1 after the last; 0 counts as absent.
	//
	// +optional
	NextStepIndex int32 `json:"nextStepIndex"`
	// FinalisingStep is how far giving the workload back has come.
	//
	// +optional
	FinalisingStep FinalisingStepType `json:"finalisingStep"`
	// CurrentStepState is the state of the current step: a client approves by writing StepReady.
	CurrentStepState CanaryStepState `json:"currentStepState"`
	// Message speaks of the pods of the current step.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// LastUpdateTime is when the current step last changed its state: pauses are counted from it.
	//
	// +optional
	LastUpdateTime *metav1.Time `json:"lastUpdateTime,omitempty"`
	// Traffic is how requests are routed to the pods, while a release leads them at all.
	//
	// +optional
	Traffic *TrafficStatus `json:"traffic,omitempty"`
}

// TrafficStatus is the traffic routing last asked for by the controller, during a release that routes any.
type TrafficStatus struct {
	// StableRevision is the only revision that the stable Service selects. Absent: its selector is its owner's.
	//
	// +optional
	StableRevision string `json:"stableRevision,omitempty"`
	// CanaryRevision is the revision that the canary Service selects. Absent: there is no canary Service.
	//
	// +optional
	CanaryRevision string `json:"canaryRevision,omitempty"`
	// Route is which requests reach the canary Service, as a step says it. Absent: routes are as their owner wrote them.
	//
	// +optional
	Route *TrafficRoutingStrategy `json:"route,omitempty"`
	// EndpointsPending is true from a change of Services until their EndpointSlices show the pods they select.
	//
	// +optional
	EndpointsPending bool `json:"endpointsPending,omitempty"`
	// LastChangeTime is when Services, their endpoints or routes changed last: grace periods are counted from it.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`
	LastChangeTime *metav1.MicroTime `json:"lastChangeTime,omitempty"`
	// DriftCorrections is how often changes of this by others were reverted.
	//
	// +optional
	DriftCorrections int32 `json:"driftCorrections,omitempty"`
	// RoutedWith is what this was asked for of, as the strategy had it then: it is restored by what stands here, whatever the
	// strategy says by now. Written by the controller.
	//
	// +optional
	RoutedWith *RoutedWith `json:"routedWith,omitempty"`
}

// RoutedWith is what a release routes with.
type RoutedWith struct {
	// Routings are the Services and routes.
	Routings []TrafficRoutingRef `json:"routings,omitempty"`
	// SharedService is true where canary pods have no Service of their own (disableGenerateCanaryService).
	//
	// +optional
	SharedService bool `json:"sharedService,omitempty"`
	// RevisionKey is the label by whose value the Services select pods of one revision.
	//
	// +optional
	RevisionKey string `json:"revisionKey,omitempty"`
}

// CanaryStatus is the progress of a release in canary or partition style.
type CanaryStatus struct {
	CommonStatus `json:",inline"`
	// CanaryRevision is the revision being released.
	//
	// +optional
	CanaryRevision string `json:"canaryRevision,omitempty"`
	// CanaryReplicas is how many pods run it.
	CanaryReplicas int32 `json:"canaryReplicas"`
	// CanaryReadyReplicas is how many of them are ready.
	CanaryReadyReplicas int32 `json:"canaryReadyReplicas"`
}

// BlueGreenStatus is the progress of a release in blue-green style.
type BlueGreenStatus struct {
	CommonStatus `json:",inline"`
	// UpdatedRevision is the revision being released.
	//
	// +optional
	UpdatedRevision string `json:"updatedRevision,omitempty"`
	// UpdatedReplicas is how many pods run it.
	UpdatedReplicas int32 `json:"updatedReplicas"`
	// UpdatedReadyReplicas is how many of them are ready.
	UpdatedReadyReplicas int32 `json:"updatedReadyReplicas"`
}

// RolloutCondition is one condition of a Rollout or a BatchRelease.
type RolloutCondition struct {
	// Type of the condition.
	Type RolloutConditionType `json:"type"`
	// Status is True, False or Unknown.
	Status metav1.ConditionStatus `json:"status"`
	// LastUpdateTime is when the condition was last written.
	//
	// +optional
	LastUpdateTime metav1.Time `json:"lastUpdateTime,omitempty"`
	// LastTransitionTime is when the status last changed.
	//
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
	// Reason of the last change, in one word.
	Reason string `json:"reason"`
	// Message for a person.
	Message string `json:"message"`
}

// RolloutConditionType is the type of a condition.
type RolloutConditionType string

// Condition types.
const (
	ConditionProgressing RolloutConditionType = "Progressing"
	ConditionSucceeded   RolloutConditionType = "Succeeded"
	ConditionTerminating RolloutConditionType = "Terminating"
	// ConditionStalled is True while the cluster refuses or reverts a write that the release needs; its message says which.
	ConditionStalled RolloutConditionType = "Stalled"
)

// Reasons of the conditions Progressing, Terminating and Stalled.
const (
	ReasonInitializing  = "Initializing"
	ReasonInRolling     = "InRolling"
	ReasonFinalising    = "Finalising"
	ReasonCompleted     = "Completed"
	ReasonCancelling    = "Cancelling"
	ReasonPaused        = "Paused"
	ReasonAborted       = "Aborted"
	ReasonInTerminating = "InTerminating"
	// ReasonWriteRefused: the API server, or admission of someone else, refuses a write.
	ReasonWriteRefused = "WriteRefused"
	// ReasonWriteReverted: a write is accepted, and what it set comes back changed.
	ReasonWriteReverted = "WriteReverted"
)

// RolloutPhase is where a Rollout is in its life.
type RolloutPhase string

// Phases of a Rollout.
const (
	PhaseInitial     RolloutPhase = "Initial"
	PhaseHealthy     RolloutPhase = "Healthy"
	PhaseProgressing RolloutPhase = "Progressing"
	PhaseTerminating RolloutPhase = "Terminating"
	PhaseDisabling   RolloutPhase = "Disabling"
	PhaseDisabled    RolloutPhase = "Disabled"
)

// CanaryStepState is where a release is in its current step.
type CanaryStepState string

// Step states, in their order.
const (
	StepBeforeUpgrade   CanaryStepState = "BeforeStepUpgrade"
	StepUpgrade         CanaryStepState = "StepUpgrade"
	StepTrafficRouting  CanaryStepState = "StepTrafficRouting"
	StepMetricsAnalysis CanaryStepState = "StepMetricsAnalysis"
	StepPaused          CanaryStepState = "StepPaused"
	StepReady           CanaryStepState = "StepReady"
	StepCompleted       CanaryStepState = "Completed"
)

// FinalisingStepType is how far giving the workload back has come.
type FinalisingStepType string

// Finalising steps; their order depends on style and reason.
const (
	FinalisingNone                 FinalisingStepType = ""
	FinalisingRouteTrafficToNew    FinalisingStepType = "FinalisingStepRouteTrafficToNew"
	FinalisingRouteTrafficToStable FinalisingStepType = "FinalisingStepRouteTrafficToStable"
	FinalisingRestoreStableService FinalisingStepType = "RestoreStableService"
	FinalisingRemoveCanaryService  FinalisingStepType = "RemoveCanaryService"
	FinalisingResumeWorkload       FinalisingStepType = "ResumeWorkload"
	FinalisingReleaseWorkload      FinalisingStepType = "ReleaseWorkloadControl"
	FinalisingEnd                  FinalisingStepType = "END"
)
