// SPDX-License-Identifier: Apache-2.0

package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Analysis is which metrics decide about a release, and what follows from them.
type Analysis struct {
	// Templates whose metrics are measured.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=20
	Templates []AnalysisTemplateRef `json:"templates,omitempty"`
	// Args of the templates, by their names. One that no template declares is an error.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=50
	Args []AnalysisArgument `json:"args,omitempty"`
	// DryRun names metrics that are measured and shown, and never count.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=20
	DryRun []DryRun `json:"dryRun,omitempty"`
	// MeasurementRetention is how many measurements of a metric the status keeps. Default: 10 of each.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=20
	MeasurementRetention []MeasurementRetention `json:"measurementRetention,omitempty"`
	// SuccessRate is the least share of the new version's requests that is answered without an error (5xx), without a
	// template: a percentage such as 99 or "99.5%". Absent: not looked at.
	//
	// +optional
	SuccessRate *intstr.IntOrString `json:"successRate,omitempty"`
	// Latency is how long the new version's requests may take, without a template: by quantile (p50, p75, p90, p95, p99 or
	// p999) a duration such as "300ms". Absent: not looked at.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=6
	Latency map[string]string `json:"latency,omitempty"`
	// Compare the new version's requests with the stable one's, without a template. Absent: they are not compared.
	//
	// +optional
	Compare *RequestComparison `json:"compare,omitempty"`
	// Pods looks at what Kubernetes says of the pods themselves: images that cannot be pulled, containers that crash or run
	// out of memory, readiness that comes and goes. Default: it does.
	//
	// +optional
	Pods *PodCheck `json:"pods,omitempty"`
	// Prometheus is who knows of requests, for successRate, latency and compare.
	//
	// +optional
	Prometheus *PrometheusSource `json:"prometheus,omitempty"`
	// MinRequests that either version has to have had before they are judged. Default: 50.
	//
	// +optional
	MinRequests *int32 `json:"minRequests,omitempty"`
	// OnFailure is what follows when a metric fails: pause, or abort. Default: pause.
	//
	// +optional
	OnFailure AnalysisAction `json:"onFailure,omitempty"`
	// OnInconclusive is what follows when the metrics neither succeed nor fail: pause, abort or continue. Default: pause.
	//
	// +optional
	OnInconclusive AnalysisAction `json:"onInconclusive,omitempty"`
	// OnError is what follows when a provider cannot be asked: pause or abort. Default: pause.
	//
	// +optional
	OnError AnalysisAction `json:"onError,omitempty"`
	// OnNoData is what follows when a provider has nothing to say: pause, abort or continue. Default: pause.
	//
	// +optional
	OnNoData AnalysisAction `json:"onNoData,omitempty"`
	// OnTooFewRequests is what follows when a version had fewer requests than minRequests at the end of timeout: pause, abort
	// or continue. Default: pause.
	//
	// +optional
	OnTooFewRequests AnalysisAction `json:"onTooFewRequests,omitempty"`
}

// StepAnalysis is an analysis that a step waits for, after its traffic is routed and before its pause.
type StepAnalysis struct {
	Analysis `json:",inline"`
	// For is how long metrics without an end are watched, such as "5m". Absent: until those that have one are done.
	//
	// +optional
	For string `json:"for,omitempty"`
	// Timeout is when the analysis is inconclusive at the latest, from its start. Default: 30m, and at least for.
	//
	// +optional
	Timeout string `json:"timeout,omitempty"`
}

// BackgroundAnalysis is an analysis that runs beside the steps, until the last of them is done.
type BackgroundAnalysis struct {
	Analysis `json:",inline"`
	// StartingStep is the step, from 1, whose pods are the first to be looked at. Default: 1.
	//
	// +optional
	StartingStep *int32 `json:"startingStep,omitempty"`
}

// AnalysisAction is what follows from an analysis: pause, abort or continue.
type AnalysisAction string

// What follows from an analysis.
const (
	// ActionPause: the release stays at its step until the analysis succeeds, or somebody approves.
	ActionPause AnalysisAction = "pause"
	// ActionAbort: the release is aborted: requests first, then pods go back to the stable version.
	ActionAbort AnalysisAction = "abort"
	// ActionContinue: the release goes on.
	ActionContinue AnalysisAction = "continue"
)

// AnalysisArgument is a value that a Rollout gives to a template.
type AnalysisArgument struct {
	// Name of the arg in the template.
	//
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Value of it. One of value and valueFrom has to be set.
	//
	// +optional
	Value *string `json:"value,omitempty"`
	// ValueFrom is where the value is read: fieldRef or podTemplateHashValue.
	//
	// +optional
	ValueFrom *AnalysisValueFrom `json:"valueFrom,omitempty"`
}

