// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/webhook"
)

// newEject is the way out of a cluster: it needs no running manager.
func newEject() *cobra.Command {
	o := options{featureGates: newGates(), rolloutWorkers: 8, batchReleaseWorkers: 8, trafficRoutingWorkers: 3}
	timeout := 15 * time.Minute
	c := &cobra.Command{
		Use:   "eject",
		Short: "Restore every workload, and remove the product from the cluster",
		Long: `Restore every workload, Service and route to its original configuration, during a release or not, and with or without a running
manager. Then remove what the product has left in the cluster: webhook configurations, labels, finalizers.

The workload's own controller completes a release in progress; with
--feature-gates=KeepWorkloadPausedOnRolloutDeletion=true the workload stays at the present batch instead. To end at the
stable version, change the pod template back, or abort the release, before.

What cannot be restored, or not in time, is named at the end and keeps its finalizers; everything else is restored.

It can be interrupted and run again. Afterwards Rollouts are disabled. To use them again, install the chart and enable them.

  kubectl -n kruise-rollout scale deployment kruise-rollout-controller-manager --replicas=0
  manager eject --kubeconfig ~/.kube/config
  helm uninstall kruise-rollout

If a manager is still the leader, this command waits for it to stop.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			ctrl.SetLogger(klog.Background())
			if err := o.complete(); err != nil {
				return err
			}
			return o.eject(c.Context(), timeout, c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&o.kubeconfig, "kubeconfig", "", "Kubeconfig of the cluster; empty inside of it.")
	c.Flags().DurationVar(&timeout, "timeout", timeout, "How long to wait for workloads.")
	c.Flags().Var(&o.featureGates, "feature-gates", "Comma-separated name=true|false; may be given several times. "+gateHelp())
	return c
}

var errNotRun = errors.New("no controllers ran, and nothing was changed; is another manager the leader, or could the caches not be filled? The log above says which")

// eject runs the controllers, without admission, until every workload is restored.
func (o *options) eject(ctx context.Context, timeout time.Duration, out io.Writer) error {
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	config, err := o.config()
	if err != nil {
		return err
	}
	direct, err := client.New(config, client.Options{Scheme: controller.Scheme()})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	e := controller.Ejection{Client: direct, Clock: clock.RealClock{}, Say: say, Mutating: webhook.MutatingConfiguration, Validating: webhook.ValidatingConfiguration}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        controller.Scheme(),
		Cache:                         controller.CacheOptions(o.namespace),
		Client:                        client.Options{Cache: &client.CacheOptions{Unstructured: true}},
		Metrics:                       metricsserver.Options{BindAddress: "0"},
		LeaderElection:                true,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return fmt.Errorf("making the controllers: %w", err)
	}
	if err := o.addControllers(ctx, mgr); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- start(running, mgr, make(chan struct{})) }()
	defer stop()
	say("waiting for the lease %s: where a manager runs, scale it to 0", leaseName)
	select {
	case <-mgr.Elected():
	case <-waiting.Done():
		return errNotRun
	case err := <-ended:
		return errors.Join(errNotRun, err)
	}
	if err := e.OpenAdmission(ctx); err != nil {
		return err
	}
	unfinished := e.Disable(waiting)
	if ctx.Err() != nil { // broken off by people
		return unfinished
	}
	stop()
	if err := <-ended; err != nil {
		return errors.Join(unfinished, fmt.Errorf("stopping the controllers: %w", err))
	}
	return errors.Join(unfinished, e.Forget(ctx)) // of what is given back
}
