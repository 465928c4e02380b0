// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/conversion"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// rolloutAlphaData is what only v1alpha1 can hold of a Rollout.
type rolloutAlphaData struct {
	ObjectRef *ObjectRef                           `json:"objectRef,omitempty"`
	RolloutID string                               `json:"rolloutID,omitempty"`
	Style     *alphaStyle                          `json:"style,omitempty"`
	Routing   *alphaRouting                        `json:"routing,omitempty"`
	Steps     stepsData[alphaSize, HttpRouteMatch] `json:"steps,omitzero"`
}

// rolloutBetaData is what only v1beta1 can hold of a Rollout.
type rolloutBetaData struct {
	Style           *betaStyle                                          `json:"style,omitempty"`
	Routing         *betaRouting                                        `json:"routing,omitempty"`
	Steps           stepsData[betaSize, rolloutsv1beta1.HttpRouteMatch] `json:"steps,omitzero"`
	BlueGreen       *rolloutsv1beta1.BlueGreenStrategy                  `json:"blueGreen,omitempty"`
	BlueGreenStatus *rolloutsv1beta1.BlueGreenStatus                    `json:"blueGreenStatus,omitempty"`
	Step            *stepMirror                                         `json:"step,omitempty"`
	Analysis        *analysisData                                       `json:"analysis,omitempty"`
	Webhooks        []rolloutsv1beta1.WebhookStatus                     `json:"webhooks,omitempty"`
	Approval        *rolloutsv1beta1.ApprovalStatus                     `json:"approval,omitempty"`
}

// analysisData is what a Rollout says of metrics and deadlines, but for its steps. A client of v1alpha1 cannot see it, nor lose it.
type analysisData struct {
	ProgressDeadlineSeconds *int32                              `json:"progressDeadlineSeconds,omitempty"`
	OnDeadline              rolloutsv1beta1.AnalysisAction      `json:"onDeadline,omitempty"`
	Background              *rolloutsv1beta1.BackgroundAnalysis `json:"background,omitempty"`
	Status                  *rolloutsv1beta1.AnalysisStatus     `json:"status,omitempty"`
}

// stepAt is where a release is.
type stepAt struct {
	Index int32                           `json:"index,omitempty"`
	State rolloutsv1beta1.CanaryStepState `json:"state,omitempty"`
}

// stepMirror is a v1beta1 status whose top level disagrees with the style's own status, as it does for a moment after
// a client has approved a step.
type stepMirror struct {
	Top    stepAt `json:"top"`
	Nested stepAt `json:"nested"`
}

// nestedStep is where a release is by the style's own status, which counts.
func nestedStep(status *rolloutsv1beta1.RolloutStatus) stepAt {
	switch {
	case status.CanaryStatus != nil:
		return stepAt{status.CanaryStatus.CurrentStepIndex, status.CanaryStatus.CurrentStepState}
	case status.BlueGreenStatus != nil:
		return stepAt{status.BlueGreenStatus.CurrentStepIndex, status.BlueGreenStatus.CurrentStepState}
	default:
		return stepAt{}
	}
}

// ConvertTo writes the Rollout as v1beta1.
func (r *Rollout) ConvertTo(hub conversion.Hub) error {
	dst, ok := hub.(*rolloutsv1beta1.Rollout)
	if !ok {
		return fmt.Errorf("converting a Rollout to %T: want *v1beta1.Rollout", hub)
	}
	src := r.DeepCopy()
	dst.ObjectMeta = src.ObjectMeta
	kept := takeData[rolloutBetaData](&dst.ObjectMeta, rolloutsv1beta1.GroupVersion.Version)

	data := rolloutAlphaData{RolloutID: src.Spec.DeprecatedRolloutID}
	dst.Spec = rolloutsv1beta1.RolloutSpec{
		WorkloadRef: refToBeta(src.Spec.ObjectRef),
		Strategy:    rolloutsv1beta1.RolloutStrategy{Paused: src.Spec.Strategy.Paused},
		Disabled:    src.Spec.Disabled,
	}
	data.ObjectRef = lost(src.Spec.ObjectRef, dst.Spec.WorkloadRef, refToAlpha)
	if src.Spec.Strategy.Canary != nil {
		dst.Spec.Strategy.Canary = canaryToBeta(src.Spec.Strategy.Canary, &dst.ObjectMeta, kept, &data)
	} else {
		// v1alpha1 shows a blue-green Rollout as one without a strategy; one with a strategy was changed into a canary.
		dst.Spec.Strategy.BlueGreen = kept.BlueGreen
	}
	analysis := analysisData{}
	if kept.Analysis != nil {
		analysis = *kept.Analysis
	}
	dst.Spec.ProgressDeadlineSeconds, dst.Spec.OnDeadline = analysis.ProgressDeadlineSeconds, analysis.OnDeadline
	if dst.Spec.Strategy.Canary != nil {
		dst.Spec.Strategy.Canary.Analysis = analysis.Background
	}

	dst.Status = rolloutsv1beta1.RolloutStatus{
		ObservedGeneration: src.Status.ObservedGeneration,
		CanaryStatus:       src.Status.CanaryStatus,
		BlueGreenStatus:    kept.BlueGreenStatus,
		Conditions:         src.Status.Conditions,
		Message:            src.Status.Message,
		Phase:              src.Status.Phase,
		Release:            src.Status.Release,
		Blockers:           src.Status.Blockers,
		Analysis:           analysis.Status,
		Webhooks:           kept.Webhooks,
		Approval:           kept.Approval,
	}
	at := nestedStep(&dst.Status)
	if kept.Step != nil && kept.Step.Nested == at {
		at = kept.Step.Top
	}
	dst.Status.CurrentStepIndex, dst.Status.CurrentStepState = at.Index, at.State
	return leaveData(&dst.ObjectMeta, GroupVersion.Version, data)
}

