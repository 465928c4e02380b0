// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"kruise.io/rollouts/sandbox"
)

func newDown(t *target) *cobra.Command {
	return &cobra.Command{
		Use: "down", Args: cobra.NoArgs,
		Short: "Stop a sandbox and remove all it made",
		Long:  `Stop a sandbox, wherever it was started, and remove all it made. What a crashed one left behind is removed, too.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := t.stateDir()
			if err != nil {
				return err
			}
			err = sandbox.Remove(dir)
			if errors.Is(err, sandbox.ErrNotRunning) {
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "no sandbox is running in %s\n", dir)
				return nil
			}
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintln(cmd.OutOrStdout(), "the sandbox is stopped and removed")
			return nil
		},
	}
}
