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

	// Spec is what users ask for. The controller does not write it.
	Spec RolloutSpec `json:"spec,omitempty"`
	// Status is what the controller found and did. Clients write currentStepState, currentStepIndex and nextStepIndex of
	// canaryStatus or blueGreenStatus, to approve and to jump; whatever else they write there is put back by admission.
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
	// WorkloadRef is the workload whose changes are released, in the Rollout's namespace. One workload has one Rollout. It
	// cannot be changed during a release.
	WorkloadRef ObjectRef `json:"workloadRef"`
	// Strategy is how they are released: canary or blueGreen.
	Strategy RolloutStrategy `json:"strategy"`
	// Disabled restores the workload and leaves it to its own update strategy; a release that runs ends, and its pods are
	// not waited for. Default: false.
	//
	// +optional
	// +kubebuilder:default=false
	Disabled bool `json:"disabled"`
	// ProgressDeadlineSeconds is how long a step may take until its pods are ready and its traffic is routed, in seconds, 1
	// or more; it stands still while the Rollout is paused. Absent: any time.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	ProgressDeadlineSeconds *int32 `json:"progressDeadlineSeconds,omitempty"`
	// OnDeadline is what follows when it takes longer: pause, or abort. Default: pause, the release says so and goes on
	// when the step is done.
	//
	// +optional
	OnDeadline AnalysisAction `json:"onDeadline,omitempty"`
}

// ObjectRef names an object of the same namespace.
type ObjectRef struct {
	// APIVersion of the object, such as apps/v1. Of a workload only the group counts.
	APIVersion string `json:"apiVersion"`
	// Kind of the object, such as Deployment.
	Kind string `json:"kind"`
	// Name of the object, in the same namespace.
	Name string `json:"name"`
}

// RolloutStrategy is one of canary and blueGreen.
type RolloutStrategy struct {
	// Paused stops the release at its step, but no batch that is under way, until it is false or absent. Default: false.
	//
	// +optional
	Paused bool `json:"paused,omitempty"`
	// Canary releases step by step: in batches of the workload's own pods, or in a second Deployment
	// (enableExtraWorkloadForCanary). One of canary and blueGreen has to be set, and not both.
	//
	// +optional
	Canary *CanaryStrategy `json:"canary,omitempty"`
	// BlueGreen creates a second set of pods, and then switches traffic. For Deployments and CloneSets.
	//
	// +optional
	BlueGreen *BlueGreenStrategy `json:"blueGreen,omitempty"`
}

// CanaryStrategy releases step by step. Without enableExtraWorkloadForCanary the workload's own pods are replaced in
// batches (partition style); with it new pods run in a second Deployment first (canary style).
type CanaryStrategy struct {
	// Steps of the release, in order; at least one. replicas must not go down from one to the next where both are numbers,
	// or both percentages. Their number cannot be changed during a release, what they say can.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=50
	Steps []CanaryStep `json:"steps,omitempty"`
	// TrafficRoutings are the Services and routes by which requests reach the workload; they follow traffic and matches of
	// the steps. All of several move as one. Absent: no requests are routed. They cannot be changed during a release.
	//
	// +optional
	TrafficRoutings []TrafficRoutingRef `json:"trafficRoutings,omitempty"`
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
	PatchPodTemplateMetadata *PatchPodTemplateMetadata `json:"patchPodTemplateMetadata,omitempty"`
	// EnableExtraWorkloadForCanary runs new pods in a second Deployment until the end (canary style).
	// For Deployments; others count as false. It cannot be changed during a release. Default: false, the workload's own pods
	// are replaced in batches (partition style).
	//
	// +optional
	EnableExtraWorkloadForCanary bool `json:"enableExtraWorkloadForCanary,omitempty"`
	// TrafficRoutingRef names a TrafficRouting of the same namespace, which routes requests while this Rollout releases.
	// Absent: none.
	//
	// +optional
	TrafficRoutingRef string `json:"trafficRoutingRef,omitempty"`
	// DisableGenerateCanaryService makes no Service for the new version's pods, and leaves the stable one's selector alone:
	// routes distinguish the versions by themselves. Not every gateway can. Default: false, a Service <service>-canary is made
	// for a release.
	//
	// +optional
	DisableGenerateCanaryService bool `json:"disableGenerateCanaryService,omitempty"`
	// Analysis is which metrics decide, beside the steps, about the whole release. Absent: none.
	//
	// +optional
	Analysis *BackgroundAnalysis `json:"analysis,omitempty"`
}

