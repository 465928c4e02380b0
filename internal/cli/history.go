// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/kubectl/pkg/scheme"
	"k8s.io/kubectl/pkg/util/templates"

	rolloutsv1alpha1 "kruise.io/rollouts/api/v1alpha1"
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
		Short:                 "List the revisions of a workload, and its recorded releases",
		Long: templates.LongDesc(`
			List the revisions of a workload, and its recorded releases.

			The numbers are those that "kubectl kruise rollout undo --to-revision" takes. Recorded releases show who
			changed what, when, and how the release ended; with --revision, step by step.`),
		Example: examples(`
			# List the revisions of a Rollout's workload
			%[1]s rollout history rollout/web

			# Show the pod template of revision 3
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
	records, err := o.recorded(ctx, r)
	if err != nil {
		return err
	}
	if o.print.OutputFlagSpecified() {
		return o.nativeOf(r)
	}
	if h := recordOf(records, o.revision); h != nil {
		return o.details(r, h)
	}
	if o.revision > 0 {
		return o.nativeOf(r)
	}
	if len(records) == 0 {
		switch deployed, err := o.revisions(ctx, r); {
		case err != nil:
			return unread(r, err)
		case !deployed:
			return o.nativeOf(r)
		}
	}
	seen, err := o.look(ctx, r.Rollout)
	if err != nil {
		return err
	}
	return o.list(info, seen, records)
}

// revisions reports whether the workload is a Deployment, whose ReplicaSets can be read. Without records they are all there is
// to list: what look would leave out with a warning is an error then.
func (o *history) revisions(ctx context.Context, r *release) (bool, error) {
	workload, err := o.workload(r.Namespace, r.Spec.WorkloadRef)
	if err != nil {
		return false, err
	}
	d, err := deploymentOf(workload)
	if err != nil || d == nil {
		return false, err
	}
	_, err = o.replicaSets(ctx, d)
	return true, err
}

// unread says of an account that may read the Rollout only why that is not enough.
func unread(r *release, err error) error {
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("the revisions of rollout %q are those of its workload: %w", r.Name, err)
	}
	return err
}

// nativeOf lists the revisions of a Rollout's workload as kubectl does.
func (o *history) nativeOf(r *release) error {
	workload, err := o.workload(r.Namespace, r.Spec.WorkloadRef)
	if err != nil {
		return unread(r, err)
	}
	return o.native(workload)
}

// list lists the revisions that a Deployment has, and its recorded releases.
func (o *history) list(info *resource.Info, seen view.Seen, records []*rolloutsv1alpha1.RolloutHistory) error {
	printer, err := o.print.ToPrinter()
	if err != nil {
		return err
	}
	if err := printer.PrintObj(info.Object, o.Out); err != nil {
		return err
	}
	if seen.Deployment != nil {
		rows := [][]string{{"REVISION", "HASH", "IMAGES", "PODS", "ROLE"}}
		for _, rev := range view.History(seen) {
			rows = append(rows, []string{
				strconv.FormatInt(rev.Number, 10), rev.Hash, strings.Join(rev.Images, ","), fmt.Sprintf("%d/%d", rev.Ready, rev.Wanted), string(rev.Role),
			})
		}
		if err := o.table(rows); err != nil || len(records) == 0 {
			return err
		}
		if _, err := fmt.Fprintln(o.Out); err != nil {
			return err
		}
	}
	return o.records(records)
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
