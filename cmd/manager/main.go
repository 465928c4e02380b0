// SPDX-License-Identifier: Apache-2.0

// Command manager is the controller of Kruise Rollouts: it runs in a cluster, or outside of one with --kubeconfig.
package main

import (
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	if err := command().ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(1)
	}
}