// BlueGreenStrategy releases a full second set of pods and then switches traffic.
type BlueGreenStrategy struct {
	// Steps of the release, in order; at least one. replicas must not go down from one to the next where both are numbers,
	// or both percentages. Their number cannot be changed during a release, what they say can.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=50
	Steps []CanaryStep `json:"steps,omitempty"`
	// TrafficRoutings are the Services and routes by which requests reach the workload; they follow traffic and matches of
	// the steps. All of several move as one. Absent: no requests are routed. They cannot be changed during a release.
	//
	// +optional
	TrafficRoutings []TrafficRoutingRef `json:"trafficRoutings,omitempty"`
	// FailureThreshold is how many updated pods may be unready for a batch to count as ready all the same: a number of pods,
	// or a percentage of the updated ones, such as "20%", from "0%" to "100%". One pod has to be ready in any case. Absent:
	// none may be.
	//
	// +optional
	FailureThreshold *intstr.IntOrString `json:"failureThreshold,omitempty"`
	// TrafficRoutingRef names a TrafficRouting of the same namespace, which routes requests while this Rollout releases.
	// Absent: none.
	//
	// +optional
	TrafficRoutingRef string `json:"trafficRoutingRef,omitempty"`
	// DisableGenerateCanaryService makes no Service for the new version's pods, and leaves the stable one's selector alone:
	// routes distinguish the versions by themselves. Not every gateway can. Default: false, a Service <service>-canary is made
	// for a release.
	//
	// +optional
	DisableGenerateCanaryService bool `json:"disableGenerateCanaryService,omitempty"`
	// Analysis is which metrics decide, beside the steps, about the whole release. Absent: none.
	//
	// +optional
	Analysis *BackgroundAnalysis `json:"analysis,omitempty"`
}

// PatchPodTemplateMetadata is metadata put on a pod template.
type PatchPodTemplateMetadata struct {
	// Annotations to set, by their keys. Absent: none.
	//
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// Labels to set, by their keys. Absent: none.
	//
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
}

// CanaryStep is one step: how many pods, which requests, and what to wait for before the next.
type CanaryStep struct {
	TrafficRoutingStrategy `json:",inline"`
	// Replicas is how many pods run the new version once the step is done: a number of pods, at least 1 (more than there are
	// counts as all), or a percentage of the workload's replicas, above "0%" and up to "100%", rounded up. Admission refuses
	// a step without it.
	//
	// +optional
	Replicas *intstr.IntOrString `json:"replicas,omitempty"`
	// Pause is what to wait for once pods and traffic are as the step says. Absent or empty: until someone approves.
	//
	// +optional
	Pause RolloutPause `json:"pause,omitempty"`
	// Analysis is which metrics decide whether the step was good, before its pause. Absent: none.
	//
	// +optional
	Analysis *StepAnalysis `json:"analysis,omitempty"`
	// Webhooks are asked, in their order, whether the release may begin the step or leave it; at most 10. Absent: none.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=10
	Webhooks []StepWebhook `json:"webhooks,omitempty"`
}

// TrafficRoutingStrategy is which requests reach the new version.
type TrafficRoutingStrategy struct {
	// Traffic is the weight of the new version, a percentage of the traffic such as "5%", from "1%" to "100%", in
	// blue-green style from "0%". Absent, and without matches: no traffic routing by weight.
	//
	// +optional
	Traffic *string `json:"traffic,omitempty"`
	// RequestHeaderModifier sets, adds and removes headers of the requests that reach the new version. Absent: they stay as
	// they are.
	//
	// +optional
	RequestHeaderModifier *gatewayv1beta1.HTTPHeaderFilter `json:"requestHeaderModifier,omitempty"`
	// Matches are alternatives: a request that meets one of them reaches the new version. Absent: requests are distinguished by
	// their weight only.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=16
	Matches []HttpRouteMatch `json:"matches,omitempty"`
}

