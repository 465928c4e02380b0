// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/scheme"
	"k8s.io/kubectl/pkg/util/templates"
)

// undo takes a release back.
type undo struct {
	*shell
	selection
	print      *genericclioptions.PrintFlags
	toRevision int64
	fast       bool
	dryRun     cmdutil.DryRunStrategy
	done       map[string]bool // workloads, by reference: a Rollout and its workload may both be named
}

func newUndo(s *shell) *cobra.Command {
	o := &undo{shell: s, print: genericclioptions.NewPrintFlags("rolled back").WithTypeSetter(scheme.Scheme), done: map[string]bool{}}
	c := &cobra.Command{
		Use:                   "undo " + selectionUse,
		DisableFlagsInUseLine: true,
		Short:                 "Roll back a release",
		Long: templates.LongDesc(`
			Roll back a release.

			The workload gets the pod template of an earlier revision: the stable revision while a release is in progress, or
			else the previous revision. A rollback during a release starts at once and needs no approval.

			With --fast the workload is not changed, and the release returns to an earlier step that routes no traffic to the
			new version.`),
		Example: examples(`
			# Roll back to the previous version
			%[1]s rollout undo rollout/web

			# Roll back the workload itself
			%[1]s rollout undo deployment/web

			# Roll back to revision 3 of "kubectl kruise rollout history rollout/web"
			%[1]s rollout undo rollout/web --to-revision=3

			# Preview the rollback
			%[1]s rollout undo rollout/web --dry-run=server -o yaml

			# Route no traffic to the new version, and keep its pods
			%[1]s rollout undo rollout/web --fast`),
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if o.dryRun, err = cmdutil.GetDryRunStrategy(c); err != nil {
				return err
			}
			cmdutil.PrintFlagsWithDryRunStrategy(o.print, o.dryRun)
			ctx := c.Context()
			return o.each(s, args, func(info *resource.Info) error { return o.undo(ctx, c, info) })
		},
	}
	o.bind(c)
	o.print.AddFlags(c)
	c.Flags().Int64Var(&o.toRevision, "to-revision", 0, "The revision to roll back to. Default to 0 (the stable or last revision).")
	c.Flags().BoolVar(&o.fast, "fast", false, "Return to the last step that routes no traffic to the new version, instead of changing the workload.")
	cmdutil.AddDryRunFlag(c)
	return c
}

func (o *undo) undo(ctx context.Context, c *cobra.Command, info *resource.Info) error {
	stable := ""
	if isRollout(info) {
		r, err := releaseOf(info)
		if err != nil {
			return err
		}
		if o.fast {
			return o.back(r)
		}
		if info, err = o.workload(r.Namespace, r.Spec.WorkloadRef); err != nil {
			return err
		}
		stable = r.StableRevision
		if o.toRevision != 0 {
			if done, err := o.toRecord(ctx, r, info); done || err != nil {
				return err
			}
		}
	} else if o.fast {
		return refused(info, "rollback is not supported on given object: --fast is for Rollouts")
	}
	key := info.Namespace + "/" + reference(info)
	if o.done[key] {
		return nil
	}
	o.done[key] = true
	return o.workloadBack(ctx, c, info, stable)
}

func (o *undo) workloadBack(ctx context.Context, c *cobra.Command, info *resource.Info, stable string) error {
	d, err := deploymentOf(info)
	if err != nil {
		return err
	}
	if d == nil {
		return o.native(c, info)
	}
	outcome, err := o.deployment(ctx, info, d, stable)
	if err != nil {
		return err
	}
	return o.report(info, outcome)
}

// report prints what became of an object.
func (o *undo) report(info *resource.Info, outcome string) error {
	o.print.NamePrintFlags.Operation = outcome
	cmdutil.PrintFlagsWithDryRunStrategy(o.print, o.dryRun)
	printer, err := o.print.ToPrinter()
	if err != nil {
		return err
	}
	return printer.PrintObj(info.Object, o.Out)
}
