// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/kubectl/pkg/scheme"
	"k8s.io/kubectl/pkg/util/templates"
)

func newResume(s *shell) *cobra.Command {
	o := &toggle{shell: s, already: "is not paused", print: genericclioptions.NewPrintFlags("resumed").WithTypeSetter(scheme.Scheme)}
	return o.command(&cobra.Command{
		Use:   "resume " + selectionUse,
		Short: "Go on with a release that was paused, or start one over that was aborted",
		Long: templates.LongDesc(`
			Go on with a release that was stopped by "kubectl kruise rollout pause". One that was taken back by "kubectl kruise
			rollout abort" starts over from its first step.

			A step that waits for confirmation still does: use "kubectl kruise rollout approve" for that.`),
		Example: examples(`
			# Go on with a release
			%[1]s rollout resume rollout/web`),
	})
}