// HttpRouteMatch is what a request has to have: all of it. The name is the schema's, as every generated client knows it.
type HttpRouteMatch struct {
	// Path of the request; type is Exact, PathPrefix (default) or RegularExpression, value "/" by default. Absent: any.
	//
	// +optional
	Path *gatewayv1beta1.HTTPPathMatch `json:"path,omitempty"`
	// Headers of the request, all of them; type is Exact (default) or RegularExpression. A cookie is part of the header
	// Cookie. Absent: any.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Headers []gatewayv1beta1.HTTPHeaderMatch `json:"headers,omitempty"`
	// QueryParams of the request, all of them; type is Exact (default) or RegularExpression. Absent: any.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	QueryParams []gatewayv1beta1.HTTPQueryParamMatch `json:"queryParams,omitempty"`
}

// RolloutPause is what to wait for.
type RolloutPause struct {
	// Duration to wait, in seconds, 0 or more. 0: do not wait. Absent: until someone approves.
	//
	// +optional
	Duration *int32 `json:"duration,omitempty"`
}

// TrafficRoutingRef is a Service and the routes to it.
type TrafficRoutingRef struct {
	// Service by which requests reach the workload's pods, at most 56 characters long where a canary Service is made.
	Service string `json:"service"`
	// GracePeriodSeconds is how long gateways get to apply a change of a route before anything depends on it, in seconds, 0
	// or more; 0 does not wait. Ingresses of class nginx get 3.8 at least. Default: 3.
	//
	// +optional
	// +kubebuilder:default=3
	GracePeriodSeconds *int32 `json:"gracePeriodSeconds,omitempty"`
	// Ingress that routes to the Service. One of ingress, gateway and customNetworkRefs has to be set.
	//
	// +optional
	Ingress *IngressTrafficRouting `json:"ingress,omitempty"`
	// Gateway names the Gateway API routes to the Service.
	//
	// +optional
	Gateway *GatewayTrafficRouting `json:"gateway,omitempty"`
	// CustomNetworkRefs are objects of other kinds that route to the Service, such as a VirtualService, each changed by the
	// Lua script for its kind.
	//
	// +optional
	CustomNetworkRefs []ObjectRef `json:"customNetworkRefs,omitempty"`
}

// IngressTrafficRouting names an Ingress.
type IngressTrafficRouting struct {
	// ClassType says what kind of controller serves the Ingress, and so by which script it is changed: nginx, aliyun-alb,
	// higress, mse, or any for which the ConfigMap kruise-rollout-configuration has one. Absent: nginx.
	//
	// +optional
	ClassType string `json:"classType,omitempty"`
	// Name of the Ingress, at most 246 characters long. It stays as it is: another one, <name>-canary, is made for a
	// release.
	Name string `json:"name"`
}

// GatewayTrafficRouting names Gateway API routes.
type GatewayTrafficRouting struct {
	// HTTPRouteName is the name of the HTTPRoute. Absent: none. One of the two names has to be set.
	//
	// +optional
	HTTPRouteName *string `json:"httpRouteName,omitempty"`
	// GRPCRouteName is the name of the GRPCRoute. Absent: none.
	//
	// +optional
	GRPCRouteName *string `json:"grpcRouteName,omitempty"`
	// RuleNames are the names of the rules that are changed, in each of the routes; one that no rule has is an error.
	// Absent: all that route to the Service.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=16
	RuleNames []string `json:"ruleNames,omitempty"`
}

