// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// deploymentKind is the one whose releases v1alpha1 has next to it unless it says otherwise.
var deploymentKind = schema.GroupKind{Group: "apps", Kind: "Deployment"}

// How to get releases in batches for a Deployment, by version.
const (
	betaAdvice  = "enableExtraWorkloadForCanary: false releases a Deployment in batches"
	alphaAdvice = "the annotation " + v1beta1.AnnotationRollingStyle + ": partition releases a Deployment in batches"
)

// kindOf returns group and kind of a reference. A malformed apiVersion is a group no one knows.
func kindOf(ref v1beta1.ObjectRef) schema.GroupKind {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return schema.GroupKind{Group: ref.APIVersion, Kind: ref.Kind}
	}
	return gv.WithKind(ref.Kind).GroupKind()
}

// alphaStyle is how a v1alpha1 Rollout moves pods: by its annotation, and for Deployments only next to them.
func alphaStyle(ro *v1alpha1.Rollout) v1beta1.RollingStyleType {
	ref := ro.Spec.ObjectRef.WorkloadRef
	if ref == nil || kindOf(*ref) != deploymentKind ||
		strings.EqualFold(ro.Annotations[v1beta1.AnnotationRollingStyle], string(v1beta1.PartitionRollingStyle)) {
		return v1beta1.PartitionRollingStyle
	}
	return v1beta1.CanaryRollingStyle
}

// validateWorkload checks that there is such a workload kind, and that it can be released in this style.
func validateWorkload(ref v1beta1.ObjectRef, style v1beta1.RollingStyleType, l Limits, advice string) field.ErrorList {
	kind := kindOf(ref)
	var errs field.ErrorList
	invalid := func(text string) { errs = append(errs, field.Invalid(workloadPath, ref, text)) }
	switch {
	case ref == (v1beta1.ObjectRef{}):
		invalid("WorkloadRef kind is not supported; workloadRef needs apiVersion, kind and name of the workload")
		return errs
	case l.FilterWorkloadType && !workload.Known(kind.Group, kind.Kind):
		invalid("WorkloadRef kind is not supported; " + kindAdvice(ref, kind, l))
	case style == v1beta1.BlueGreenRollingStyle && !workload.Supports(kind.Group, kind.Kind, style):
		invalid("WorkloadRef kind is not supported for bluegreen style; " + blueGreenKinds() + " are")
	case !workload.Known(kind.Group, kind.Kind) && style == v1beta1.PartitionRollingStyle: // whatever it is, it is taken for a StatefulSet
	case l.Supports != nil && !l.Supports(kind.Group, kind.Kind, style):
		text := fmt.Sprintf("WorkloadRef kind is not supported in %s style by this version; %s", style, supported(l))
		if kind == deploymentKind && style == v1beta1.CanaryRollingStyle {
			text += "; " + advice
		}
		invalid(text)
	}
	if ref.Name == "" {
		errs = append(errs, field.Required(workloadPath.Child("Name"), "the workload's name"))
	}
	if most := validation.LabelValueMaxLength; style == v1beta1.CanaryRollingStyle && len(ref.Name) > most {
		errs = append(errs, field.Invalid(workloadPath.Child("Name"), ref.Name, fmt.Sprintf(
			"the workload's name must be no more than %d characters in Canary style, because it is the value of a label of the canary Deployment; %s", most, advice)))
	}
	return errs
}

// validateLed checks that requests can be routed to one version of the workload, where that is asked for: a Service finds its
// pods by a label that they have from the moment they are made.
func validateLed(ref v1beta1.ObjectRef, r routes) field.ErrorList {
	kind := kindOf(ref)
	if !r.any() || !workload.Known(kind.Group, kind.Kind) || workload.KindOf(ref).RevisionKey != "" {
		return nil
	}
	return field.ErrorList{field.Invalid(workloadPath, ref, fmt.Sprintf(
		"WorkloadRef kind is not supported with traffic routing: the pods of a %s have no label with their revision for a Service to select; "+
			"remove trafficRoutings, trafficRoutingRef and the annotation %s, or make it a Deployment", kind.Kind, v1beta1.AnnotationTrafficRouting))}
}

func validateAlphaLed(ro, old *v1alpha1.Rollout) field.ErrorList {
	ref := ro.Spec.ObjectRef.WorkloadRef
	if ref == nil || ro.Spec.Strategy.Canary == nil {
		return nil
	}
	now := alphaRoutes(ro)
	if old != nil && old.Spec.Strategy.Canary != nil && now.equal(alphaRoutes(old)) && equality.Semantic.DeepEqual(old.Spec.ObjectRef, ro.Spec.ObjectRef) {
		return nil // it was so before
	}
	return append(validateLed(*ref, now), validateHolder(ro.Name, now)...)
}

// kindAdvice says what may have been meant by a kind no one knows.
func kindAdvice(ref v1beta1.ObjectRef, kind schema.GroupKind, l Limits) string {
	for _, known := range workload.Kinds() {
		switch {
		case known.Kind == kind.Kind:
			return fmt.Sprintf("%s is in apiVersion %s/..., not in %q", known.Kind, known.Group, ref.APIVersion)
		case known.Group == kind.Group && strings.EqualFold(known.Kind, kind.Kind):
			return fmt.Sprintf("write kind: %s", known.Kind)
		}
	}
	return supported(l)
}

// supported lists the kinds there are drivers for, and their styles.
func supported(l Limits) string {
	var kinds []string
	for _, kind := range workload.Kinds() {
		var styles []string
		for _, style := range []v1beta1.RollingStyleType{
			v1beta1.PartitionRollingStyle, v1beta1.CanaryRollingStyle, v1beta1.BlueGreenRollingStyle,
		} {
			if kind.Styles[style] != nil && (l.Supports == nil || l.Supports(kind.Group, kind.Kind, style)) {
				styles = append(styles, string(style))
			}
		}
		if len(styles) > 0 {
			kinds = append(kinds, fmt.Sprintf("%s %s (%s)", kind.Group, kind.Kind, strings.Join(styles, ", ")))
		}
	}
	return "supported: " + strings.Join(kinds, ", ")
}

// blueGreenKinds lists those that can run both versions in full.
func blueGreenKinds() string {
	var kinds []string
	for _, kind := range workload.Kinds() {
		if kind.Styles[v1beta1.BlueGreenRollingStyle] != nil {
			kinds = append(kinds, fmt.Sprintf("%s (%s)", kind.Kind, kind.Group))
		}
	}
	return strings.Join(kinds, " and ")
}

// validateConflict checks that no other Rollout releases the same workload; disabled ones count.
func validateConflict(namespace, name string, ref v1beta1.ObjectRef, others []v1beta1.Rollout) field.ErrorList {
	for i := range others {
		other := &others[i]
		if other.Namespace != namespace || other.Name == name ||
			other.Spec.WorkloadRef.Name != ref.Name || kindOf(other.Spec.WorkloadRef) != kindOf(ref) {
			continue
		}
		return field.ErrorList{field.Invalid(field.NewPath("Conflict Checker"), ref, fmt.Sprintf(
			"This rollout conflict with Rollout(%s/%s), one workload only have less than one Rollout; delete one of the two",
			other.Namespace, other.Name))}
	}
	return nil
}
