// SPDX-License-Identifier: Apache-2.0

// Command demo plays releases on a real control plane: a Deployment of 10 pods goes from version-1 to version-2 in
// steps of 1, 50 % and 100 %, with an approval between them; and behind a real gateway, under load, requests are routed to new
// pods next to the stable ones; and nobody approves the last two, a version that fails and one that does not, which are decided by what
// a real Prometheus says of them. It prints the commands and what they answer, the percentage of the requests in each step, and whom
// the bad version cost what.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"kruise.io/rollouts/sandbox"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	keep := flag.Bool("keep", os.Getenv("KEEP") != "", "leave everything up at the end, until Ctrl-C")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "demo plays releases on a control plane of its own, and takes everything down again.")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(ctx, os.Stdout, sandbox.Options{Name: "demo", Log: os.Stderr}, *keep); err != nil {
		if ctx.Err() != nil {
			fmt.Fprintln(os.Stderr, "demo: interrupted; everything is down again")
			os.Exit(130)
		}
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}
