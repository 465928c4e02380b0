// SPDX-License-Identifier: Apache-2.0

// Command kubectl-kruise is a plugin of kubectl: users type `kubectl kruise rollout approve rollout/NAME`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the ways of the clouds to log in

	"kruise.io/rollouts/internal/cli"
)

// version is set by the linker.
var version = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	code := cli.Run(ctx, os.Args[1:], streams, version)
	stop()
	os.Exit(code)
}
