// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/kubectl/pkg/scheme"
	"k8s.io/kubectl/pkg/util/templates"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// approve confirms the step a release is in.
type approve struct {
	*shell
	selection
	print  *genericclioptions.PrintFlags
	toStep int32
	skip   bool
}

func newApprove(s *shell) *cobra.Command {
	o := &approve{shell: s, print: genericclioptions.NewPrintFlags("approved").WithTypeSetter(scheme.Scheme)}
	c := &cobra.Command{
		Use:                   "approve " + selectionUse,
		DisableFlagsInUseLine: true,
		Short:                 "Approve the current step of a release, so that the next one begins",
		Long: templates.LongDesc(`
			Approve the current step of a release, so that the next one begins.

			A step without a pause duration waits for this. The approval applies only to the step that was read: if the release
			has continued meanwhile, nothing is written.

			A step whose analysis is not good waits for this, too: the approval is on record with what the metrics said. While the
			analysis is still running, --skip-analysis ends it. Where a webhook has refused the step, or could not be asked, the
			approval stands in its place, and in that of no other.`),
		Example: examples(`
			# Approve the current step
			%[1]s rollout approve rollout/web

			# Approve the current steps of several releases
			%[1]s rollout approve rollout/web rollout/api

			# Jump to step 4, and skip the steps before it
			%[1]s rollout approve rollout/web --to-step 4

			# Approve the current step without waiting for its metrics
			%[1]s rollout approve rollout/web --skip-analysis

			# Approve the current step of the Rollout in a file
			%[1]s rollout approve -f rollout.yaml`),
		RunE: func(_ *cobra.Command, args []string) error { return o.each(s, args, o.approve) },
	}
	o.bind(c)
	o.print.AddFlags(c)
	c.Flags().Int32Var(&o.toStep, "to-step", 0, "Jump to this step, from 1, instead of the next one. An earlier step takes back traffic, but no pods.")
	c.Flags().BoolVar(&o.skip, "skip-analysis", false, "Approve a step whose analysis is still running. Who did it stays on record.")
	return c
}

func (o *approve) approve(info *resource.Info) error {
	if !isRollout(info) {
		return refused(info, "approving is not supported; approve the Rollout that releases it")
	}
	r, err := releaseOf(info)
	if err != nil {
		return err
	}
	if held := r.HeldBy(); held != nil && o.toStep == 0 && !r.isAborted() {
		return o.annotated(r, rolloutsv1beta1.AnnotationApprove, rolloutsv1beta1.SkipValue(held.Revision, held.Step))
	}
	if o.skip && r.CurrentStepState == rolloutsv1beta1.StepMetricsAnalysis && r.asksWebhook() == "" {
		return o.annotated(r, rolloutsv1beta1.AnnotationSkipAnalysis, rolloutsv1beta1.SkipValue(r.revision, r.CurrentStepIndex))
	}
	if why := notApprovable(r); why != "" {
		return refused(info, why)
	}
	field, value, why := o.order(r)
	if why != "" {
		return refused(info, why)
	}
	if err := r.writeStatus(field, value, false); err != nil {
		return movedOn(r, err, notApprovable)
	}
	return o.printed(info)
}

func (o *approve) printed(info *resource.Info) error {
	printer, err := o.print.ToPrinter()
	if err != nil {
		return err
	}
	return printer.PrintObj(info.Object, o.Out)
}

// annotated approves a step by an annotation that names revision and step, so that it says nothing of others.
func (o *approve) annotated(r *release, key, value string) error {
	patch, err := annotate(key, value)
	if err != nil {
		return err
	}
	if err := r.patch(types.MergePatchType, patch, "", false); err != nil {
		return fmt.Errorf("failed to patch: %w", err)
	}
	return o.printed(r.info)
}

// order is what to write into the status.
func (o *approve) order(r *release) (field string, value any, why string) {
	steps := int32(len(r.Spec.Strategy.Steps())) //nolint:gosec // at most 50
	switch {
	case o.toStep == 0 || o.toStep == r.CurrentStepIndex+1 && o.toStep <= steps:
		return "currentStepState", rolloutsv1beta1.StepReady, ""
	case o.toStep < 1 || o.toStep > steps:
		return "", nil, fmt.Sprintf("has no step %d, it has steps 1 to %d", o.toStep, steps)
	case o.toStep == r.CurrentStepIndex:
		return "", nil, fmt.Sprintf("is in step %d already", o.toStep)
	default:
		return "nextStepIndex", o.toStep, ""
	}
}

// isAborted reports whether somebody has aborted the release.
func (r *release) isAborted() bool {
	return r.revision != "" && r.Annotations[rolloutsv1beta1.AnnotationAbort] == r.revision
}

// asksWebhook is the webhook that is asked about the present step; "": none is.
func (r *release) asksWebhook() string {
	for _, h := range r.Status.Webhooks {
		if h.Step == r.CurrentStepIndex && (h.Phase == rolloutsv1beta1.WebhookRunning || h.Phase == rolloutsv1beta1.WebhookWaiting) {
			return h.Name
		}
	}
	return ""
}

// notApprovable says why there is nothing to approve; empty: there is.
func notApprovable(r *release) string {
	style := "canary state"
	if r.part == "blueGreenStatus" {
		style = "blue-green state"
	}
	switch {
	case r.isAborted():
		return "is aborted: change the pod template, or start over with \"kubectl kruise rollout resume\""
	case r.part == "" || r.Status.Phase != "" && r.Status.Phase != rolloutsv1beta1.PhaseProgressing && r.CurrentStepState == rolloutsv1beta1.StepPaused:
		return "no need to approve: not in canary or blue-green progress"
	case r.CurrentStepState == rolloutsv1beta1.StepMetricsAnalysis && r.Status.AsksAboutAnalysis():
		return ""
	case r.asksWebhook() != "":
		return fmt.Sprintf("is waiting for webhook %s to decide about step %d: approve the step once that has refused it or failed", r.asksWebhook(), r.CurrentStepIndex)
	case r.CurrentStepState == rolloutsv1beta1.StepMetricsAnalysis:
		return fmt.Sprintf("is measuring the metrics of step %d: wait for them, or approve the step without them by --skip-analysis", r.CurrentStepIndex)
	case r.CurrentStepState != rolloutsv1beta1.StepPaused:
		return fmt.Sprintf("does not allow to approve, because current %s is not 'StepPaused'", style)
	default:
		return ""
	}
}

// movedOn checks again after a write that the server refused, and says what is different by now. check says why the
// write is out of place, if it is.
func movedOn(r *release, refusal error, check func(*release) string) error {
	if !apierrors.IsInvalid(refusal) && !apierrors.IsConflict(refusal) {
		return fmt.Errorf("failed to patch: %w", refusal)
	}
	if err := r.info.Get(); err != nil {
		return err
	}
	now, err := releaseOf(r.info)
	if err != nil {
		return err
	}
	switch why := check(now); {
	case why != "":
		return refused(r.info, why)
	case now.CurrentStepIndex != r.CurrentStepIndex:
		return refused(r.info, fmt.Sprintf("was in step %d and is now in step %d: check it again", r.CurrentStepIndex, now.CurrentStepIndex))
	case now.revision != r.revision:
		return refused(r.info, fmt.Sprintf("was releasing revision %s and is now releasing %s: check it again", r.revision, now.revision))
	default:
		return fmt.Errorf("failed to patch: %w", refusal)
	}
}
