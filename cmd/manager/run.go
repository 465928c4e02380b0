// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"

	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/plan/admission"
	"kruise.io/rollouts/internal/webhook"
	"kruise.io/rollouts/internal/workload"
)

// leaseName is the leader election's, as every version of this controller used it.
const leaseName = "71ddec2c.kruise.io"

// run wires the manager and runs it until ctx ends.
func (o *options) run(ctx context.Context) error {
	config, err := o.config()
	if err != nil {
		return err
	}
	if o.webhook.certDir == "" {
		if o.webhook.certDir, err = os.MkdirTemp("", "kruise-rollout-webhook-certs-"); err != nil {
			return fmt.Errorf("making a directory for certificates: %w", err)
		}
		defer os.RemoveAll(o.webhook.certDir)
	}
	certificates := (*webhook.Certificates)(nil)
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        controller.Scheme(),
		Cache:                         controller.CacheOptions(o.namespace),
		Client:                        client.Options{Cache: &client.CacheOptions{Unstructured: true}}, // routes are
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddr},
		HealthProbeBindAddress:        o.probeAddr,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
		WebhookServer: ctrlwebhook.NewServer(ctrlwebhook.Options{
			Host: o.bindAddress, Port: o.webhook.port,
			TLSOpts: []func(*tls.Config){func(c *tls.Config) {
				c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return certificates.Get(hello) }
			}},
		}),
	})
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	secrets, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if certificates, err = o.addCertificates(ctx, mgr, secrets); err != nil {
		return err
	}
	webhook.Add(mgr, o.namespace, admission.Limits{
		PartitionPercent: o.partitionPercentLimit, FilterWorkloadType: o.filterWorkloadType, Supports: workload.Supports,
	})
	if err := o.addControllers(ctx, mgr); err != nil {
		return err
	}
	if err := addProbes(mgr, certificates); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// config is how to reach the API server. Its own fairness bounds us, not a rate of ours.
func (o *options) config() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("finding the cluster: %w; give --kubeconfig, or run inside of one", err)
	}
	config.QPS = -1
	config.UserAgent = "kruise-rollout"
	return config, nil
}

func (o *options) addCertificates(ctx context.Context, mgr ctrl.Manager, secrets kubernetes.Interface) (*webhook.Certificates, error) {
	certificates, err := webhook.AddCertificates(mgr, secrets, webhook.Options{
		Namespace: o.namespace, Secret: o.webhook.secret, Service: o.webhook.service,
		Host: o.webhook.host, CertDir: o.webhook.certDir,
	})
	if err != nil {
		return nil, err
	}
	if err := certificates.Ensure(ctx); err != nil {
		return nil, err
	}
	if o.webhook.host == "" {
		return certificates, nil
	}
	direct, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme()})
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return certificates, webhook.PointAt(ctx, direct, o.webhook.host, o.webhook.port)
}

func (o *options) addControllers(ctx context.Context, mgr ctrl.Manager) error {
	if err := controller.Index(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	if err := controller.AddRollout(mgr, o.rolloutWorkers, o.namespace, controller.Probe(mgr.GetClient()), o.featureGates.on("RolloutHistory")); err != nil {
		return fmt.Errorf("adding the Rollout controller: %w", err)
	}
	if err := controller.AddBatchRelease(mgr, o.batchReleaseWorkers, o.featureGates.set[keepPausedGate]); err != nil {
		return fmt.Errorf("adding the BatchRelease controller: %w", err)
	}
	if err := controller.AddTrafficRouting(mgr, o.trafficRoutingWorkers, o.namespace); err != nil {
		return fmt.Errorf("adding the TrafficRouting controller: %w", err)
	}
	return nil
}

// addProbes makes the probes mean something: alive is that the process answers; ready is that the caches are synced and
// admission is served with a certificate that the API server trusts.
func addProbes(mgr ctrl.Manager, certificates *webhook.Certificates) error {
	if err := mgr.AddHealthzCheck("ping", func(*http.Request) error { return nil }); err != nil {
		return fmt.Errorf("adding a probe: %w", err)
	}
	checks := map[string]func(*http.Request) error{
		"webhook": mgr.GetWebhookServer().StartedChecker(),
		"certificates": func(*http.Request) error {
			select {
			case <-certificates.Ready():
				return nil
			default:
				return errors.New("the certificates are not in place yet")
			}
		},
		"caches": func(r *http.Request) error {
			if !mgr.GetCache().WaitForCacheSync(r.Context()) {
				return errors.New("the caches are not synced yet")
			}
			return nil
		},
	}
	for name, check := range checks {
		if err := mgr.AddReadyzCheck(name, check); err != nil {
			return fmt.Errorf("adding a probe: %w", err)
		}
	}
	return nil
}
