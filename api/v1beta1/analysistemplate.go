// SPDX-License-Identifier: Apache-2.0

package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// AnalysisTemplate is a list of metrics, and what they have to be for a release to go on. Rollouts of its namespace name
// it. Its fields are those of Argo Rollouts' kind of this name: a template moves over by its apiVersion.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=at
// +kubebuilder:printcolumn:name="METRICS",type="string",JSONPath=".spec.metrics[*].name",description="The names of the metrics"
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp"
type AnalysisTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is measured, and how it is judged.
	Spec AnalysisTemplateSpec `json:"spec"`
}

// AnalysisTemplateList is a list of AnalysisTemplates.
//
// +kubebuilder:object:root=true
type AnalysisTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AnalysisTemplate `json:"items"`
}

// ClusterAnalysisTemplate is an AnalysisTemplate for Rollouts of all namespaces. Its Secrets are those of the manager's namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=cat
// +kubebuilder:printcolumn:name="METRICS",type="string",JSONPath=".spec.metrics[*].name",description="The names of the metrics"
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp"
type ClusterAnalysisTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is measured, and how it is judged.
	Spec AnalysisTemplateSpec `json:"spec"`
}

// ClusterAnalysisTemplateList is a list of ClusterAnalysisTemplates.
//
// +kubebuilder:object:root=true
type ClusterAnalysisTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterAnalysisTemplate `json:"items"`
}

// AnalysisTemplateSpec is what is measured, and how it is judged.
type AnalysisTemplateSpec struct {
	// Metrics to measure, by their names. With those of templates, at most 20. Absent: those of templates only.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=20
	Metrics []Metric `json:"metrics,omitempty"`
	// Args are named values that {{args.NAME}} stands for in the metrics. A Rollout gives those that have no value here.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=50
	Args []Argument `json:"args,omitempty"`
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
	// Templates whose metrics and args are added to these.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=20
	Templates []AnalysisTemplateRef `json:"templates,omitempty"`
}

// Metric is what is asked of a provider, how often, and what the answer has to be.
type Metric struct {
	// Name of the metric, unique among those of an analysis.
	//
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Interval from the end of one measurement to the start of the next, as Go writes durations, such as "30s"; at least
	// "5s". Absent: one measurement.
	//
	// +optional
	Interval string `json:"interval,omitempty"`
	// InitialDelay before the first measurement, from the start of the analysis, such as "1m". Absent: none.
	//
	// +optional
	InitialDelay string `json:"initialDelay,omitempty"`
	// Count is how many measurements without an error are made. Absent or 0: 1 without an interval; with one, until the
	// analysis ends.
	//
	// +optional
	Count *intstr.IntOrString `json:"count,omitempty"`
	// SuccessCondition has to hold for a measurement to succeed: an expression of result, such as "result[0] >= 0.95".
	// Absent: what the other condition does not say; without both, a measurement without an error succeeds.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	SuccessCondition string `json:"successCondition,omitempty"`
	// FailureCondition is looked at first: where it holds the measurement fails. Neither holds: it is inconclusive.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	FailureCondition string `json:"failureCondition,omitempty"`
	// FailureLimit is how many measurements may fail; one more fails the metric. -1, with consecutiveSuccessLimit only:
	// any number. Default: 0.
	//
	// +optional
	FailureLimit *intstr.IntOrString `json:"failureLimit,omitempty"`
	// InconclusiveLimit is how many measurements may be inconclusive. Default: 0.
	//
	// +optional
	InconclusiveLimit *intstr.IntOrString `json:"inconclusiveLimit,omitempty"`
	// ConsecutiveErrorLimit is how many measurements in a row may end in an error, or without data: after those the analysis
	// waits, and asks again. Default: 4.
	//
	// +optional
	ConsecutiveErrorLimit *intstr.IntOrString `json:"consecutiveErrorLimit,omitempty"`
	// ConsecutiveSuccessLimit is how many successes in a row are enough for the metric to succeed. Default: 0, off.
	//
	// +optional
	ConsecutiveSuccessLimit *intstr.IntOrString `json:"consecutiveSuccessLimit,omitempty"`
	// Provider is who is asked: exactly one of its fields.
	Provider MetricProvider `json:"provider"`
}