// RolloutStatus is what was seen.
type RolloutStatus struct {
	// ObservedGeneration is the metadata.generation of the spec that this status speaks of: while that is another, the
	// status is old.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// CanaryStatus is the progress in canary and partition style; present whatever the phase.
	//
	// +optional
	CanaryStatus *CanaryStatus `json:"canaryStatus,omitempty"`
	// BlueGreenStatus is the progress in blue-green style; present whatever the phase.
	//
	// +optional
	BlueGreenStatus *BlueGreenStatus `json:"blueGreenStatus,omitempty"`
	// Conditions of the Rollout: Progressing, Succeeded, Terminating, and Stalled while the cluster does not take a write.
	//
	// +optional
	Conditions []RolloutCondition `json:"conditions,omitempty"`
	// Message says, for people, what happens or what is awaited.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// Phase of the Rollout: Initial, Healthy, Progressing, Terminating, Disabling or Disabled. A release runs in
	// Progressing, and is over in Healthy.
	//
	// +optional
	Phase RolloutPhase `json:"phase,omitempty"`
	// CurrentStepIndex mirrors the index in canaryStatus or blueGreenStatus, which counts where they differ.
	CurrentStepIndex int32 `json:"currentStepIndex"`
	// CurrentStepState mirrors the state in canaryStatus or blueGreenStatus, which counts where they differ.
	CurrentStepState CanaryStepState `json:"currentStepState"`
	// Release is what happened in the present release, or in the last one, and who did it. Written by the controller and
	// admission. Absent: there was none, or no records are kept.
	//
	// +optional
	Release *ReleaseStatus `json:"release,omitempty"`
	// Analysis is how far the analyses of the present release are, or of the last one. Absent: it has none.
	//
	// +optional
	Analysis *AnalysisStatus `json:"analysis,omitempty"`
	// Blockers are what is waited for, the oldest first; at most 10. Empty: nothing is. They are for programs and for people, and no
	// decision is made by them.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Blockers []Blocker `json:"blockers,omitempty"`
	// Webhooks are those of the present step that have been asked, and what they answered. They go with the next step.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=20
	Webhooks []WebhookStatus `json:"webhooks,omitempty"`
	// Approval is the one by annotation that was taken up last. It goes with the annotation.
	//
	// +optional
	Approval *ApprovalStatus `json:"approval,omitempty"`
}

// CommonStatus is the progress of a release, whatever its style.
type CommonStatus struct {
	// ObservedWorkloadGeneration is the workload's metadata.generation last seen at this revision.
	//
	// +optional
	ObservedWorkloadGeneration int64 `json:"observedWorkloadGeneration,omitempty"`
	// ObservedRolloutID is the id of the release: the workload's label rollouts.kruise.io/rollout-id, or its revision where
	// it has none.
	//
	// +optional
	ObservedRolloutID string `json:"observedRolloutID,omitempty"`
	// RolloutHash is the hash of the strategy that this progress was made with. A strategy with another one was edited.
	//
	// +optional
	RolloutHash string `json:"rolloutHash,omitempty"`
	// StableRevision is the revision that the release started from.
	//
	// +optional
	StableRevision string `json:"stableRevision,omitempty"`
	// PodTemplateHash is the revision being released, as pods have it in a label (pod-template-hash, or
	// controller-revision-hash).
	PodTemplateHash string `json:"podTemplateHash"`
	// CurrentStepIndex is the step that the release is in, from 1; the number of steps where it is done.
	//
	// +optional
	CurrentStepIndex int32 `json:"currentStepIndex"`
	// NextStepIndex is the step that comes next, from 1; -1 after the last. A client that writes another one makes the
	// release jump there. 0 and absent count as the natural next.
	//
	// +optional
	NextStepIndex int32 `json:"nextStepIndex"`
	// FinalisingStep is how far the end of a release has come: FinalisingStepRouteTrafficToNew,
	// FinalisingStepRouteTrafficToStable, RestoreStableService, RemoveCanaryService, ResumeWorkload, ReleaseWorkloadControl
	// or END, in an order that depends on style and reason. Empty: no release ends.
	//
	// +optional
	FinalisingStep FinalisingStepType `json:"finalisingStep"`
	// CurrentStepState is the state of the current step: BeforeStepUpgrade, StepUpgrade, StepTrafficRouting,
	// StepMetricsAnalysis, StepPaused, StepReady or Completed. A client approves by writing StepReady while it is
	// StepPaused. One that is not known starts the step over.
	CurrentStepState CanaryStepState `json:"currentStepState"`
	// Message says, for people, how far the pods of the current step are.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// LastUpdateTime is when the present state of the step began: pauses are counted from it.
	//
	// +optional
	LastUpdateTime *metav1.Time `json:"lastUpdateTime,omitempty"`
	// StepStartTime is when the present step began: progressDeadlineSeconds is counted from it. Absent: there is no deadline.
	//
	// +optional
	StepStartTime *metav1.Time `json:"stepStartTime,omitempty"`
	// PausedTime is since when the deadline and analyses stand still, because strategy.paused is set. When the release goes
	// on, their times are later by that.
	//
	// +optional
	PausedTime *metav1.Time `json:"pausedTime,omitempty"`
	// Traffic is the traffic routing that the controller requested last. Absent: the release routes no traffic.
	//
	// +optional
	Traffic *TrafficStatus `json:"traffic,omitempty"`
}

