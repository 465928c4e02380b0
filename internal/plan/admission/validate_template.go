// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
)

// A template is an AnalysisTemplate or a ClusterAnalysisTemplate.
type template interface {
	*v1beta1.AnalysisTemplate | *v1beta1.ClusterAnalysisTemplate
	metav1.Object
}

// specOf is what a template measures; cluster: it is one of the whole cluster.
func specOf[T template](t T) (spec *v1beta1.AnalysisTemplateSpec, cluster bool) {
	switch t := any(t).(type) {
	case *v1beta1.ClusterAnalysisTemplate:
		return &t.Spec, true
	case *v1beta1.AnalysisTemplate:
		return &t.Spec, false
	default:
		return &v1beta1.AnalysisTemplateSpec{}, false
	}
}

// settled reports whether nothing of a template has to be looked at: it goes, or an update leaves its spec as it was.
func settled[T template](t, old T) bool {
	if old == nil {
		return false
	}
	now, _ := specOf(t)
	was, _ := specOf(old)
	return t.GetDeletionTimestamp() != nil || equality.Semantic.DeepEqual(now, was)
}

// ValidateTemplate returns what is wrong with a template that is to be created (old is nil) or updated, by itself.
func ValidateTemplate[T template](t, old T) field.ErrorList {
	if settled(t, old) {
		return nil
	}
	spec, cluster := specOf(t)
	return analysis.ValidateTemplate(v1beta1.AnalysisTemplateRef{TemplateName: t.GetName(), ClusterScope: cluster}, spec)
}

// RunsJobs reports whether a template that is created, or changed, has Jobs run.
func RunsJobs[T template](t, old T) bool {
	if settled(t, old) {
		return false
	}
	spec, _ := specOf(t)
	return slices.ContainsFunc(spec.Metrics, func(m v1beta1.Metric) bool { return m.Provider.Job != nil })
}

// MayNotRun refuses a template with Jobs whose author may not create Jobs himself.
func MayNotRun(user, namespace string) field.ErrorList {
	where := "namespace " + namespace
	if namespace == "" {
		where = "all namespaces"
	}
	return field.ErrorList{field.Forbidden(field.NewPath("spec", "metrics"), fmt.Sprintf(
		"a template with a job can be written by who may create Jobs only, and %s may not in %s; ask for that right, or for somebody with it to write the template", user, where))}
}