// AnalysisValueFrom is where a value is read: one of its fields.
type AnalysisValueFrom struct {
	// FieldRef names a field of the Rollout.
	//
	// +optional
	FieldRef *FieldRef `json:"fieldRef,omitempty"`
	// PodTemplateHashValue is the value of the pods' revision label: Stable or Latest.
	//
	// +optional
	PodTemplateHashValue string `json:"podTemplateHashValue,omitempty"`
}

// RequestComparison is by how much the new version may be worse than the stable one. A sequential test decides, with at most
// one false alarm in a hundred analyses, however often it looks. Empty: errors and slow at their defaults.
type RequestComparison struct {
	// Errors is by how much the new version's share of requests with an error may exceed the stable one's, a percentage.
	// Default: "0.5%".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Errors string `json:"errors,omitempty"`
	// Slow is by how much the new version's share of slow requests may exceed the stable one's, a percentage. Default: "5%";
	// "off" where latency is not compared.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Slow string `json:"slow,omitempty"`
	// Quantile of the stable version's requests beyond which one is slow, such as "0.9". Default: "0.9".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Quantile string `json:"quantile,omitempty"`
}

// PodCheck is whether pods themselves are looked at.
type PodCheck struct {
	// Disabled is true where they are not. Default: false.
	//
	// +optional
	Disabled bool `json:"disabled,omitempty"`
}

// PrometheusSource is a Prometheus that knows of requests.
type PrometheusSource struct {
	// Address of its HTTP API. Absent: the manager's --prometheus-address.
	//
	// +optional
	Address string `json:"address,omitempty"`
	// Gateway is whose metrics are read: traefik, ingress-nginx or istio. Absent: found by the class of the Ingress, the controller that has accepted the HTTPRoute, or the kind of the custom route.
	//
	// +optional
	Gateway string `json:"gateway,omitempty"`
	// ExportedLabels: the gateway is scraped by a ServiceMonitor or PodMonitor without honorLabels, so that Prometheus has renamed its
	// labels namespace and service to exported_namespace and exported_service. Default: false.
	//
	// +optional
	ExportedLabels bool `json:"exportedLabels,omitempty"`
	// PodMetrics are counters that the application's pods have themselves, read in place of the gateway's: for gateways that do not
	// distinguish the versions, and for workloads that get their requests by other ways. Absent: the gateway's are read.
	//
	// +optional
	PodMetrics *PodMetrics `json:"podMetrics,omitempty"`
}

// PodMetrics are counters of an application that counts its requests itself, with the name of the pod in a label.
type PodMetrics struct {
	// Requests is the name of the counter of all requests, such as http_requests_total.
	Requests string `json:"requests"`
	// Errors is the name of a counter of those that failed. Absent: they are those of requests that errorSelector matches.
	//
	// +optional
	Errors string `json:"errors,omitempty"`
	// ErrorSelector is which of the requests failed, by matchers of PromQL, such as code=~"5..". Absent: errors counts them.
	//
	// +optional
	ErrorSelector string `json:"errorSelector,omitempty"`
	// Buckets is the name of the buckets of a histogram of how long requests took, in seconds, such as
	// http_request_duration_seconds_bucket. Absent: latency is not looked at.
	//
	// +optional
	Buckets string `json:"buckets,omitempty"`
	// PodLabel is the label that has the name of the pod. Default: pod.
	//
	// +optional
	PodLabel string `json:"podLabel,omitempty"`
}

// AnalysisStatus is how far the analyses of a release are.
type AnalysisStatus struct {
	// Step is the analysis that the present step waits for, or waited for. Absent: the step has none.
	//
	// +optional
	Step *AnalysisRun `json:"step,omitempty"`
	// Background is the analysis that runs beside the steps. Absent: there is none, or not yet.
	//
	// +optional
	Background *AnalysisRun `json:"background,omitempty"`
}

// AnalysisRun is one analysis.
type AnalysisRun struct {
	// Phase of it: Running, Successful, Failed, Inconclusive, Error, NoData, TooFewRequests or Skipped.
	Phase AnalysisPhase `json:"phase"`
	// Message says, for people, why.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// Step of the release, from 1, that it belongs to, or began in.
	Step int32 `json:"step"`
	// Revision being released.
	//
	// +optional
	Revision string `json:"revision,omitempty"`
	// Hash of the metrics as they were rendered: with another one the analysis starts over.
	//
	// +optional
	Hash string `json:"hash,omitempty"`
	// StartTime is when it began.
	//
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// CompletionTime is when it ended. Absent: it runs.
	//
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// Requests are those that were counted since it began, where it looks at requests without a template. Absent: it does not, or none
	// were counted yet.
	//
	// +optional
	Requests *RequestCounts `json:"requests,omitempty"`
	// Metrics of it, in the order of the templates.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=40
	Metrics []MetricStatus `json:"metrics,omitempty"`
}

