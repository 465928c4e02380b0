// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/resource"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/kubectl/pkg/util/templates"

	"kruise.io/rollouts/internal/view"
)

// describe shows all there is to show about Rollouts.
type describe struct {
	*shell
	selection
	watch, all, noColor bool
	timeout             seconds
}

// seconds is a duration that may be written as a plain number of seconds, as older versions of the plugin took it.
type seconds time.Duration

func (s *seconds) String() string { return time.Duration(*s).String() }

func (s *seconds) Type() string { return "duration" }

func (s *seconds) Set(text string) error {
	if n, err := strconv.Atoi(text); err == nil {
		*s = seconds(time.Duration(n) * time.Second)
		return nil
	}
	d, err := time.ParseDuration(text)
	*s = seconds(d)
	return err
}

// newDescribeGroup is `describe rollout NAME`, in kubectl's order of words.
func newDescribeGroup(s *shell) *cobra.Command {
	c := &cobra.Command{
		Use:                   "describe SUBCOMMAND",
		DisableFlagsInUseLine: true,
		Short:                 "Show details of a Rollout: its steps, revisions and pods",
		Long:                  "Show details of a Rollout: its steps, revisions and pods.",
		Example: examples(`
			# Show details of a Rollout
			%[1]s describe rollout web`),
		RunE: group(s.IOStreams),
	}
	sub := newDescribe(s, "rollout NAME")
	sub.Aliases = []string{"rollouts", "ro"}
	c.AddCommand(sub)
	return c
}

func newDescribe(s *shell, use string) *cobra.Command {
	o := &describe{shell: s}
	c := &cobra.Command{
		Use:                   use + " [flags]",
		DisableFlagsInUseLine: true,
		Short:                 "Show details of a Rollout: its steps, revisions and pods",
		Long: templates.LongDesc(`
			Show details of a Rollout: where its release is, what it waits for, its steps, revisions and pods.

			The pods are those of the revision being released, or all of them with --all.`),
		Example: examples(`
			# Show details of a Rollout
			%[1]s describe rollout web

			# With the pods of all revisions, again at every change
			%[1]s describe rollout web --all -w`),
		RunE: func(c *cobra.Command, args []string) error {
			return o.each(s, named(args), func(info *resource.Info) error { return o.describe(c.Context(), info) })
		},
	}
	o.bind(c)
	c.Flags().BoolVarP(&o.watch, "watch", "w", false, "Watch for changes, and print the details again at each of them.")
	c.Flags().BoolVar(&o.all, "all", false, "List the pods of all revisions, not just of the one being released.")
	c.Flags().BoolVar(&o.noColor, "no-color", false, "Use no colors.")
	c.Flags().Var(&o.timeout, "timeout", "With --watch: stop after this time, such as 90s or 5m. Zero means never.")
	return c
}

func (o *describe) describe(ctx context.Context, info *resource.Info) error {
	if !isRollout(info) {
		return refused(info, "is not a Rollout; use kubectl describe")
	}
	r, err := releaseOf(info)
	if err != nil {
		return err
	}
	style := o.style(o.noColor)
	if !o.watch {
		seen, err := o.look(ctx, r.Rollout)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(o.Out, view.Of(seen).Describe(style, o.all))
		return err
	}
	ctx, cancel := watchtools.ContextWithOptionalTimeout(ctx, time.Duration(o.timeout))
	defer cancel()
	s := &screen{shell: o.shell}
	return o.follow(ctx, r, func(seen view.Seen) error {
		text := view.Of(seen).Describe(style, o.all)
		if o.onTerminal() {
			s.draw(text)
			return nil
		}
		if text == s.last {
			return nil
		}
		if s.last != "" {
			text = "\n" + text
		}
		s.last = text
		_, err := fmt.Fprint(o.Out, text)
		return err
	})
}