// Argument is a named value of a template.
type Argument struct {
	// Name by which metrics refer to it.
	//
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Value where the Rollout gives none. Absent, and without valueFrom: the Rollout has to give one.
	//
	// +optional
	Value *string `json:"value,omitempty"`
	// ValueFrom is where the value is read, instead of value.
	//
	// +optional
	ValueFrom *ValueFrom `json:"valueFrom,omitempty"`
	// Pattern that the whole value has to match (RE2). Absent: in a ClusterAnalysisTemplate [A-Za-z0-9_:./-]* for what a
	// Rollout gives, so that it cannot widen a query; else any.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pattern string `json:"pattern,omitempty"`
}

// ValueFrom is where a value is read: one of its fields.
type ValueFrom struct {
	// SecretKeyRef names a key of a Secret: of the template's namespace, or of the manager's for a ClusterAnalysisTemplate.
	// In a template only. Its value is shown nowhere.
	//
	// +optional
	SecretKeyRef *SecretKeyRef `json:"secretKeyRef,omitempty"`
	// FieldRef names a field of the Rollout.
	//
	// +optional
	FieldRef *FieldRef `json:"fieldRef,omitempty"`
	// PodTemplateHashValue is the value of the pods' revision label: Stable for those before the release, Latest for those
	// of the release.
	//
	// +optional
	PodTemplateHashValue string `json:"podTemplateHashValue,omitempty"`
}

// SecretKeyRef names a key of a Secret.
type SecretKeyRef struct {
	// Name of the Secret.
	Name string `json:"name"`
	// Key in its data.
	Key string `json:"key"`
}

// FieldRef names a field of the Rollout.
type FieldRef struct {
	// FieldPath is the way to it: in metadata or spec, such as metadata.labels['app']; of the status the revisions and the hash of
	// canaryStatus and blueGreenStatus.
	FieldPath string `json:"fieldPath"`
}

// DryRun names a metric that does not count.
type DryRun struct {
	// MetricName is the metric's name; "*" stands for all.
	MetricName string `json:"metricName"`
}

// MeasurementRetention is how many measurements of a metric are kept.
type MeasurementRetention struct {
	// MetricName is the metric's name; "*" stands for all.
	MetricName string `json:"metricName"`
	// Limit is their number, at most 20.
	Limit int32 `json:"limit"`
}

// AnalysisTemplateRef names a template.
type AnalysisTemplateRef struct {
	// TemplateName is its name.
	TemplateName string `json:"templateName"`
	// ClusterScope is true for a ClusterAnalysisTemplate. Default: false, one of the same namespace.
	//
	// +optional
	ClusterScope bool `json:"clusterScope,omitempty"`
}

// MetricProvider is who is asked for a metric: exactly one field.
type MetricProvider struct {
	// Prometheus, or what answers like it (Thanos, Mimir, VictoriaMetrics).
	//
	// +optional
	Prometheus *PrometheusMetric `json:"prometheus,omitempty"`
	// Web asks an address, and reads a JSON answer.
	//
	// +optional
	Web *WebMetric `json:"web,omitempty"`
	// Job runs a Job in the Rollout's namespace: complete is a success, failed a failure.
	//
	// +optional
	Job *JobMetric `json:"job,omitempty"`
	// Datadog is asked by a query of its metrics.
	//
	// +optional
	Datadog *DatadogMetric `json:"datadog,omitempty"`
	// CloudWatch of AWS is asked for metric data.
	//
	// +optional
	CloudWatch *CloudWatchMetric `json:"cloudWatch,omitempty"`
	// NewRelic is asked in NRQL.
	//
	// +optional
	NewRelic *NewRelicMetric `json:"newRelic,omitempty"`
	// Influxdb of version 2 is asked in Flux.
	//
	// +optional
	Influxdb *InfluxdbMetric `json:"influxdb,omitempty"`
	// Graphite is asked by a target of its render API.
	//
	// +optional
	Graphite *GraphiteMetric `json:"graphite,omitempty"`
}

// PrometheusMetric is a query of Prometheus. result is a number for a scalar, else a list of numbers.
type PrometheusMetric struct {
	// Address of its HTTP API, such as http://prometheus.monitoring:9090. Absent: the manager's --prometheus-address.
	//
	// +optional
	Address string `json:"address,omitempty"`
	// Query in PromQL.
	//
	// +optional
	Query string `json:"query,omitempty"`
	// RangeQuery asks for a range of times instead of the present one. Absent: an instant query.
	//
	// +optional
	RangeQuery *PrometheusRangeQuery `json:"rangeQuery,omitempty"`
	// Timeout of a query, in seconds, from 1 to 60. Default: 30.
	//
	// +optional
	Timeout *int64 `json:"timeout,omitempty"`
	// Insecure is true to accept any certificate, where the manager allows that. Default: false.
	//
	// +optional
	Insecure bool `json:"insecure,omitempty"`
	// Headers to send, such as X-Scope-OrgID. Absent: none.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=16
	Headers []MetricHeader `json:"headers,omitempty"`
	// Authentication to send. Absent: none.
	//
	// +optional
	Authentication Authentication `json:"authentication,omitzero"`
}

