// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"slices"
	"strings"

	"kruise.io/rollouts/api/v1beta1"
)

// Templates that are named together share their args. Those of the whole cluster are the platform's, with its Secrets, and the others,
// like the Rollout, a tenant's: what the two share must neither give the tenant a Secret of the platform, nor have the platform send
// one where the tenant says, nor get around the pattern of what a Rollout may give.

// isolated reports what of an analysis would.
func isolated(a v1beta1.Analysis, have []Template) error {
	var platform, tenant []Template
	for _, ref := range Refs(a.Templates, have) {
		at := slices.IndexFunc(have, func(t Template) bool { return t.Ref == ref })
		switch {
		case at < 0 || have[at].Spec == nil:
		case ref.ClusterScope:
			platform = append(platform, have[at])
		default:
			tenant = append(tenant, have[at])
		}
	}
	var gives []string
	for _, g := range a.Args {
		if g.Value != nil && strings.Contains(*g.Value, "{{") {
			return invalid("arg %s has {{ in its value, which would stand for another arg", g.Name)
		}
		gives = append(gives, g.Name)
	}
	p := declaredBy(platform, gives)
	for _, t := range tenant {
		if err := p.sharedWith(t); err != nil {
			return err
		}
	}
	for _, t := range platform {
		for _, m := range t.Spec.Metrics {
			if err := p.steeredBy(gives, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// declarations are the args of templates, by what is known of them.
type declarations struct{ open, secret map[string]bool } // without a value in any template; of Secrets, where the Rollout gives nothing else

func declaredBy(templates []Template, gives []string) declarations {
	d := declarations{open: map[string]bool{}, secret: map[string]bool{}}
	valued := map[string]bool{}
	for _, t := range templates {
		for _, a := range t.Spec.Args {
			valued[a.Name] = valued[a.Name] || given(a)
			d.open[a.Name] = !valued[a.Name]
			if isSecret(a) && !slices.Contains(gives, a.Name) {
				d.secret[a.Name] = true
			}
		}
	}
	return d
}

// sharedWith checks a tenant's template that is named beside the platform's.
func (p declarations) sharedWith(t Template) error {
	for _, a := range t.Spec.Args {
		if p.open[a.Name] && given(a) {
			return invalid("%s gives a value to arg %s of a ClusterAnalysisTemplate; give it in the Rollout, or rename one of the two", named(t.Ref), a.Name)
		}
	}
	for _, m := range t.Spec.Metrics {
		for _, arg := range argsOf(m.Provider) {
			if p.secret[arg] {
				return invalid("metric %s of %s uses arg %s, which is a Secret of a ClusterAnalysisTemplate; name a Secret in the template itself", m.Name, named(t.Ref), arg)
			}
		}
	}
	return nil
}

// steeredBy checks that a Rollout does not say where a metric with a Secret of the platform is asked for, whatever value the template has.
func (p declarations) steeredBy(gives []string, m v1beta1.Metric) error {
	if !slices.ContainsFunc(argsOf(m.Provider), func(arg string) bool { return p.secret[arg] }) {
		return nil
	}
	for _, arg := range Steering(m.Provider) {
		if slices.Contains(gives, arg) {
			return invalid("arg %s cannot be given by a Rollout: it decides where metric %s sends a Secret of its ClusterAnalysisTemplate", arg, m.Name)
		}
	}
	return nil
}

// argsOf are the args in a provider, by their names.
func argsOf(p v1beta1.MetricProvider) []string {
	var names []string
	for _, t := range textsOf(nil, p) {
		for _, found := range placeholder.FindAllStringSubmatch(t.text, -1) {
			if arg, isArg := strings.CutPrefix(found[1], "args."); isArg {
				names = append(names, arg)
			}
		}
	}
	return names
}
