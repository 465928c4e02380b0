// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1beta1"
)

// job checks what is known of a Job before it is made: the API server would refuse it in the middle of a release.
func (v *validator) job(at *field.Path, p v1beta1.MetricProvider) {
	meta := at.Child("metadata")
	for _, key := range slices.Sorted(maps.Keys(p.Job.Metadata.Labels)) {
		v.qualified(meta.Child("labels"), key)
		if value := p.Job.Metadata.Labels[key]; !placeholder.MatchString(value) && len(validation.IsValidLabelValue(value)) > 0 {
			v.invalid(meta.Child("labels").Key(key), value, "it is no value of a label")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.Job.Metadata.Annotations)) {
		v.qualified(meta.Child("annotations"), strings.ToLower(key))
	}
	spec := batchv1.JobSpec{}
	if err := json.Unmarshal(p.Job.Spec.Raw, &spec); err != nil {
		v.invalid(at.Child("spec"), "", "it is no spec of a Job (batch/v1): %v", err)
		return
	}
	pod := at.Child("spec", "template", "spec")
	if len(spec.Template.Spec.Containers) == 0 {
		v.required(pod.Child("containers"), "the containers of the Job")
	}
	switch policy := spec.Template.Spec.RestartPolicy; {
	case policy == corev1.RestartPolicyNever, policy == corev1.RestartPolicyOnFailure, placeholder.MatchString(string(policy)):
	default:
		v.add(field.NotSupported(pod.Child("restartPolicy"), policy, []corev1.RestartPolicy{corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure}))
	}
}

func (v *validator) qualified(at *field.Path, key string) {
	if problems := validation.IsQualifiedName(key); len(problems) > 0 {
		v.invalid(at, key, "it is no key of a label or an annotation: %s", strings.Join(problems, "; "))
	}
}

// aggregators are those of Datadog's scalar queries.
var aggregators = []string{"avg", "min", "max", "sum", "last", "percentile", "mean", "l2norm", "area"}

func (v *validator) datadog(at *field.Path, p v1beta1.MetricProvider) {
	m := p.Datadog
	v.lasting(at.Child("interval"), m.Interval)
	switch {
	case m.Query == "" && len(m.Queries) == 0:
		v.required(at.Child("query"), "one of query and queries")
	case m.Query != "" && len(m.Queries) > 0:
		v.forbidden(at.Child("queries"), "query and queries cannot both be set; remove one of them")
	case len(m.Queries) > 1 && m.Formula == "":
		v.required(at.Child("formula"), "a formula of the names of the queries")
	}
	v.datadogVersion(at, m)
	v.secretName(at.Child("secretRef", "name"), m.SecretRef.Name)
	if v.self.ClusterScope && m.SecretRef.Namespaced {
		v.invalid(at.Child("secretRef", "namespaced"), true, "a ClusterAnalysisTemplate has no namespace; its Secrets are those of the manager's")
	}
}

// datadogVersion checks that fields are of the version that is asked.
func (v *validator) datadogVersion(at *field.Path, m *v1beta1.DatadogMetric) {
	version := m.APIVersion
	if version == "" && len(m.Queries) > 0 {
		version = "v2"
	}
	switch version {
	case "", "v1":
		if len(m.Queries) > 0 || m.Formula != "" || m.Aggregator != "" {
			v.invalid(at.Child("apiVersion"), m.APIVersion, "queries, formula and aggregator are of apiVersion v2; write that")
		}
	case "v2":
		if m.Aggregator != "" && !slices.Contains(aggregators, m.Aggregator) {
			v.add(field.NotSupported(at.Child("aggregator"), m.Aggregator, aggregators))
		}
	default:
		v.add(field.NotSupported(at.Child("apiVersion"), m.APIVersion, []string{"v1", "v2"}))
	}
}

// queryID is what CloudWatch takes for one.
var queryID = regexp.MustCompile(`^[a-z][a-zA-Z0-9_]{0,254}$`)

func (v *validator) cloudWatch(at *field.Path, p v1beta1.MetricProvider) {
	m := p.CloudWatch
	v.lasting(at.Child("interval"), m.Interval)
	at = at.Child("metricDataQueries")
	seen, returned := map[string]bool{}, len(m.MetricDataQueries) == 0
	if len(m.MetricDataQueries) == 0 {
		v.required(at, "at least one query")
	}
	for i, q := range m.MetricDataQueries {
		at := at.Index(i)
		switch {
		case !queryID.MatchString(q.ID):
			v.invalid(at.Child("id"), q.ID, "it begins with a small letter, and has letters, digits and _ only")
		case seen[q.ID]:
			v.add(field.Duplicate(at.Child("id"), q.ID))
		}
		seen[q.ID] = true
		returned = returned || q.ReturnData == nil || *q.ReturnData
		if (q.Expression == nil) == (q.MetricStat == nil) {
			v.required(at, "exactly one of expression and metricStat")
		}
		v.period(at.Child("period"), q.Period)
		if q.MetricStat != nil {
			v.metricStat(at.Child("metricStat"), q.MetricStat)
		}
	}
	if !returned {
		v.required(at, "a query whose returnData is true: the result is made of those")
	}
}

func (v *validator) metricStat(at *field.Path, s *v1beta1.CloudWatchStat) {
	v.text(at.Child("metric", "metricName"), s.Metric.MetricName, "the metric's name")
	v.text(at.Child("stat"), s.Stat, "how it is summed up, such as Sum or p99")
	v.period(at.Child("period"), &s.Period)
	for i, d := range s.Metric.Dimensions {
		v.text(at.Child("metric", "dimensions").Index(i).Child("name"), d.Name, "the dimension's name")
	}
}

// period checks a number of seconds that CloudWatch sums up over.
func (v *validator) period(at *field.Path, seconds *int32) {
	if seconds == nil {
		return
	}
	switch s := *seconds; {
	case s == 1, s == 5, s == 10, s == 20, s == 30, s > 0 && s%60 == 0:
	default:
		v.invalid(at, s, "it is in seconds: 1, 5, 10, 20, 30, or a multiple of 60")
	}
}
