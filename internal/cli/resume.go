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
		Short: "Resume a release that was paused, or start over one that was aborted",
		Long: templates.LongDesc(`
			Resume a release that was paused by "kubectl kruise rollout pause". One that was aborted by "kubectl kruise rollout
			abort" starts over from its first step.

			A step that waits for an approval still waits: use "kubectl kruise rollout approve" for that.`),
		Example: examples(`
			# Resume a release
			%[1]s rollout resume rollout/web`),
	})
}