// PrometheusRangeQuery is a range of times. All of its fields are needed.
type PrometheusRangeQuery struct {
	// Start of the range, an expression such as now() - duration("1h").
	//
	// +optional
	Start string `json:"start,omitempty"`
	// End of the range, an expression such as now().
	//
	// +optional
	End string `json:"end,omitempty"`
	// Step between its points, such as "1m".
	//
	// +optional
	Step string `json:"step,omitempty"`
}

// MetricHeader is a header of a request.
type MetricHeader struct {
	// Key is its name.
	Key string `json:"key"`
	// Value of it.
	Value string `json:"value"`
}

// Authentication is how a request is authenticated: at most one of its fields.
type Authentication struct {
	// BasicAuth sends a user name and a password.
	//
	// +optional
	BasicAuth *BasicAuth `json:"basicAuth,omitempty"`
	// OAuth2 asks for a token by client credentials.
	//
	// +optional
	OAuth2 *OAuth2 `json:"oauth2,omitempty"`
}

// BasicAuth is a user name and a password: args of Secrets, as a rule.
type BasicAuth struct {
	// Username to send.
	Username string `json:"username"`
	// Password to send, such as {{args.password}}.
	Password string `json:"password"`
}

// OAuth2 is a request for a token by client credentials.
type OAuth2 struct {
	// TokenURL is where the token is asked for.
	TokenURL string `json:"tokenUrl"`
	// ClientID to send.
	ClientID string `json:"clientId"`
	// ClientSecret to send, such as {{args.secret}}.
	ClientSecret string `json:"clientSecret"`
	// Scopes to ask for. Absent: none.
	//
	// +optional
	Scopes []string `json:"scopes,omitempty"`
}

// WebMetric is a request whose JSON answer is the result; an answer that is no JSON is a text.
type WebMetric struct {
	// URL to ask, http or https.
	URL string `json:"url"`
	// Method is GET, POST or PUT. Default: GET.
	//
	// +optional
	Method string `json:"method,omitempty"`
	// Headers to send. Absent: none.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=16
	Headers []MetricHeader `json:"headers,omitempty"`
	// Body to send, as it is; with POST and PUT only. Absent: none.
	//
	// +optional
	Body string `json:"body,omitempty"`
	// JSONBody to send as JSON, instead of body. Absent: none.
	//
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	JSONBody *runtime.RawExtension `json:"jsonBody,omitempty"`
	// JSONPath of the result in the answer, such as {$.data.rate}. Default: {$}, all of it.
	//
	// +optional
	JSONPath string `json:"jsonPath,omitempty"`
	// TimeoutSeconds of a request, from 1 to 60. Default: 10.
	//
	// +optional
	TimeoutSeconds int64 `json:"timeoutSeconds,omitempty"`
	// Insecure is true to accept any certificate, where the manager allows that. Default: false.
	//
	// +optional
	Insecure bool `json:"insecure,omitempty"`
	// Authentication to send. Absent: none.
	//
	// +optional
	Authentication Authentication `json:"authentication,omitzero"`
}

// JobMetric is a Job to run.
type JobMetric struct {
	// Metadata of the Job: labels and annotations. Absent: none.
	//
	// +optional
	Metadata JobMetadata `json:"metadata,omitzero"`
	// Spec of the Job (batch/v1). Its restartPolicy and backoffLimit are those of Kubernetes where they are absent.
	//
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Spec runtime.RawExtension `json:"spec"`
}

