// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

func newVersion(s *shell, version string) *cobra.Command {
	client := false
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version of the plugin, and which versions of Rollouts the server has",
		Example: examples(`
			# Print both
			%[1]s version

			# Print the plugin's without contacting the server
			%[1]s version --client`),
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if _, err := fmt.Fprintf(s.Out, "Client Version: %s\n", version); err != nil || client {
				return err
			}
			served, err := s.served()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(s.Out, "Rollout API: %s\n", served)
			return err
		},
	}
	c.Flags().BoolVar(&client, "client", false, "If true, shows the plugin's version only (no server required).")
	return c
}

// served are the versions of Rollouts that the server has, the preferred one first.
func (s *shell) served() (string, error) {
	client, err := s.factory.ToDiscoveryClient()
	if err != nil {
		return "", err
	}
	client.Invalidate()
	groups, err := client.ServerGroups()
	if err != nil {
		return "", err
	}
	for _, g := range groups.Groups {
		if g.Name != rolloutsv1beta1.GroupVersion.Group {
			continue
		}
		versions := []string{g.PreferredVersion.Version}
		for _, v := range g.Versions {
			if v.Version != g.PreferredVersion.Version {
				versions = append(versions, v.Version)
			}
		}
		return strings.Join(versions, ", "), nil
	}
	return "none: Kruise Rollouts is not installed in this cluster", nil
}
