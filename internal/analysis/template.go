// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"slices"
	"strings"

	"kruise.io/rollouts/api/v1beta1"
)

// maxMetrics is how many metrics an analysis may have: their status has to stay small.
const maxMetrics = 20

// A Template is one that an analysis names, as it was read.
type Template struct {
	Ref       v1beta1.AnalysisTemplateRef
	Namespace string // where its Secrets are; "": those of the manager
	Spec      *v1beta1.AnalysisTemplateSpec
}

// named is how messages call a template.
func named(ref v1beta1.AnalysisTemplateRef) string {
	if ref.ClusterScope {
		return "ClusterAnalysisTemplate " + ref.TemplateName
	}
	return "AnalysisTemplate " + ref.TemplateName
}

// A scoped is something of a template, which knows where that template's Secrets are.
type scoped[T any] struct {
	item      T
	namespace string
	cluster   bool
}

// flat is what templates come to together.
type flat struct {
	metrics   []scoped[v1beta1.Metric]
	args      map[string]scoped[v1beta1.Argument] // the declaration that gives a value, where one does
	guards    map[string][]v1beta1.Argument       // of args, what ClusterAnalysisTemplates say that values given by others have to look like
	clashes   map[string]bool                     // args that two templates give different values
	foreign   map[string]bool                     // args whose values are not those of a ClusterAnalysisTemplate
	dryRun    []v1beta1.DryRun
	retention []v1beta1.MeasurementRetention
}

// A TemplateError is one that only an edit of a template, or of who names it, mends.
type TemplateError string

func (e TemplateError) Error() string { return string(e) }

func invalid(format string, args ...any) error { return TemplateError(fmt.Sprintf(format, args...)) }

// flatten puts templates together, with those that they name. A template named twice counts once.
func flatten(refs []v1beta1.AnalysisTemplateRef, have []Template) (*flat, error) {
	f := &flat{args: map[string]scoped[v1beta1.Argument]{}, guards: map[string][]v1beta1.Argument{}, clashes: map[string]bool{}, foreign: map[string]bool{}}
	seen := map[v1beta1.AnalysisTemplateRef]bool{}
	if err := f.addAll(refs, have, seen, nil); err != nil {
		return nil, err
	}
	if n := len(f.metrics); n > maxMetrics {
		return nil, invalid("the templates have %d metrics together; the limit is %d", n, maxMetrics)
	}
	return f, nil
}

func (f *flat) addAll(refs []v1beta1.AnalysisTemplateRef, have []Template, seen map[v1beta1.AnalysisTemplateRef]bool, way []v1beta1.AnalysisTemplateRef) error {
	for _, ref := range refs {
		if slices.Contains(way, ref) {
			return invalid("%s names itself, by way of its templates", named(ref))
		}
		if len(way) > 0 && way[len(way)-1].ClusterScope && !ref.ClusterScope {
			return invalid("%s names %s; it can name only templates with clusterScope: true", named(way[len(way)-1]), named(ref))
		}
		if seen[ref] {
			continue
		}
		seen[ref] = true
		at := slices.IndexFunc(have, func(t Template) bool { return t.Ref == ref })
		if at < 0 || have[at].Spec == nil {
			return invalid("%s does not exist", named(ref))
		}
		if err := f.add(have[at]); err != nil {
			return err
		}
		if err := f.addAll(have[at].Spec.Templates, have, seen, append(slices.Clone(way), ref)); err != nil {
			return err
		}
	}
	return nil
}

func (f *flat) add(t Template) error {
	for _, m := range t.Spec.Metrics {
		if slices.ContainsFunc(f.metrics, func(s scoped[v1beta1.Metric]) bool { return s.item.Name == m.Name }) {
			return invalid("two metrics have the name %s; names are unique in an analysis", m.Name)
		}
		f.metrics = append(f.metrics, scoped[v1beta1.Metric]{m, t.Namespace, t.Ref.ClusterScope})
	}
	for _, a := range t.Spec.Args {
		if t.Ref.ClusterScope || a.Pattern != "" {
			guard := a
			if guard.Pattern == "" {
				guard.Pattern = clusterPattern
			}
			f.guards[a.Name] = append(f.guards[a.Name], guard)
		}
		have, found := f.args[a.Name]
		switch {
		case !found || !given(have.item):
			f.args[a.Name] = scoped[v1beta1.Argument]{a, t.Namespace, t.Ref.ClusterScope}
		case given(a) && !sameValue(have, scoped[v1beta1.Argument]{a, t.Namespace, t.Ref.ClusterScope}):
			f.clashes[a.Name] = true
		}
	}
	f.dryRun = append(f.dryRun, t.Spec.DryRun...)
	f.retention = append(f.retention, t.Spec.MeasurementRetention...)
	return nil
}

// given reports whether an arg has a value of its own.
func given(a v1beta1.Argument) bool { return a.Value != nil || a.ValueFrom != nil }

func sameValue(a, b scoped[v1beta1.Argument]) bool {
	switch {
	case a.item.Value != nil && b.item.Value != nil:
		return *a.item.Value == *b.item.Value
	case a.item.ValueFrom != nil && b.item.ValueFrom != nil:
		return fmt.Sprintf("%+v", *a.item.ValueFrom) == fmt.Sprintf("%+v", *b.item.ValueFrom) && a.namespace == b.namespace && a.item.ValueFrom.SecretKeyRef == nil
	default:
		return false
	}
}

// Refs are the templates that an analysis needs, as far as they are known: those that it names, and those that these name.
func Refs(refs []v1beta1.AnalysisTemplateRef, have []Template) []v1beta1.AnalysisTemplateRef {
	var all []v1beta1.AnalysisTemplateRef
	var add func(refs []v1beta1.AnalysisTemplateRef)
	add = func(refs []v1beta1.AnalysisTemplateRef) {
		for _, ref := range refs {
			if slices.Contains(all, ref) || len(all) > maxMetrics*maxMetrics {
				continue
			}
			all = append(all, ref)
			if at := slices.IndexFunc(have, func(t Template) bool { return t.Ref == ref }); at >= 0 && have[at].Spec != nil {
				add(have[at].Spec.Templates)
			}
		}
	}
	add(refs)
	return all
}

// isDryRun reports whether a metric is measured only to be shown.
func isDryRun(name string, lists ...[]v1beta1.DryRun) bool {
	for _, list := range lists {
		for _, d := range list {
			if d.MetricName == "*" || d.MetricName == name {
				return true
			}
		}
	}
	return false
}

const (
	defaultRetention = 10
	maxRetention     = 20
	totalRetention   = 100 // of all metrics of an analysis: so that a status stays within its budget
)

// retained is how many measurements of a metric are kept, among n metrics; the first list that names it counts.
func retained(name string, n int, lists ...[]v1beta1.MeasurementRetention) int {
	limit := defaultRetention
find:
	for _, list := range lists {
		for _, r := range list {
			if r.MetricName == "*" || r.MetricName == name {
				limit = int(r.Limit)
				break find
			}
		}
	}
	return max(1, min(limit, maxRetention, totalRetention/max(1, n)))
}

// trimmed cuts a text to a number of characters.
func trimmed(text string, limit int) string {
	return shortened(strings.ToValidUTF8(text, "?"), limit)
}