// JobMetadata is the metadata of a Job.
type JobMetadata struct {
	// Labels of the Job. Absent: none.
	//
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations of the Job. Absent: none.
	//
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// DatadogMetric is a query of Datadog. Its address, api-key and app-key are in the Secret.
type DatadogMetric struct {
	// Interval that the query looks back, such as "5m". Default: 5m.
	//
	// +optional
	Interval string `json:"interval,omitempty"`
	// Query to ask. One of query and queries has to be set.
	//
	// +optional
	Query string `json:"query,omitempty"`
	// Queries to ask, by the names that formula uses (apiVersion v2).
	//
	// +optional
	Queries map[string]string `json:"queries,omitempty"`
	// Formula of the queries' names. Absent: there is one query.
	//
	// +optional
	Formula string `json:"formula,omitempty"`
	// APIVersion is v1 or v2. Default: v1, and v2 where queries are set.
	//
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	// Aggregator makes one number of the points (v2): avg, min, max, sum, last, percentile, mean, l2norm or area. Default: last.
	//
	// +optional
	Aggregator string `json:"aggregator,omitempty"`
	// SecretRef names the Secret with address, api-key and app-key. Default: datadog, of the manager's namespace.
	//
	// +optional
	SecretRef DatadogSecretRef `json:"secretRef,omitzero"`
}

// DatadogSecretRef names a Secret.
type DatadogSecretRef struct {
	// Name of the Secret.
	//
	// +optional
	Name string `json:"name,omitempty"`
	// Namespaced is true for a Secret of the template's namespace. Default: false, the manager's namespace.
	//
	// +optional
	Namespaced bool `json:"namespaced,omitempty"`
}

// CloudWatchMetric is a query of CloudWatch.
type CloudWatchMetric struct {
	// Interval that the query looks back, such as "5m". Default: 5m.
	//
	// +optional
	Interval string `json:"interval,omitempty"`
	// MetricDataQueries of GetMetricData.
	//
	// +kubebuilder:validation:MaxItems=20
	MetricDataQueries []CloudWatchQuery `json:"metricDataQueries"`
}

// CloudWatchQuery is one query of GetMetricData.
type CloudWatchQuery struct {
	// ID by which other queries, and the result, name it.
	ID string `json:"id"`
	// Expression of other queries' ids, or a SEARCH. One of expression and metricStat has to be set.
	//
	// +optional
	Expression *string `json:"expression,omitempty"`
	// Label of the result.
	//
	// +optional
	Label *string `json:"label,omitempty"`
	// MetricStat is a metric, and how it is summed up.
	//
	// +optional
	MetricStat *CloudWatchStat `json:"metricStat,omitempty"`
	// Period of a point, in seconds.
	//
	// +optional
	Period *int32 `json:"period,omitempty"`
	// ReturnData is false for a query that only others use. Default: true.
	//
	// +optional
	ReturnData *bool `json:"returnData,omitempty"`
}

// CloudWatchStat is a metric of CloudWatch, and how it is summed up.
type CloudWatchStat struct {
	// Metric to read.
	Metric CloudWatchName `json:"metric"`
	// Period of a point, in seconds.
	Period int32 `json:"period"`
	// Stat is how it is summed up, such as Sum or p99.
	Stat string `json:"stat"`
	// Unit of it. Absent: any.
	//
	// +optional
	Unit string `json:"unit,omitempty"`
}

// CloudWatchName names a metric of CloudWatch.
type CloudWatchName struct {
	// Dimensions of the metric. Absent: none.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=30
	Dimensions []CloudWatchDimension `json:"dimensions,omitempty"`
	// MetricName is its name.
	MetricName string `json:"metricName"`
	// Namespace is its namespace in CloudWatch. Absent: none.
	//
	// +optional
	Namespace *string `json:"namespace,omitempty"`
}

// CloudWatchDimension is a dimension of a metric.
type CloudWatchDimension struct {
	// Name of the dimension.
	Name string `json:"name"`
	// Value of it.
	Value string `json:"value"`
}

// NewRelicMetric is a query of New Relic.
type NewRelicMetric struct {
	// Query in NRQL. result is the first row, or a list of rows.
	Query string `json:"query"`
	// Profile is the Secret of the manager's namespace with personal-api-key, account-id and region. Default: newrelic.
	//
	// +optional
	Profile string `json:"profile,omitempty"`
	// Timeout of the query, in seconds, from 1 to 60. Default: 10.
	//
	// +optional
	Timeout *int64 `json:"timeout,omitempty"`
}

// InfluxdbMetric is a query of InfluxDB 2.
type InfluxdbMetric struct {
	// Query in Flux. result is a list of the values of _value.
	Query string `json:"query"`
	// Profile is the Secret of the manager's namespace with address, authToken and org. Default: influxdb.
	//
	// +optional
	Profile string `json:"profile,omitempty"`
}

// GraphiteMetric is a query of Graphite.
type GraphiteMetric struct {
	// Address of its web API.
	Address string `json:"address"`
	// Query is a target of the render API. result is a list of the points of the last five minutes.
	Query string `json:"query"`
}
