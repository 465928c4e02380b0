// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/kubectl/pkg/scheme"
	"k8s.io/kubectl/pkg/util/templates"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// toggle pauses a release, or resumes it.
type toggle struct {
	*shell
	selection
	print   *genericclioptions.PrintFlags
	pause   bool
	already string // why there is nothing to do
}

func newPause(s *shell) *cobra.Command {
	o := &toggle{shell: s, pause: true, already: "is already paused", print: genericclioptions.NewPrintFlags("paused").WithTypeSetter(scheme.Scheme)}
	return o.command(&cobra.Command{
		Use:   "pause " + selectionUse,
		Short: "Pause a release at its current step",
		Long: templates.LongDesc(`
			Pause a release at its current step: no further step starts, even if the step is approved or its pause has ended.

			Pods are not changed. A rollback is not paused. Use "kubectl kruise rollout resume" to continue.`),
		Example: examples(`
			# Pause a release
			%[1]s rollout pause rollout/web`),
	})
}

// command adds the flags that pause and resume share, and what they do.
func (o *toggle) command(c *cobra.Command) *cobra.Command {
	c.DisableFlagsInUseLine = true
	c.RunE = func(c *cobra.Command, args []string) error {
		return o.each(o.shell, args, func(info *resource.Info) error { return o.toggle(c, info) })
	}
	o.bind(c)
	o.print.AddFlags(c)
	return c
}

func (o *toggle) toggle(c *cobra.Command, info *resource.Info) error {
	if !isRollout(info) {
		return o.native(c, info)
	}
	r, err := releaseOf(info)
	if err != nil {
		return err
	}
	aborted := r.revision != "" && r.Annotations[rolloutsv1beta1.AnnotationAbort] == r.revision
	if r.Spec.Strategy.Paused == o.pause && (o.pause || !aborted) {
		return refused(info, o.already)
	}
	patch := `{"spec":{"strategy":{"paused":null}}}`
	switch {
	case o.pause:
		patch = `{"spec":{"strategy":{"paused":true}}}`
	case aborted:
		patch = fmt.Sprintf(`{"metadata":{"annotations":{%q:null}},"spec":{"strategy":{"paused":null}}}`, rolloutsv1beta1.AnnotationAbort)
	}
	if err := r.patch(types.MergePatchType, []byte(patch), "", false); err != nil {
		return fmt.Errorf("failed to patch: %w", err)
	}
	printer, err := o.print.ToPrinter()
	if err != nil {
		return err
	}
	return printer.PrintObj(info.Object, o.Out)
}
