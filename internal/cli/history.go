// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/kubectl/pkg/scheme"
	"k8s.io/kubectl/pkg/util/templates"

	rolloutsv1alpha1 "kruise.io/rollouts/api/v1alpha1"
	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/view"
)

// history lists the revisions that a workload can go back to.
type history struct {
	*shell
	selection
	print    *genericclioptions.PrintFlags
	revision int64
}

func newHistory(s *shell) *cobra.Command {
	o := &history{shell: s, print: genericclioptions.NewPrintFlags("").WithTypeSetter(scheme.Scheme)}
	c := &cobra.Command{
		Use:                   "history " + selectionUse,
		DisableFlagsInUseLine: true,
		Short:                 "List the revisions of a workload, and the releases on record",
		Long: templates.LongDesc(`
			List the revisions of a workload, and the releases on record.

			The numbers are those that "kubectl kruise rollout undo --to-revision" takes.`),
		Example: examples(`
			# List the revisions of a Rollout's workload
			%[1]s rollout history rollout/web

			# See the pod template of revision 3
			%[1]s rollout history rollout/web --revision=3`),
		RunE: func(c *cobra.Command, args []string) error {
			if o.revision < 0 {
				return fmt.Errorf("revision must be a positive integer: %v", o.revision)
			}
			return o.each(s, args, func(info *resource.Info) error { return o.history(c.Context(), info) })
		},
	}
	o.bind(c)
	o.print.AddFlags(c)
	c.Flags().Int64Var(&o.revision, "revision", 0, "See the details, including podTemplate of the revision specified")
	return c
}

func (o *history) history(ctx context.Context, info *resource.Info) error {
	if !isRollout(info) {
		return o.native(info)
	}
	r, err := releaseOf(info)
	if err != nil {
		return err
	}
	seen, err := o.look(ctx, r.Rollout)
	if err != nil {
		return err
	}
	if seen.Deployment == nil || o.revision > 0 || o.print.OutputFlagSpecified() {
		workload, err := o.workload(r.Namespace, r.Spec.WorkloadRef)
		if err != nil {
			return err
		}
		return o.native(workload)
	}
	printer, err := o.print.ToPrinter()
	if err != nil {
		return err
	}
	if err := printer.PrintObj(info.Object, o.Out); err != nil {
		return err
	}
	rows := [][]string{{"REVISION", "HASH", "IMAGES", "PODS", "ROLE"}}
	for _, rev := range view.History(seen) {
		rows = append(rows, []string{
			strconv.FormatInt(rev.Number, 10), rev.Hash, strings.Join(rev.Images, ","), fmt.Sprintf("%d/%d", rev.Ready, rev.Wanted), string(rev.Role),
		})
	}
	if err := o.table(rows); err != nil {
		return err
	}
	return o.records(ctx, r)
}

// records lists the RolloutHistories, where the server has them and the user may see them.
func (o *history) records(ctx context.Context, r *release) error {
	client, err := o.factory.DynamicClient()
	if err != nil {
		return err
	}
	resource := rolloutsv1alpha1.GroupVersion.WithResource("rollouthistories")
	found, err := list[rolloutsv1alpha1.RolloutHistory](ctx, client, resource, r.Namespace, rolloutsv1beta1.LabelRolloutName+"="+r.Name)
	if err != nil || len(found) == 0 {
		return nil //nolint:nilerr // the records are an extra that not every server has
	}
	rows := [][]string{{"RELEASE", "ROLLOUT ID", "PHASE", "PODS BY STEP", "AGE"}}
	for _, h := range found {
		steps := []string{}
		for _, step := range h.Status.CanarySteps {
			steps = append(steps, strconv.Itoa(len(step.Pods)))
		}
		phase := h.Status.Phase
		if phase == "" {
			phase = "running"
		}
		rows = append(rows, []string{
			h.Name, h.Labels[rolloutsv1beta1.LabelRolloutID], phase, strings.Join(steps, "+"), duration.HumanDuration(time.Since(h.CreationTimestamp.Time)),
		})
	}
	if _, err := fmt.Fprintln(o.Out); err != nil {
		return err
	}
	return o.table(rows)
}

// table prints rows as kubectl does.
func (o *history) table(rows [][]string) error {
	w := printers.GetNewTabWriter(o.Out)
	for _, row := range rows {
		if _, err := fmt.Fprintln(w, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}
