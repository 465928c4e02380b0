// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// options are the flags and the environment of the manager (docs/wire.md, operations).
type options struct {
	metricsAddr, probeAddr string
	kubeconfig, namespace  string
	leaderElect            bool
	featureGates           gates
	filterWorkloadType     bool
	partitionPercentLimit  int
	rolloutWorkers         int
	batchReleaseWorkers    int
	trafficRoutingWorkers  int
	webhook                webhookEnvironment
	bindAddress            string
	analysis               analysisOptions
}

// analysisOptions are whom analyses may ask.
type analysisOptions struct {
	prometheus  string
	allow, deny []string
	insecure    bool
}

// webhookEnvironment is what the environment says of admission.
type webhookEnvironment struct {
	host, secret, service, admission string
	port                             int
}

func command() *cobra.Command {
	o := options{featureGates: newGates()}
	c := &cobra.Command{
		Use:   "manager",
		Short: "The controller of Kruise Rollouts: releases workloads in steps",
		Long: `The controller of Kruise Rollouts: it holds changes of workloads that a Rollout refers to, and releases them in steps.

In a cluster it needs no flags. Outside of one, set the kubeconfig, and the address by which the API server reaches it:

  WEBHOOK_HOST=localhost WEBHOOK_PORT=9876 POD_NAMESPACE=kruise-rollout manager --kubeconfig ~/.kube/config

Environment: POD_NAMESPACE (kruise-rollout), WEBHOOK_HOST (none: by the Service), WEBHOOK_PORT (9876),
SECRET_NAME (kruise-rollout-webhook-certs), SERVICE_NAME (kruise-rollout-webhook-service),
ADMISSION_SERVICE_NAME (kruise-rollout-admission-service).`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.complete(); err != nil {
				return err
			}
			ctrl.SetLogger(klog.NewKlogr())
			return o.run(c.Context())
		},
		Version: version.Get().String(),
	}
	o.bind(c.Flags())
	c.AddCommand(newEject())
	return c
}

func (o *options) bind(flags *pflag.FlagSet) {
	flags.StringVar(&o.metricsAddr, "metrics-bind-address", ":8080", "Address of the metrics; 0 serves none.")
	flags.StringVar(&o.probeAddr, "health-probe-bind-address", ":8081", "Address of the probes /healthz and /readyz.")
	flags.StringVar(&o.bindAddress, "webhook-bind-address", "", "Address that admission listens on; empty for all.")
	flags.BoolVar(&o.leaderElect, "leader-elect", false, "Let one replica at a time control; all of them answer admission.")
	flags.Var(&o.featureGates, "feature-gates", "Comma-separated name=true|false; may be given several times. "+gateHelp())
	flags.BoolVar(&o.filterWorkloadType, "filter-workload-type", true, "Refuse Rollouts of kinds that are not known.")
	flags.IntVar(&o.partitionPercentLimit, "partition-percent-limit", 100, "Largest percentage of a step with traffic in partition style.")
	flags.IntVar(&o.rolloutWorkers, "rollout-workers", 8, "Rollouts reconciled in parallel.")
	flags.IntVar(&o.batchReleaseWorkers, "batchrelease-workers", 8, "BatchReleases reconciled in parallel.")
	flags.StringVar(&o.analysis.prometheus, "prometheus-address", "", "Prometheus that analyses ask where they name none, such as http://prometheus.monitoring:9090.")
	flags.StringSliceVar(&o.analysis.allow, "analysis-allow-cidrs", nil, "Networks that providers of metrics may be in although they are refused by default: loopback, link-local.")
	flags.StringSliceVar(&o.analysis.deny, "analysis-deny-cidrs", nil, "Networks that no provider of metrics may be in, such as that of the API server.")
	flags.BoolVar(&o.analysis.insecure, "analysis-allow-insecure", false, "Let templates accept any certificate of a provider (insecure: true).")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "Kubeconfig of the cluster; empty inside of it.")
	flags.IntVar(&o.trafficRoutingWorkers, "trafficrouting-workers", 3, "TrafficRoutings reconciled in parallel.")
	for _, name := range []string{"rollouthistory-workers", "deployment-workers", "nativedaemonset-workers"} {
		flags.Int(name, 3, "Accepted for older manifests; has no effect in this version.")
	}
	for _, name := range []string{"grace-timeout", "expectation-timeout"} {
		flags.Duration(name, 5*time.Minute, "Accepted for older manifests; waits are kept in status instead.")
	}
	flags.Bool("disable-no-deepcopy", false, "Accepted for older manifests; has no effect.")
	logging := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(logging)
	flags.AddGoFlagSet(logging)
}

// complete reads the environment.
func (o *options) complete() error {
	o.namespace = environment("POD_NAMESPACE", "kruise-rollout")
	o.webhook = webhookEnvironment{
		host:      os.Getenv("WEBHOOK_HOST"),
		secret:    environment("SECRET_NAME", "kruise-rollout-webhook-certs"),
		service:   environment("SERVICE_NAME", "kruise-rollout-webhook-service"),
		admission: environment("ADMISSION_SERVICE_NAME", "kruise-rollout-admission-service"),
	}
	var err error
	if o.webhook.port, err = strconv.Atoi(environment("WEBHOOK_PORT", "9876")); err != nil {
		return fmt.Errorf("WEBHOOK_PORT must be a port number: %w", err)
	}
	return nil
}

func environment(key, otherwise string) string {
	if v := os.Getenv(key); v != "" {
		return v
	}
	return otherwise
}
