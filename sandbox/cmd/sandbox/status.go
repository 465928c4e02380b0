// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kruise.io/rollouts/sandbox"
)

func newStatus(t *target) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "status", Args: cobra.NoArgs,
		Short: "Show what runs, and where",
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := t.stateDir()
			if err != nil {
				return err
			}
			state, err := sandbox.Find(dir)
			if errors.Is(err, sandbox.ErrNotRunning) {
				return fmt.Errorf("no sandbox is running in %s: start one with \"sandbox up\"", dir)
			}
			if err != nil {
				return err
			}
			switch output {
			case "json":
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(state)
			case "":
			default:
				return fmt.Errorf("output %q is not known: leave it out, or use json", output)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			condition := "ready"
			if !state.Ready {
				condition = "starting"
			}
			rows := [][2]string{
				{"Name", state.Name},
				{"State", fmt.Sprintf("%s, for %s", condition, time.Since(state.Started).Round(time.Second))},
				{"API server", state.Server},
				{"Kubeconfig", state.Kubeconfig},
				{"Directory", state.Dir},
				{"Binaries", state.Bin},
				{"Nodes", fmt.Sprint(state.Nodes)},
				{"Supervisor", fmt.Sprintf("process %d", state.Supervisor.PID)},
			}
			if state.Proxy != "" {
				rows = append(rows, [2]string{"Proxy to the pods", state.Proxy}, [2]string{"Network namespace", state.Namespace})
			}
			if state.Gateway != "" {
				rows = append(rows, [2]string{"Gateway", state.Gateway + ", in the pods' network"})
			}
			for _, p := range state.Processes {
				rows = append(rows, [2]string{p.Name, fmt.Sprintf("process %d, log %s/%s.log", p.PID, state.Dir, p.Name)})
			}
			for _, row := range rows {
				_, _ = fmt.Fprintf(w, "%s:\t%s\n", row[0], row[1])
			}
			return w.Flush()
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json for a program to read")
	return cmd
}
