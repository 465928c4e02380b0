// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Each part below has a form in v1alpha1, a form in v1beta1, and one function for each direction.

// alphaStyle is a Rollout's style in v1alpha1: an annotation.
type alphaStyle struct {
	Annotation *string `json:"annotation,omitempty"`
}

// betaStyle is a Rollout's style in v1beta1: a field. The annotation is no more than a memory there.
type betaStyle struct {
	Extra      bool    `json:"extra,omitempty"`
	Annotation *string `json:"annotation,omitempty"`
}

func styleToBeta(in alphaStyle) betaStyle {
	partition := in.Annotation != nil && strings.EqualFold(*in.Annotation, string(rolloutsv1beta1.PartitionRollingStyle))
	return betaStyle{Extra: !partition, Annotation: in.Annotation}
}

func styleToAlpha(in betaStyle) alphaStyle {
	if in.Extra {
		return alphaStyle{Annotation: new("canary")}
	}
	return alphaStyle{Annotation: new("partition")}
}

// alphaRouting is the TrafficRouting a v1alpha1 Rollout names: by an annotation.
type alphaRouting struct {
	Annotation *string `json:"annotation,omitempty"`
}

// betaRouting is the TrafficRouting a v1beta1 Rollout names: by a field and an annotation.
type betaRouting struct {
	Ref        string  `json:"ref,omitempty"`
	Annotation *string `json:"annotation,omitempty"`
}

func routingToBeta(in alphaRouting) betaRouting {
	out := betaRouting{Annotation: in.Annotation}
	if in.Annotation != nil {
		out.Ref = *in.Annotation
	}
	return out
}

func routingToAlpha(in betaRouting) alphaRouting {
	if in.Ref != "" {
		return alphaRouting{Annotation: &in.Ref}
	}
	return alphaRouting{Annotation: in.Annotation}
}

// The workload reference is optional in v1alpha1; without one v1beta1 has empty values.

func refToBeta(in ObjectRef) rolloutsv1beta1.ObjectRef {
	if in.WorkloadRef == nil {
		return rolloutsv1beta1.ObjectRef{}
	}
	return *in.WorkloadRef
}

func refToAlpha(in rolloutsv1beta1.ObjectRef) ObjectRef {
	if in == (rolloutsv1beta1.ObjectRef{}) {
		return ObjectRef{}
	}
	return ObjectRef{WorkloadRef: &in}
}

// alphaSize is how far a step goes in v1alpha1: weight is in percent and stands for replicas where there are none.
type alphaSize struct {
	Weight   *int32              `json:"weight,omitempty"`
	Replicas *intstr.IntOrString `json:"replicas,omitempty"`
}

// betaSize is how far a step goes in v1beta1: traffic is a percentage, and replicas are explicit.
type betaSize struct {
	Traffic  *string             `json:"traffic,omitempty"`
	Replicas *intstr.IntOrString `json:"replicas,omitempty"`
}

func sizeToBeta(in alphaSize) betaSize {
	out := betaSize{Replicas: in.Replicas}
	if in.Weight == nil {
		return out
	}
	percent := strconv.Itoa(int(*in.Weight)) + "%"
	out.Traffic = &percent
	if in.Replicas == nil {
		out.Replicas = new(intstr.FromString(percent))
	}
	return out
}

// sizeToAlpha leaves weight absent where traffic is no percentage.
func sizeToAlpha(in betaSize) alphaSize {
	out := alphaSize{Replicas: in.Replicas}
	if in.Traffic == nil {
		return out
	}
	number, ok := strings.CutSuffix(*in.Traffic, "%")
	if weight, err := strconv.ParseInt(number, 10, 32); ok && err == nil {
		out.Weight = new(int32(weight))
	}
	return out
}

// v1alpha1 matches headers only.

func matchToBeta(in HttpRouteMatch) rolloutsv1beta1.HttpRouteMatch {
	return rolloutsv1beta1.HttpRouteMatch{Headers: in.Headers}
}

func matchToAlpha(in rolloutsv1beta1.HttpRouteMatch) HttpRouteMatch {
	return HttpRouteMatch{Headers: in.Headers}
}

// alphaPlanStyle is a BatchRelease's style in v1alpha1, where the annotation counts and the field does not.
type alphaPlanStyle struct {
	Field      rolloutsv1beta1.RollingStyleType `json:"field,omitempty"`
	Annotation *string                          `json:"annotation,omitempty"`
}

// betaPlanStyle is a BatchRelease's style in v1beta1, where the field counts and the annotation does not.
type betaPlanStyle struct {
	Field      rolloutsv1beta1.RollingStyleType `json:"field,omitempty"`
	Annotation *string                          `json:"annotation,omitempty"`
}

func planStyleToBeta(in alphaPlanStyle) betaPlanStyle {
	out := betaPlanStyle{Annotation: in.Annotation}
	if in.Annotation == nil {
		return out
	}
	for _, style := range []rolloutsv1beta1.RollingStyleType{
		rolloutsv1beta1.PartitionRollingStyle, rolloutsv1beta1.CanaryRollingStyle, rolloutsv1beta1.BlueGreenRollingStyle,
	} {
		if strings.EqualFold(*in.Annotation, string(style)) {
			out.Field = style
		}
	}
	return out
}

func planStyleToAlpha(in betaPlanStyle) alphaPlanStyle {
	return alphaPlanStyle{Field: in.Field, Annotation: new(strings.ToLower(string(in.Field)))}
}