// canaryToBeta converts a strategy and the annotations of meta that belong to it, which are v1beta1's afterwards.
func canaryToBeta(src *CanaryStrategy, meta *metav1.ObjectMeta, kept rolloutBetaData, data *rolloutAlphaData) *rolloutsv1beta1.CanaryStrategy {
	dst := &rolloutsv1beta1.CanaryStrategy{
		TrafficRoutings:              src.TrafficRoutings,
		FailureThreshold:             src.FailureThreshold,
		PatchPodTemplateMetadata:     src.PatchPodTemplateMetadata,
		DisableGenerateCanaryService: src.DisableGenerateCanaryService,
	}
	dst.Steps, data.Steps = stepsToBeta(src.Steps, kept.Steps)

	was := alphaStyle{annotation(meta, rolloutsv1beta1.AnnotationRollingStyle)}
	style := restored(kept.Style, was, styleToAlpha, styleToBeta)
	dst.EnableExtraWorkloadForCanary = style.Extra
	setAnnotation(meta, rolloutsv1beta1.AnnotationRollingStyle, style.Annotation)
	data.Style = lost(was, style, styleToAlpha)

	named := alphaRouting{annotation(meta, rolloutsv1beta1.AnnotationTrafficRouting)}
	routing := restored(kept.Routing, named, routingToAlpha, routingToBeta)
	dst.TrafficRoutingRef = routing.Ref
	setAnnotation(meta, rolloutsv1beta1.AnnotationTrafficRouting, routing.Annotation)
	data.Routing = lost(named, routing, routingToAlpha)
	return dst
}

// ConvertFrom reads the Rollout from v1beta1. A blue-green one shows everything but its strategy and its progress.
func (r *Rollout) ConvertFrom(hub conversion.Hub) error {
	from, ok := hub.(*rolloutsv1beta1.Rollout)
	if !ok {
		return fmt.Errorf("converting a Rollout from %T: want *v1beta1.Rollout", hub)
	}
	src, dst := from.DeepCopy(), r
	dst.ObjectMeta = src.ObjectMeta
	kept := takeData[rolloutAlphaData](&dst.ObjectMeta, GroupVersion.Version)

	data := rolloutBetaData{
		BlueGreen: src.Spec.Strategy.BlueGreen, BlueGreenStatus: src.Status.BlueGreenStatus, Webhooks: src.Status.Webhooks, Approval: src.Status.Approval,
	}
	dst.Spec = RolloutSpec{
		ObjectRef:           restored(kept.ObjectRef, src.Spec.WorkloadRef, refToBeta, refToAlpha),
		Strategy:            RolloutStrategy{Paused: src.Spec.Strategy.Paused},
		DeprecatedRolloutID: kept.RolloutID,
		Disabled:            src.Spec.Disabled,
	}
	if src.Spec.Strategy.Canary != nil {
		dst.Spec.Strategy.Canary = canaryToAlpha(src.Spec.Strategy.Canary, &dst.ObjectMeta, kept, &data)
	}

	dst.Status = RolloutStatus{
		ObservedGeneration: src.Status.ObservedGeneration,
		CanaryStatus:       src.Status.CanaryStatus,
		Conditions:         src.Status.Conditions,
		Message:            src.Status.Message,
		Phase:              src.Status.Phase,
		Release:            src.Status.Release,
		Blockers:           src.Status.Blockers,
	}
	analysis := analysisData{ProgressDeadlineSeconds: src.Spec.ProgressDeadlineSeconds, OnDeadline: src.Spec.OnDeadline, Status: src.Status.Analysis}
	if src.Spec.Strategy.Canary != nil {
		analysis.Background = src.Spec.Strategy.Canary.Analysis
	}
	if analysis != (analysisData{}) {
		data.Analysis = &analysis
	}
	top, nested := stepAt{src.Status.CurrentStepIndex, src.Status.CurrentStepState}, nestedStep(&src.Status)
	if top != nested {
		data.Step = &stepMirror{Top: top, Nested: nested}
	}
	return leaveData(&dst.ObjectMeta, rolloutsv1beta1.GroupVersion.Version, data)
}

// canaryToAlpha converts a strategy and the annotations of meta that belong to it, which are v1alpha1's afterwards.
func canaryToAlpha(src *rolloutsv1beta1.CanaryStrategy, meta *metav1.ObjectMeta, kept rolloutAlphaData, data *rolloutBetaData) *CanaryStrategy {
	dst := &CanaryStrategy{
		TrafficRoutings:              src.TrafficRoutings,
		FailureThreshold:             src.FailureThreshold,
		PatchPodTemplateMetadata:     src.PatchPodTemplateMetadata,
		DisableGenerateCanaryService: src.DisableGenerateCanaryService,
	}
	dst.Steps, data.Steps = stepsToAlpha(src.Steps, kept.Steps)

	was := betaStyle{src.EnableExtraWorkloadForCanary, annotation(meta, rolloutsv1beta1.AnnotationRollingStyle)}
	style := restored(kept.Style, was, styleToBeta, styleToAlpha)
	setAnnotation(meta, rolloutsv1beta1.AnnotationRollingStyle, style.Annotation)
	data.Style = lost(was, style, styleToBeta)

	named := betaRouting{src.TrafficRoutingRef, annotation(meta, rolloutsv1beta1.AnnotationTrafficRouting)}
	routing := restored(kept.Routing, named, routingToBeta, routingToAlpha)
	setAnnotation(meta, rolloutsv1beta1.AnnotationTrafficRouting, routing.Annotation)
	data.Routing = lost(named, routing, routingToBeta)
	return dst
}