// TrafficStatus is the traffic routing last asked for by the controller, during a release that routes any.
type TrafficStatus struct {
	// StableRevision is the only revision that the stable Service selects. Absent: its selector is as its owner wrote it.
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
	// EndpointsPending is true from a change of Services until their EndpointSlices show the pods that they select.
	//
	// +optional
	EndpointsPending bool `json:"endpointsPending,omitempty"`
	// LastChangeTime is when Services, their endpoints or routes changed last, in microseconds: grace periods are counted
	// from it.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`
	LastChangeTime *metav1.MicroTime `json:"lastChangeTime,omitempty"`
	// DriftCorrections is how often changes of Services and routes by others were reverted since this was asked for; from 5
	// on the release waits, and tries again once a minute.
	//
	// +optional
	DriftCorrections int32 `json:"driftCorrections,omitempty"`
	// RoutedWith is what this was asked for of, as the strategy had it then: it is restored by what stands here, whatever
	// the strategy says by now.
	//
	// +optional
	RoutedWith *RoutedWith `json:"routedWith,omitempty"`
}

// RoutedWith is what a release routes with.
type RoutedWith struct {
	// Routings are the Services and routes.
	//
	// +optional
	Routings []TrafficRoutingRef `json:"routings,omitempty"`
	// SharedService is true where canary pods have no Service of their own (disableGenerateCanaryService).
	//
	// +optional
	SharedService bool `json:"sharedService,omitempty"`
	// RevisionKey is the label by whose value the Services select pods of one revision: pod-template-hash or
	// controller-revision-hash.
	//
	// +optional
	RevisionKey string `json:"revisionKey,omitempty"`
}

// CanaryStatus is the progress of a release in canary or partition style.
type CanaryStatus struct {
	CommonStatus `json:",inline"`
	// CanaryRevision is the revision being released, or the one that was released last.
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
	// UpdatedRevision is the revision being released, or the one that was released last.
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
	// Type of the condition: Progressing, Succeeded, Terminating or Stalled.
	Type RolloutConditionType `json:"type"`
	// Status is True, False or Unknown.
	Status metav1.ConditionStatus `json:"status"`
	// LastUpdateTime is when anything of the condition changed last.
	//
	// +optional
	LastUpdateTime metav1.Time `json:"lastUpdateTime,omitempty"`
	// LastTransitionTime is when the status changed last.
	//
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
	// Reason of the last change, in one word. Of Progressing: InRolling, Paused, Aborted, Finalising, Cancelling or
	// Completed; of Terminating: InTerminating; of Stalled: WriteRefused or WriteReverted; of Succeeded: empty.
	Reason string `json:"reason"`
	// Message for people.
	Message string `json:"message"`
}

// RolloutConditionType is the type of a condition.
type RolloutConditionType string

// Condition types.
const (
	// ConditionProgressing: a release runs, or ends; the reason says how far it is.
	ConditionProgressing RolloutConditionType = "Progressing"
	// ConditionSucceeded: how the last release ended. There is none while one runs.
	ConditionSucceeded RolloutConditionType = "Succeeded"
	// ConditionTerminating: the Rollout is being deleted, and restores its workload.
	ConditionTerminating RolloutConditionType = "Terminating"
	// ConditionStalled is True while the cluster refuses or reverts a write that the release needs; its message says which.
	ConditionStalled RolloutConditionType = "Stalled"
)

