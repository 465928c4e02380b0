// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/kubectl/pkg/scheme"
	"k8s.io/kubectl/pkg/util/templates"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// abort takes a release back without touching the template.
type abort struct {
	*shell
	selection
	print *genericclioptions.PrintFlags
}

func newAbort(s *shell) *cobra.Command {
	o := &abort{shell: s, print: genericclioptions.NewPrintFlags("aborted").WithTypeSetter(scheme.Scheme)}
	c := &cobra.Command{
		Use:   "abort " + selectionUse,
		Short: "Abort a release: shift traffic and pods back to the stable version, and hold there",
		Long: templates.LongDesc(`
			Shift traffic, and then pods, back to the stable version, and hold the workload there.

			The pod template is not changed, so it still matches Git, and no approval is needed. The release ends when the pod
			template changes, to the stable one or to a new one. "kubectl kruise rollout resume" starts it over instead.

			The controllers of DaemonSets and ReplicaSets cannot create pods of the stable version: updated pods remain, and no further pods are updated.`),
		Example: examples(`
			# Abort a bad release at once, without a commit
			%[1]s rollout abort rollout/web

			# Start it over from its first step
			%[1]s rollout resume rollout/web`),
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			return o.each(o.shell, args, o.abort)
		},
	}
	o.bind(c)
	o.print.AddFlags(c)
	return c
}

func (o *abort) abort(info *resource.Info) error {
	if !isRollout(info) {
		return refused(info, "aborting is not supported; abort the Rollout that releases it")
	}
	r, err := releaseOf(info)
	if err != nil {
		return err
	}
	switch {
	case r.Status.Phase != rolloutsv1beta1.PhaseProgressing || r.revision == "":
		return refused(info, "has no release in progress to abort")
	case reasonOf(r.Rollout) == rolloutsv1beta1.ReasonFinalising || reasonOf(r.Rollout) == rolloutsv1beta1.ReasonCancelling:
		return refused(info, "is already completing or rolling back; to roll back a completed release: kubectl kruise rollout undo")
	case r.revision == r.StableRevision:
		return refused(info, "is already rolling back to the stable version; to pause it: kubectl kruise rollout pause")
	case r.Annotations[rolloutsv1beta1.AnnotationAbort] == r.revision:
		return refused(info, "is already aborted")
	}
	patch, err := annotate(rolloutsv1beta1.AnnotationAbort, r.revision)
	if err != nil {
		return err
	}
	if err := r.patch(types.MergePatchType, patch, "", false); err != nil {
		return fmt.Errorf("failed to patch: %w", err)
	}
	printer, err := o.print.ToPrinter()
	if err != nil {
		return err
	}
	return printer.PrintObj(info.Object, o.Out)
}

// annotate is the patch that sets an annotation, or removes it by nil.
func annotate(key string, value any) ([]byte, error) {
	return json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{key: value}}})
}

// reasonOf is the reason of the condition Progressing; "": none.
func reasonOf(ro *rolloutsv1beta1.Rollout) string {
	for _, c := range ro.Status.Conditions {
		if c.Type == rolloutsv1beta1.ConditionProgressing {
			return c.Reason
		}
	}
	return ""
}
