// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/kubectl/pkg/util/templates"

	"kruise.io/rollouts/internal/traffic"
)

// luaTest tries what a step makes of a gateway object, without a cluster.
type luaTest struct {
	*shell
	files  trial
	asked  ask
	script string
	kind   string
	class  string
	diff   bool
}

func newLuaTest(s *shell) *cobra.Command {
	o := &luaTest{shell: s}
	c := &cobra.Command{
		Use:                   "lua-test -f FILENAME (--weight PERCENT | --header NAME=VALUE | --rollout FILENAME --step N) [flags]",
		Aliases:               []string{"test-script"},
		SuggestFor:            []string{"render", "lua", "script", "test", "route"},
		DisableFlagsInUseLine: true,
		Short:                 "Render the Ingress or the route that a step would write, from files only",
		Long: templates.LongDesc(`
			Render the Ingress or the route that a step would write, from files only: no cluster is contacted.

			Lua scripts write the weights and matches of a step into objects of gateways. Scripts are built in, or yours in the
			ConfigMap kruise-rollout-configuration. This command runs a script as the manager would, and prints the object that
			the manager would write. An error in a script is reported with its line.

			Afterwards two properties are checked. Rendering must be idempotent, or else a release would write the object again
			and again. Restoring must return your original. If one of them fails, the exit code is not 0.

			Routes of the Gateway API need no script, and can be rendered in the same way.`),
		Example: examples(`
			# An Ingress of ingress-nginx at 20 percent
			%[1]s rollout lua-test -f ingress.yaml --weight 20

			# Requests with a header, by the annotations of Alibaba Cloud's ALB
			%[1]s rollout lua-test -f ingress.yaml --class aliyun-alb --header user-agent=Android

			# Your own script for a kind of your own, as a patch
			%[1]s rollout lua-test -f split.yaml --script split.lua --service web --weight 20 --diff

			# The second step of a Rollout, on a VirtualService
			%[1]s rollout lua-test -f virtualservice.yaml --rollout rollout.yaml --step 2

			# A regular expression
			%[1]s rollout lua-test -f route.yaml --header 'user=~^(ann|bob)$'`),
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("diff") {
				o.diff = s.onTerminal()
			}
			o.asked.weighted = c.Flags().Changed("weight")
			return o.run()
		},
	}
	f := c.Flags()
	f.StringVarP(&o.files.object, "filename", "f", "", "File with the Ingress or the route; - for the standard input.")
	f.StringVar(&o.files.rollout, "rollout", "", "File with a Rollout: its Service, class and steps are used.")
	f.IntVar(&o.asked.step, "step", 0, "Step of the Rollout, counted from 1.")
	f.IntVar(&o.asked.weight, "weight", 0, "Weight of the new version in percent.")
	f.StringArrayVar(&o.asked.headers, "header", nil, "Header that a request has to have, NAME=VALUE or NAME=~PATTERN. If given several times, it has to have all of them.")
	f.StringVar(&o.files.service, "service", "", "Service that is released. Required unless a Rollout or the object names it.")
	f.BoolVar(&o.files.shared, "disable-generate-canary-service", false, "If true, no canary Service is used.")
	f.StringVar(&o.script, "script", "", "File with a Lua script to run instead of the built-in one.")
	f.StringVar(&o.class, "class", "", "Class of the Ingress whose built-in script is run: nginx (default), higress, aliyun-alb, mse.")
	f.StringVar(&o.kind, "kind", "", "Kind whose built-in script is run, such as VirtualService.networking.istio.io. Default: that of the object.")
	f.BoolVar(&o.diff, "diff", false, "Print the differences after the object. Default: on a terminal.")
	c.MarkFlagsMutuallyExclusive("script", "class", "kind")
	c.MarkFlagsMutuallyExclusive("weight", "step")
	c.MarkFlagsMutuallyExclusive("header", "step")
	return c
}

func (o *luaTest) run() error {
	object, err := o.object()
	if err != nil {
		return err
	}
	routing, step, err := o.step(object)
	if err != nil {
		return err
	}
	route, err := traffic.RouteOf(step)
	if err != nil {
		return err
	}
	if route == nil {
		return errors.New("the step routes no traffic: set traffic or matches")
	}
	router, err := o.router(object, routing)
	if err != nil {
		return err
	}
	if o.script == "" {
		if err := traffic.Able(routing.TrafficRoutingRef, traffic.Config{Backends: traffic.BackendsOf(routing.Service, routing.shared)}, step); err != nil {
			return fmt.Errorf("admission would refuse this step: %w", err)
		}
	}
	user := traffic.Objects{router.Refs()[0]: object}
	rendered, broken, err := traffic.Try(router, user, route)
	if err != nil {
		return err
	}
	if err := o.print(router, object, rendered); err != nil {
		return err
	}
	return o.laws(broken)
}

// laws says whether they hold, next to the object.
func (o *luaTest) laws(broken []error) error {
	if len(broken) > 0 {
		return fmt.Errorf("a check failed: %w", errors.Join(broken...))
	}
	_, err := fmt.Fprintln(o.ErrOut, "ok: rendering is idempotent, and restoring returns the original")
	return err
}
