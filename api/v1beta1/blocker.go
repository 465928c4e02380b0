// SPDX-License-Identifier: Apache-2.0

package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MaxBlockers is how many blockers a status names at most.
const MaxBlockers = 10

// BlockerMessageLength is how many bytes the message of a blocker has at most.
const BlockerMessageLength = 512

// Blocker is one thing that a release waits for.
type Blocker struct {
	// Code is what kind of thing it is, for programs; docs/troubleshooting.md says what each means and what helps: ImagePull,
	// CrashLoop, ConfigError, Unschedulable, VolumePending, ContainerCreating, NotReady, QuotaExceeded, PodsRefused, PodsPending,
	// PodsExcess, ScaledToZero, SurgeLimit, WorkloadMissing, KindNotServed, KindUnsupported, WorkloadNotObserved, FirstPods,
	// AdmissionNotReached, RolloutConflict, BatchReleaseNameTaken, BatchReleaseEnding, ClaimedElsewhere, TemplateChanged, NoSteps,
	// WriteRefused, WriteReverted, ServiceMissing, ServiceUnusable, ServiceShared, CanaryNameTaken, EndpointsPending,
	// NoReadyEndpoint, RouteMissing, RouteUnsupported, RouteKindNotServed, ScriptFailed, RouteRefused, RoutePending,
	// RouteConflict, GatewaySettling, TrafficRoutingMissing, TrafficRoutingPending, Paused, Approval, Timer, Aborted,
	// DeadlineExceeded, AnalysisRunning, AnalysisFailed, AnalysisInconclusive, NoData, TooFewRequests, ProviderError,
	// WebhookPending, WebhookRefused, WebhookFailed or Working.
	Code BlockerCode `json:"code"`
	// Object is what to look at, in the namespace of the Rollout. Absent: the Rollout itself.
	//
	// +optional
	Object *BlockerObject `json:"object,omitempty"`
	// Since is since when it has been waited for: it stays for as long as code and object do.
	Since metav1.Time `json:"since"`
	// Until is when the controller goes on, tries again or gives up. Absent: when something changes.
	//
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
	// Message says, for people, what is waited for. At most 512 bytes.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// BlockerObject is an object in the namespace of the Rollout.
type BlockerObject struct {
	// Kind of the object, such as Pod or Service.
	Kind string `json:"kind"`
	// Name of the object.
	Name string `json:"name"`
}

// String is how messages name it.
func (o BlockerObject) String() string { return o.Kind + " " + o.Name }

// BlockerCode is a kind of thing that a release waits for. New ones may come with any version.
type BlockerCode string

// Pods of the new version.
const (
	// BlockerImagePull: the image of a container cannot be pulled.
	BlockerImagePull BlockerCode = "ImagePull"
	// BlockerCrashLoop: a container ends again and again.
	BlockerCrashLoop BlockerCode = "CrashLoop"
	// BlockerConfigError: a container cannot be created, mostly for a ConfigMap or Secret that is missing.
	BlockerConfigError BlockerCode = "ConfigError"
	// BlockerUnschedulable: no node fits a pod.
	BlockerUnschedulable BlockerCode = "Unschedulable"
	// BlockerVolumePending: a pod waits for a PersistentVolumeClaim to be bound.
	BlockerVolumePending BlockerCode = "VolumePending"
	// BlockerContainerCreating: the containers of a pod are not created for more than a minute.
	BlockerContainerCreating BlockerCode = "ContainerCreating"
	// BlockerNotReady: a pod runs for more than a minute and is not ready.
	BlockerNotReady BlockerCode = "NotReady"
	// BlockerQuotaExceeded: a ResourceQuota allows no more pods.
	BlockerQuotaExceeded BlockerCode = "QuotaExceeded"
	// BlockerPodsRefused: the API server, or an admission webhook, refuses pods of the workload.
	BlockerPodsRefused BlockerCode = "PodsRefused"
	// BlockerPodsPending: pods of the step are not ready yet.
	BlockerPodsPending BlockerCode = "PodsPending"
	// BlockerPodsExcess: more pods are updated than the step asks for.
	BlockerPodsExcess BlockerCode = "PodsExcess"
	// BlockerScaledToZero: the workload has no pods that could show that the version works.
	BlockerScaledToZero BlockerCode = "ScaledToZero"
	// BlockerSurgeLimit: the workload's own controller creates no more updated pods.
	BlockerSurgeLimit BlockerCode = "SurgeLimit"
)

// The workload, and who else works on it.
const (
	// BlockerWorkloadMissing: the workload does not exist.
	BlockerWorkloadMissing BlockerCode = "WorkloadMissing"
	// BlockerKindNotServed: the cluster does not have the workload's kind.
	BlockerKindNotServed BlockerCode = "KindNotServed"
	// BlockerKindUnsupported: this version does not release the workload's kind in this style.
	BlockerKindUnsupported BlockerCode = "KindUnsupported"
	// BlockerWorkloadNotObserved: the workload's own controller has not seen its latest spec.
	BlockerWorkloadNotObserved BlockerCode = "WorkloadNotObserved"
	// BlockerFirstPods: the workload has no pods yet.
	BlockerFirstPods BlockerCode = "FirstPods"
	// BlockerAdmissionNotReached: the admission webhook does not see changes of the workload.
	BlockerAdmissionNotReached BlockerCode = "AdmissionNotReached"
	// BlockerRolloutConflict: another Rollout manages the workload.
	BlockerRolloutConflict BlockerCode = "RolloutConflict"
	// BlockerBatchReleaseNameTaken: a BatchRelease of this name is somebody else's.
	BlockerBatchReleaseNameTaken BlockerCode = "BatchReleaseNameTaken"
	// BlockerBatchReleaseEnding: the BatchRelease of an earlier release is not gone yet.
	BlockerBatchReleaseEnding BlockerCode = "BatchReleaseEnding"
	// BlockerClaimedElsewhere: another BatchRelease releases the workload.
	BlockerClaimedElsewhere BlockerCode = "ClaimedElsewhere"
	// BlockerTemplateChanged: the pod template is not the one that a BatchRelease was made for.
	BlockerTemplateChanged BlockerCode = "TemplateChanged"
	// BlockerNoSteps: the strategy has no steps.
	BlockerNoSteps BlockerCode = "NoSteps"
	// BlockerWriteRefused: the API server does not take a write.
	BlockerWriteRefused BlockerCode = "WriteRefused"
	// BlockerWriteReverted: somebody reverts a write again and again.
	BlockerWriteReverted BlockerCode = "WriteReverted"
)

// Traffic.
const (
	// BlockerServiceMissing: a Service does not exist.
	BlockerServiceMissing BlockerCode = "ServiceMissing"
	// BlockerServiceUnusable: a Service cannot be divided between versions.
	BlockerServiceUnusable BlockerCode = "ServiceUnusable"
	// BlockerServiceShared: a Service selects pods of other workloads, too.
	BlockerServiceShared BlockerCode = "ServiceShared"
	// BlockerCanaryNameTaken: the name of the canary Service or Ingress is somebody else's.
	BlockerCanaryNameTaken BlockerCode = "CanaryNameTaken"
	// BlockerEndpointsPending: EndpointSlices do not show the pods that a Service selects.
	BlockerEndpointsPending BlockerCode = "EndpointsPending"
	// BlockerNoReadyEndpoint: no ready pod is behind a Service.
	BlockerNoReadyEndpoint BlockerCode = "NoReadyEndpoint"
	// BlockerRouteMissing: an Ingress, HTTPRoute, GRPCRoute or custom resource does not exist.
	BlockerRouteMissing BlockerCode = "RouteMissing"
	// BlockerRouteUnsupported: a route cannot be changed as the step asks.
	BlockerRouteUnsupported BlockerCode = "RouteUnsupported"
	// BlockerRouteKindNotServed: the cluster does not have the route's kind.
	BlockerRouteKindNotServed BlockerCode = "RouteKindNotServed"
	// BlockerScriptFailed: the Lua script of a route is missing or fails.
	BlockerScriptFailed BlockerCode = "ScriptFailed"
	// BlockerRouteRefused: a gateway refuses a route.
	BlockerRouteRefused BlockerCode = "RouteRefused"
	// BlockerRoutePending: no gateway has accepted a route yet.
	BlockerRoutePending BlockerCode = "RoutePending"
	// BlockerRouteConflict: somebody changes a route or Service back again and again.
	BlockerRouteConflict BlockerCode = "RouteConflict"
	// BlockerGatewaySettling: gateways get the time to apply a change.
	BlockerGatewaySettling BlockerCode = "GatewaySettling"
	// BlockerTrafficRoutingMissing: the TrafficRouting that the Rollout names does not exist.
	BlockerTrafficRoutingMissing BlockerCode = "TrafficRoutingMissing"
	// BlockerTrafficRoutingPending: the TrafficRouting has not updated its routes yet.
	BlockerTrafficRoutingPending BlockerCode = "TrafficRoutingPending"
)

// People, time and metrics.
const (
	// BlockerPaused: somebody paused the Rollout.
	BlockerPaused BlockerCode = "Paused"
	// BlockerApproval: the step waits for somebody to approve it.
	BlockerApproval BlockerCode = "Approval"
	// BlockerTimer: the step's pause has not passed.
	BlockerTimer BlockerCode = "Timer"
	// BlockerAborted: the release was aborted, and stays so until the template changes.
	BlockerAborted BlockerCode = "Aborted"
	// BlockerDeadlineExceeded: the step takes longer than spec.progressDeadlineSeconds.
	BlockerDeadlineExceeded BlockerCode = "DeadlineExceeded"
	// BlockerWebhookPending: a webhook of the step has not decided.
	BlockerWebhookPending BlockerCode = "WebhookPending"
	// BlockerWebhookRefused: a webhook does not allow the step.
	BlockerWebhookRefused BlockerCode = "WebhookRefused"
	// BlockerWebhookFailed: a webhook of the step cannot be asked, or said "not yet" for too long.
	BlockerWebhookFailed BlockerCode = "WebhookFailed"
	// BlockerAnalysisRunning: the metrics of the step are being measured.
	BlockerAnalysisRunning BlockerCode = "AnalysisRunning"
	// BlockerAnalysisFailed: metrics, or the pods, speak against the new version.
	BlockerAnalysisFailed BlockerCode = "AnalysisFailed"
	// BlockerAnalysisInconclusive: metrics speak neither for nor against the new version.
	BlockerAnalysisInconclusive BlockerCode = "AnalysisInconclusive"
	// BlockerNoData: a provider has no value of a metric.
	BlockerNoData BlockerCode = "NoData"
	// BlockerTooFewRequests: the versions had too few requests to compare them.
	BlockerTooFewRequests BlockerCode = "TooFewRequests"
	// BlockerProviderError: a metric cannot be measured.
	BlockerProviderError BlockerCode = "ProviderError"
	// BlockerWorking: the controller does something that takes a moment.
	BlockerWorking BlockerCode = "Working"
)
