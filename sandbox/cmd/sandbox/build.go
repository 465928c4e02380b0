// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"kruise.io/rollouts/sandbox"
)

func newBuild() *cobra.Command {
	return &cobra.Command{
		Use: "build", Args: cobra.NoArgs,
		Short: "Build the control plane, the gateway, OpenKruise and Prometheus, and print the directory of the control plane",
		Long: `Build etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl, the gateway (traefik), OpenKruise's
manager, and Prometheus, from their Go modules, if they are not there yet, and print the directory that holds those of the control plane.
Together they take 12 to 33 minutes the first time. Tools that look for such binaries find them with

  export KUBEBUILDER_ASSETS=$(sandbox build)`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bin, err := sandbox.Build(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if _, err := sandbox.BuildGateway(cmd.Context(), cmd.ErrOrStderr()); err != nil {
				return err
			}
			if _, err := sandbox.BuildKruise(cmd.Context(), cmd.ErrOrStderr()); err != nil {
				return err
			}
			if _, err := sandbox.BuildPrometheus(cmd.Context(), cmd.ErrOrStderr()); err != nil {
				return err
			}
			_, _ = fmt.Fprintln(cmd.OutOrStdout(), bin)
			return nil
		},
	}
}