// Reasons of the conditions Progressing, Terminating and Stalled.
const (
	// ReasonInitializing: the release is about to begin. Other implementations write it.
	ReasonInitializing = "Initializing"
	// ReasonInRolling: the release goes through its steps.
	ReasonInRolling = "InRolling"
	// ReasonFinalising: every step is done, and the workload is restored.
	ReasonFinalising = "Finalising"
	// ReasonCompleted: no release is under way.
	ReasonCompleted = "Completed"
	// ReasonCancelling: the release goes back, or somebody gave the workload back in the middle of it.
	ReasonCancelling = "Cancelling"
	// ReasonPaused: strategy.paused is set, or traffic is changed by others again and again.
	ReasonPaused = "Paused"
	// ReasonAborted: the release is aborted: requests and pods go back to the stable version, and stay there.
	ReasonAborted = "Aborted"
	// ReasonInTerminating: of the condition Terminating.
	ReasonInTerminating = "InTerminating"
	// ReasonWriteRefused: the API server, or admission of someone else, refuses a write.
	ReasonWriteRefused = "WriteRefused"
	// ReasonDeadlineExceeded: a step takes longer than progressDeadlineSeconds.
	ReasonDeadlineExceeded = "ProgressDeadlineExceeded"
	// ReasonWriteReverted: a write is accepted, and what it set comes back changed.
	ReasonWriteReverted = "WriteReverted"
)

// RolloutPhase is where a Rollout is in its life.
type RolloutPhase string

// Phases of a Rollout.
const (
	// PhaseInitial: the workload is missing, not supported, or not proven to be held by admission.
	PhaseInitial RolloutPhase = "Initial"
	// PhaseHealthy: nothing is being released.
	PhaseHealthy RolloutPhase = "Healthy"
	// PhaseProgressing: a release runs, or ends. Of a BatchRelease: pods are moved.
	PhaseProgressing RolloutPhase = "Progressing"
	// PhaseTerminating: the Rollout is being deleted.
	PhaseTerminating RolloutPhase = "Terminating"
	// PhaseDisabling: the Rollout is disabled, and restores its workload.
	PhaseDisabling RolloutPhase = "Disabling"
	// PhaseDisabled: the workload is its owner's.
	PhaseDisabled RolloutPhase = "Disabled"
)

// CanaryStepState is where a release is in its current step.
type CanaryStepState string

// Step states, in their order.
const (
	// StepBeforeUpgrade: the step's webhooks are asked, and Services are made ready for its pods.
	StepBeforeUpgrade CanaryStepState = "BeforeStepUpgrade"
	// StepUpgrade: pods are moved to the new version.
	StepUpgrade CanaryStepState = "StepUpgrade"
	// StepTrafficRouting: requests are routed as the step says.
	StepTrafficRouting CanaryStepState = "StepTrafficRouting"
	// StepMetricsAnalysis: the step's analysis runs, then its webhooks are asked; passed at once where the step has neither.
	StepMetricsAnalysis CanaryStepState = "StepMetricsAnalysis"
	// StepPaused: an approval is awaited, or a time.
	StepPaused CanaryStepState = "StepPaused"
	// StepReady: the step is approved, or its time is over. Clients write it to approve.
	StepReady CanaryStepState = "StepReady"
	// StepCompleted: every step is done.
	StepCompleted CanaryStepState = "Completed"
)

// FinalisingStepType is how far restoring the workload has come.
type FinalisingStepType string

// Finalising steps; their order depends on style and reason.
const (
	// FinalisingNone: no release ends.
	FinalisingNone FinalisingStepType = ""
	// FinalisingRouteTrafficToNew: all requests go to the new version (blue-green).
	FinalisingRouteTrafficToNew FinalisingStepType = "FinalisingStepRouteTrafficToNew"
	// FinalisingRouteTrafficToStable: routes are as their owners wrote them.
	FinalisingRouteTrafficToStable FinalisingStepType = "FinalisingStepRouteTrafficToStable"
	// FinalisingRestoreStableService: the stable Service's selector is as its owner wrote it.
	FinalisingRestoreStableService FinalisingStepType = "RestoreStableService"
	// FinalisingRemoveCanaryService: the canary Service is deleted.
	FinalisingRemoveCanaryService FinalisingStepType = "RemoveCanaryService"
	// FinalisingResumeWorkload: the BatchRelease restores the workload.
	FinalisingResumeWorkload FinalisingStepType = "ResumeWorkload"
	// FinalisingReleaseWorkload: the BatchRelease is deleted.
	FinalisingReleaseWorkload FinalisingStepType = "ReleaseWorkloadControl"
	// FinalisingEnd: nothing is left to do.
	FinalisingEnd FinalisingStepType = "END"
)
