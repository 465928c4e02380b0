// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	nativeget "k8s.io/kubectl/pkg/cmd/get"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/templates"

	"kruise.io/rollouts/internal/view"
)

// get prints Rollouts as kubectl does, or follows one.
type get struct {
	*shell
	*nativeget.GetOptions
}

func newGet(s *shell) *cobra.Command {
	o := &get{shell: s, GetOptions: nativeget.NewGetOptions("kubectl kruise", s.IOStreams)}
	c := &cobra.Command{
		Use:                   "get [NAME | rollout/NAME ...] [flags]",
		DisableFlagsInUseLine: true,
		Short:                 "Print Rollouts, or watch a release with its steps, revisions and pods",
		Long: templates.LongDesc(`
			Print Rollouts, or watch a release with its steps, revisions and pods.

			The table is that of "kubectl get rollouts". With -w and one Rollout, a tree is redrawn at every change. If the
			output is not a terminal, every change is printed as a line.`),
		Example: examples(`
			# List the Rollouts of a namespace
			%[1]s rollout get

			# Watch a release
			%[1]s rollout get web -w

			# Print a Rollout as YAML
			%[1]s rollout get web -o yaml`),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c, args) },
	}
	o.PrintFlags.AddFlags(c)
	c.Flags().BoolVarP(&o.Watch, "watch", "w", o.Watch, "Watch for changes: of one Rollout as a tree, of several as a table.")
	c.Flags().BoolVar(&o.WatchOnly, "watch-only", o.WatchOnly, "Watch for changes to the requested object(s), without listing/getting first.")
	c.Flags().BoolVar(&o.OutputWatchEvents, "output-watch-events", o.OutputWatchEvents, "Output watch event objects when --watch or --watch-only is used. Existing objects are output as initial ADDED events.")
	c.Flags().BoolVar(&o.IgnoreNotFound, "ignore-not-found", o.IgnoreNotFound, "If set to true, suppresses NotFound error for specific objects that do not exist.")
	c.Flags().StringVar(&o.FieldSelector, "field-selector", o.FieldSelector, "Selector (field query) to filter on, supports '=', '==', and '!='.")
	c.Flags().BoolVarP(&o.AllNamespaces, "all-namespaces", "A", o.AllNamespaces, "If present, list the requested object(s) across all namespaces. Namespace in current context is ignored even if specified with --namespace.")
	cmdutil.AddFilenameOptionFlags(c, &o.FilenameOptions, "identifying the resource to get from a server.")
	cmdutil.AddChunkSizeFlag(c, &o.ChunkSize)
	cmdutil.AddLabelSelectorFlagVar(c, &o.LabelSelector)
	return c
}

func (o *get) run(c *cobra.Command, args []string) error {
	r, err := o.single(args)
	if err != nil {
		return err
	}
	if r != nil {
		return o.tree(c.Context(), r)
	}
	switch {
	case len(args) > 0:
		args = qualified(named(args))
	case cmdutil.IsFilenameSliceEmpty(o.Filenames, o.Kustomize):
		args = []string{rolloutResource}
	}
	if err := o.Complete(o.factory, c, args); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return err
	}
	return o.Run(o.factory, args)
}

// single finds the one Rollout to draw as a tree; nil: it is a table that is asked for.
func (o *get) single(args []string) (*release, error) {
	if !o.Watch || o.WatchOnly || o.OutputWatchEvents || o.AllNamespaces || *o.PrintFlags.OutputFormat != "" ||
		*o.PrintFlags.TemplateFlags.TemplateArgument != "" {
		return nil, nil
	}
	args = named(args)
	if len(args) == 0 || len(args) == 1 && isRolloutName(args[0]) {
		args = []string{rolloutResource}
	}
	s := selection{FilenameOptions: o.FilenameOptions, selector: o.LabelSelector}
	if !cmdutil.IsFilenameSliceEmpty(o.Filenames, o.Kustomize) {
		args = nil
	}
	infos, err := s.find(o.shell, args)
	if err != nil || len(infos) != 1 || !isRollout(infos[0]) {
		return nil, err
	}
	return releaseOf(infos[0])
}

func (o *get) tree(ctx context.Context, r *release) error {
	style := o.style(false)
	if o.onTerminal() {
		s := &screen{shell: o.shell}
		return o.follow(ctx, r, func(seen view.Seen) error {
			s.draw(view.Of(seen).Tree(style))
			return nil
		})
	}
	last := ""
	return o.follow(ctx, r, func(seen view.Seen) error {
		line := r.Name + " | " + view.Of(seen).Line()
		if line == last {
			return nil
		}
		last = line
		_, err := fmt.Fprintln(o.shell.Out, line)
		return err
	})
}
