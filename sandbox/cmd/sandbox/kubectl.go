// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func newKubectl(t *target) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kubectl [flags] [--] ARGS...",
		Short: "Run kubectl on the sandbox",
		Long: `Run the sandbox's own kubectl with the sandbox's kubeconfig. The flags of this command come first; everything from the first
other word on is kubectl's.`,
		Example: `  sandbox kubectl get pods
  sandbox kubectl --name=other -- --namespace=kube-system get pods`,
		RunE: func(_ *cobra.Command, args []string) error {
			state, err := t.find()
			if err != nil {
				return err
			}
			environment := []string{"KUBECONFIG=" + state.Kubeconfig}
			for _, variable := range os.Environ() {
				if !strings.HasPrefix(variable, "KUBECONFIG=") {
					environment = append(environment, variable)
				}
			}
			err = syscall.Exec(filepath.Join(state.Bin, "kubectl"), append([]string{"kubectl"}, args...), environment)
			return fmt.Errorf("running kubectl: %w", err)
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}
