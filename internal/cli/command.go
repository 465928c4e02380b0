// SPDX-License-Identifier: Apache-2.0

// Package cli is the plugin of kubectl, one command per file. It talks to the API server as kubectl does, with the
// user's own rights: what it writes, every client may write (docs/wire.md, clients).
package cli

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/kubectl/pkg/cmd/options"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/templates"
	"k8s.io/kubectl/pkg/util/term"
)

// shell is what all commands share.
type shell struct {
	genericiooptions.IOStreams
	factory cmdutil.Factory
	warned  []string // warnings given
}

// Run runs the command that args (without the program's name) name, and returns the exit code: 0, or 1 with the reason
// on the error stream. Not for concurrent use: kubectl's way to report errors is one per process.
func Run(ctx context.Context, args []string, streams genericiooptions.IOStreams, version string) int {
	root := New(streams, version) //nolint:contextcheck // commands get theirs from ExecuteContext
	root.SetArgs(args)
	code := 0
	cmdutil.BehaviorOnFatal(func(message string, fatal int) {
		code = fatal
		if message != "" {
			_, _ = fmt.Fprintln(streams.ErrOut, strings.TrimSuffix(message, "\n"))
		}
	})
	cmdutil.CheckErr(root.ExecuteContext(ctx))
	return code
}

// New returns the plugin's root command.
func New(streams genericiooptions.IOStreams, version string) *cobra.Command {
	root := &cobra.Command{
		Use:         "kubectl-kruise",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl kruise"},
		Short:       "Release workloads step by step with Kruise Rollouts",
		Long: templates.LongDesc(`
			Release workloads step by step with Kruise Rollouts.

			A Rollout refers to a workload and defines the steps in which its changes are released. Change the workload's pod
			template with any tool, and follow the release with this plugin.`),
		Example: examples(`
			# Start a release, with any tool
			kubectl set image deployment/web web=web:v2

			# Show its progress, and what it waits for
			%[1]s rollout get web -w

			# Approve a step, so that the next one begins
			%[1]s rollout approve rollout/web

			# Wait until it is done: the exit code is 0, or 1 if it was rolled back
			%[1]s rollout status rollout/web --timeout 30m

			# Roll back to the previous version
			%[1]s rollout undo rollout/web`),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          group(streams),
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)

	// What the server warns of is for the user; by default it would go to the log.
	rest.SetDefaultWarningHandler(rest.NewWarningWriter(streams.ErrOut, rest.WarningWriterOptions{
		Deduplicate: true, Color: term.AllowsColorOutput(streams.ErrOut),
	}))
	flags := genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag().WithDiscoveryBurst(300).WithDiscoveryQPS(50)
	flags = flags.WithWarningPrinter(streams)
	flags.AddFlags(root.PersistentFlags())
	logging := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(logging)
	root.PersistentFlags().AddGoFlag(logging.Lookup("v"))
	s := &shell{IOStreams: streams, factory: cmdutil.NewFactory(flags)}

	groups := templates.CommandGroups{
		{Message: "Release:", Commands: []*cobra.Command{newRollout(s)}},
		{Message: "Inspect:", Commands: []*cobra.Command{newDescribeGroup(s)}},
	}
	groups.Add(root)
	templates.ActsAsRootCommand(root, []string{"options"}, groups...)
	nameAsTyped(root)
	root.AddCommand(newVersion(s, version), options.NewCmdOptions(streams.Out))
	return root
}

// nameAsTyped lets kubectl's usage texts speak of the plugin as its users do: they put the names of commands together
// and do not know of display names.
func nameAsTyped(root *cobra.Command) {
	usage := root.UsageFunc()
	root.SetUsageFunc(func(c *cobra.Command) error {
		out, text := c.OutOrStderr(), &strings.Builder{}
		c.SetOut(text)
		err := usage(c)
		c.SetOut(out)
		_, _ = fmt.Fprint(out, strings.ReplaceAll(text.String(), root.Name()+" ", root.CommandPath()+" "))
		return err
	})
}

// newRollout is the group of commands about releases.
func newRollout(s *shell) *cobra.Command {
	c := &cobra.Command{
		Use:     "rollout SUBCOMMAND",
		Aliases: []string{"rollouts", "ro"},
		Short:   "Show, approve, pause, abort and roll back releases",
		Long: templates.LongDesc(`
			Show, approve, pause, abort and roll back releases.

			Rollouts are named as kubectl names things: rollout/NAME, rollout NAME, several at once, or -f FILE.`),
		Example: examples(`
			# Approve the current step of a release
			%[1]s rollout approve rollout/web

			# Wait for a release to end
			%[1]s rollout status rollout/web

			# Roll back a release
			%[1]s rollout undo rollout/web`),
		DisableFlagsInUseLine: true,
		RunE:                  group(s.IOStreams),
	}
	c.AddCommand(
		newApprove(s), newPause(s), newResume(s), newAbort(s), newUndo(s),
		newStatus(s), newWhy(s), newGet(s), newDescribe(s, "describe NAME"), newHistory(s),
		newLuaTest(s),
	)
	return c
}

// group is what a command does that only has subcommands: it helps, or says which one was meant.
func group(streams genericiooptions.IOStreams) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			c.SetOut(streams.Out)
			return c.Help()
		}
		meant := ""
		if c.SuggestionsMinimumDistance <= 0 {
			c.SuggestionsMinimumDistance = 2
		}
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			meant = "\n\nDid you mean this?\n\t" + strings.Join(near, "\n\t") + "\n"
		}
		return fmt.Errorf("unknown command %q for %q%s\nSee '%s -h' for help and examples", args[0], c.CommandPath(), meant, c.CommandPath())
	}
}

// examples formats examples; %[1]s in them is how users call the plugin.
func examples(text string) string {
	return templates.Examples(strings.ReplaceAll(text, "%[1]s", "kubectl kruise"))
}
