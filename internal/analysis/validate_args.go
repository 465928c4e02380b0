// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1beta1"
)

// argName is a name that a placeholder can have.
var argName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// intended is what is meant to be a placeholder. Other braces are the provider's own: of a Job's command, for instance.
var intended = regexp.MustCompile(`\{\{\s*(?:args|rollouts|inputs)\b[^{}]*\}\}`)

// IsArgName reports whether a placeholder can have this name.
func IsArgName(name string) bool { return argName.MatchString(name) }

// ValidateFieldPath says what is wrong with the way to a field of a Rollout.
func ValidateFieldPath(path string) error {
	_, err := fieldPath(path)
	if err == nil && path == "" {
		err = invalid("a fieldPath is empty; write one such as metadata.labels['app']")
	}
	return err
}

func isSecret(a v1beta1.Argument) bool { return a.ValueFrom != nil && a.ValueFrom.SecretKeyRef != nil }

func (v *validator) argument(at *field.Path, a *v1beta1.Argument) {
	if !argName.MatchString(a.Name) {
		v.invalid(at.Child("name"), a.Name, "no {{args.NAME}} can stand for it; write letters, digits, -, _ and .")
	}
	switch {
	case a.Value != nil && a.ValueFrom != nil:
		v.invalid(at.Child("valueFrom"), a.Name, "value and valueFrom cannot both be set; remove one of them")
	case a.ValueFrom != nil:
		v.valueFrom(at.Child("valueFrom"), a.ValueFrom)
	}
	if a.Pattern == "" {
		return
	}
	pattern, err := regexp.Compile(`^(?:` + a.Pattern + `)$`)
	switch {
	case err != nil:
		v.invalid(at.Child("pattern"), a.Pattern, "it is no regular expression: %v", err)
	case a.Value != nil && !pattern.MatchString(*a.Value):
		v.invalid(at.Child("value"), *a.Value, "it does not match the arg's own pattern %s", a.Pattern)
	}
}

func (v *validator) valueFrom(at *field.Path, from *v1beta1.ValueFrom) {
	given := 0
	if ref := from.SecretKeyRef; ref != nil {
		given++
		if problems := validation.IsDNS1123Subdomain(ref.Name); len(problems) > 0 {
			v.invalid(at.Child("secretKeyRef", "name"), ref.Name, "it is no name of a Secret: %s", strings.Join(problems, "; "))
		}
		if problems := validation.IsConfigMapKey(ref.Key); len(problems) > 0 {
			v.invalid(at.Child("secretKeyRef", "key"), ref.Key, "it is no key of a Secret: %s", strings.Join(problems, "; "))
		}
	}
	if from.FieldRef != nil {
		given++
		if err := ValidateFieldPath(from.FieldRef.FieldPath); err != nil {
			v.invalid(at.Child("fieldRef", "fieldPath"), from.FieldRef.FieldPath, "%v", err)
		}
	}
	if hash := from.PodTemplateHashValue; hash != "" {
		given++
		if hash != "Stable" && hash != "Latest" {
			v.add(field.NotSupported(at.Child("podTemplateHashValue"), hash, []string{"Stable", "Latest"}))
		}
	}
	if given != 1 {
		v.required(at, "exactly one of secretKeyRef, fieldRef and podTemplateHashValue; there are %d", given)
	}
}

// placeholders checks that all of a text stand for something. Where there are other templates, an arg may be declared in those.
func (v *validator) placeholders(at *field.Path, text string) {
	for _, found := range placeholder.FindAllStringSubmatch(text, -1) {
		name := found[1]
		if arg, isArg := strings.CutPrefix(name, "args."); isArg {
			if _, ok := v.args[arg]; !ok && len(v.spec.Templates) == 0 {
				v.invalid(at, found[0], "it stands for nothing: %s", v.declared())
			}
		} else if names := builtInNames(); !slices.Contains(names, name) {
			v.invalid(at, found[0], "it stands for nothing; there are %s", strings.Join(names, ", "))
		}
	}
	for _, found := range intended.FindAllString(text, -1) {
		if !placeholder.MatchString(found) {
			v.invalid(at, found, "it stands for nothing; write {{args.NAME}}")
		}
	}
}

func (v *validator) declared() string {
	if len(v.args) == 0 {
		return "the template declares no args; add them to spec.args"
	}
	return "the template declares the args " + strings.Join(slices.Sorted(maps.Keys(v.args)), ", ")
}

// builtInNames are what every template can use next to args.
func builtInNames() []string {
	return slices.Sorted(maps.Keys(Values{Rollout: &v1beta1.Rollout{}}.builtIn()))
}

// steering are the fields of providers that decide where a question goes, and with what credentials.
var steering = []string{"address", "url", "headers", "authentication", "jsonBody"}

// Steering are the args, by their names, in the fields of a provider that decide where a question goes and with what credentials. Who
// may give them could have a Secret of the template sent to a server of his own.
func Steering(p v1beta1.MetricProvider) []string {
	var names []string
	for _, t := range textsOf(nil, p) {
		for _, found := range placeholder.FindAllStringSubmatch(t.text, -1) {
			arg, isArg := strings.CutPrefix(found[1], "args.")
			if slices.Contains(steering, t.field) && isArg && !slices.Contains(names, arg) {
				names = append(names, arg)
			}
		}
	}
	return names
}

// used checks all args in the texts of a provider.
func (v *validator) used(at *field.Path, p v1beta1.MetricProvider) {
	for _, t := range textsOf(at, p) {
		v.placeholders(t.at, t.text)
		for _, found := range placeholder.FindAllStringSubmatch(t.text, -1) {
			arg, isArg := strings.CutPrefix(found[1], "args.")
			if a, declared := v.args[arg]; isArg && declared {
				v.mayBeIn(t, p, a)
			}
		}
	}
}

// byRollout reports whether who writes a Rollout says what the value of an arg is: there is none here, or it is read in the Rollout.
func byRollout(a v1beta1.Argument) bool {
	return !given(a) || a.ValueFrom != nil && a.ValueFrom.FieldRef != nil
}

// mayBeIn checks that nobody gets to see a Secret by an arg in this place.
func (v *validator) mayBeIn(t placed, p v1beta1.MetricProvider, a v1beta1.Argument) {
	switch {
	case isSecret(a) && p.Job != nil:
		v.forbidden(t.at, "arg %s is the value of a Secret, and everybody who reads Jobs would read it; name the Secret in the Job, by env.valueFrom.secretKeyRef or a volume", a.Name)
	case v.self.ClusterScope && slices.Contains(steering, t.field) && byRollout(a) && slices.ContainsFunc(v.spec.Args, isSecret):
		v.forbidden(t.at, "arg %s is one that a Rollout gives, and it would decide where the Secret of this ClusterAnalysisTemplate is sent; give it a value here", a.Name)
	}
}