// RequestCounts are the requests of both versions, as their gateway has counted them.
type RequestCounts struct {
	// Canary is how many the new version had.
	Canary int64 `json:"canary"`
	// Stable is how many the stable version had.
	Stable int64 `json:"stable"`
	// CanaryShare is the new version's share of both, as in 19.8%.
	//
	// +optional
	CanaryShare string `json:"canaryShare,omitempty"`
	// WantedShare is the step's traffic, as in 20%. Absent: the step routes by matches, or the analysis lasts longer than a step.
	//
	// +optional
	WantedShare string `json:"wantedShare,omitempty"`
}

// AnalysisPhase is how far an analysis, a metric or a measurement is.
type AnalysisPhase string

// Phases of analyses, metrics and measurements.
const (
	// AnalysisRunning: nothing is decided.
	AnalysisRunning AnalysisPhase = "Running"
	// AnalysisSuccessful: it is as it has to be.
	AnalysisSuccessful AnalysisPhase = "Successful"
	// AnalysisFailed: it is not.
	AnalysisFailed AnalysisPhase = "Failed"
	// AnalysisInconclusive: neither can be said.
	AnalysisInconclusive AnalysisPhase = "Inconclusive"
	// AnalysisError: the provider could not be asked, or its answer not be read.
	AnalysisError AnalysisPhase = "Error"
	// AnalysisNoData: the provider has nothing to say.
	AnalysisNoData AnalysisPhase = "NoData"
	// AnalysisTooFewRequests: a version had fewer requests than can be judged.
	AnalysisTooFewRequests AnalysisPhase = "TooFewRequests"
	// AnalysisSkipped: somebody approved before it was done.
	AnalysisSkipped AnalysisPhase = "Skipped"
)

// MetricStatus is how far a metric is.
type MetricStatus struct {
	// Name of the metric.
	Name string `json:"name"`
	// Phase of it.
	Phase AnalysisPhase `json:"phase"`
	// DryRun is true for one that does not count.
	//
	// +optional
	DryRun bool `json:"dryRun,omitempty"`
	// Message says why, where that is not plain from the value.
	//
	// +optional
	Message string `json:"message,omitempty"`
	// Value that was measured last.
	//
	// +optional
	Value string `json:"value,omitempty"`
	// Query that is asked, where the Rollout names no template: it can be pasted into Prometheus.
	//
	// +optional
	Query string `json:"query,omitempty"`
	// Count of measurements without an error.
	//
	// +optional
	Count int32 `json:"count,omitempty"`
	// Successful measurements.
	//
	// +optional
	Successful int32 `json:"successful,omitempty"`
	// Failed measurements.
	//
	// +optional
	Failed int32 `json:"failed,omitempty"`
	// Inconclusive measurements.
	//
	// +optional
	Inconclusive int32 `json:"inconclusive,omitempty"`
	// NoData is how many measurements found nothing.
	//
	// +optional
	NoData int32 `json:"noData,omitempty"`
	// Error is how many measurements ended in an error.
	//
	// +optional
	Error int32 `json:"error,omitempty"`
	// ConsecutiveError is how many of the last ones ended in an error, or found nothing.
	//
	// +optional
	ConsecutiveError int32 `json:"consecutiveError,omitempty"`
	// ConsecutiveSuccess is how many of the last ones succeeded.
	//
	// +optional
	ConsecutiveSuccess int32 `json:"consecutiveSuccess,omitempty"`
	// LastTime is when the last measurement was finished.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`
	LastTime *metav1.MicroTime `json:"lastTime,omitempty"`
	// State is what a comparison has counted so far; for the controller only.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	State string `json:"state,omitempty"`
	// Measurements that were made last, the newest at the end.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=20
	Measurements []Measurement `json:"measurements,omitempty"`
}

// Measurement is one answer of a provider.
type Measurement struct {
	// Time it was finished.
	Time metav1.Time `json:"time"`
	// Phase of it.
	Phase AnalysisPhase `json:"phase"`
	// Value of it, at most 64 characters.
	//
	// +optional
	Value string `json:"value,omitempty"`
	// Message, where it was no success.
	//
	// +optional
	Message string `json:"message,omitempty"`
}
