// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"

	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/plan/admission"
	"kruise.io/rollouts/internal/provider"
	"kruise.io/rollouts/internal/webhook"
	"kruise.io/rollouts/internal/workload"
)

// leaseName is the leader election's, as every version of this controller used it.
const leaseName = "71ddec2c.kruise.io"

// stopWithin is how long requests in flight have to be answered once the controllers have stopped.
const stopWithin = 5 * time.Second

// run serves certificates, conversion and admission, then reads the cluster, then controls it, until ctx ends. The order
// matters: what is stored in another version cannot be read before it is converted, and that is done here.
func (o *options) run(ctx context.Context) error {
	config, err := o.config()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        controller.Scheme(),
		MapperProvider:                newMapper,
		Cache:                         controller.CacheOptions(o.namespace),
		Client:                        client.Options{Cache: &client.CacheOptions{Unstructured: true}}, // routes are
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddr},
		HealthProbeBindAddress:        "0", // ours answer earlier
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	certificates, err := o.certificates(config)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go certificates.Run(serving)
	controlling, abandon := context.WithCancelCause(ctx)
	defer abandon(nil)
	synced := make(chan struct{})
	server, ended := o.serve(serving, mgr, synced, certificates, abandon)
	waiting := &stage{}
	waiting.set("starting")
	if err := o.probes(server, synced, certificates, waiting).serve(serving); err != nil {
		return err
	}
	err = o.control(controlling, mgr, synced, certificates, waiting)
	if cause := context.Cause(controlling); cause != nil && ctx.Err() == nil {
		return cause
	}
	stop()
	select {
	case <-ended:
	case <-time.After(stopWithin):
	}
	return err
}

// serve answers the API server until ctx ends. Where it cannot, nothing else has a point, either.
func (o *options) serve(ctx context.Context, mgr ctrl.Manager, synced <-chan struct{}, certificates *webhook.Certificates, abandon context.CancelCauseFunc) (ctrlwebhook.Server, <-chan struct{}) {
	server := ctrlwebhook.NewServer(ctrlwebhook.Options{
		Host: o.bindAddress, Port: o.webhook.port,
		TLSOpts: []func(*tls.Config){func(c *tls.Config) { c.GetCertificate = certificates.Get }},
	})
	webhook.Register(server, mgr, synced, o.namespace, admission.Limits{
		PartitionPercent: o.partitionPercentLimit, FilterWorkloadType: o.filterWorkloadType, Supports: workload.Supports,
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Start(ctx); err != nil {
			abandon(fmt.Errorf("serving admission and conversion: %w", err))
		}
	}()
	return server, ended
}

// control reads the cluster once it can be read, and controls it.
func (o *options) control(ctx context.Context, mgr ctrl.Manager, synced chan struct{}, certificates *webhook.Certificates, waiting *stage) error {
	select {
	case <-certificates.Ready():
	case <-ctx.Done():
		return nil
	}
	say := func(err error) {
		waiting.set(err.Error())
		mgr.GetLogger().Info("waiting for the kinds to control", "reason", err.Error())
	}
	if err := controller.AwaitDefinitions(ctx, mgr.GetAPIReader(), clock.RealClock{}, say); err != nil {
		return nil //nolint:nilerr // stopped
	}
	waiting.set("")
	if err := o.addControllers(ctx, mgr); err != nil {
		return err
	}
	direct, err := client.New(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	storage := &controller.Storage{Client: client.WithFieldOwner(direct, controller.FieldManager), Clock: clock.RealClock{}}
	if err := mgr.Add(storage); err != nil {
		return fmt.Errorf("adding the storage: %w", err)
	}
	return start(ctx, mgr, synced)
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

func (o *options) certificates(config *rest.Config) (*webhook.Certificates, error) {
	secrets, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return webhook.NewCertificates(secrets, objects, clock.RealClock{}, webhook.Options{
		Namespace: o.namespace, Secret: o.webhook.secret, Services: []string{o.webhook.service, o.webhook.admission},
		Host: o.webhook.host, Port: o.webhook.port,
	}), nil
}

func (o *options) addControllers(ctx context.Context, mgr ctrl.Manager) error {
	if err := controller.Index(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	measurer, err := o.measurer(ctx, mgr)
	if err != nil {
		return err
	}
	if err := controller.AddRollout(mgr, o.rolloutWorkers, o.namespace, controller.Probe(mgr.GetClient()), o.featureGates.on("RolloutHistory"), measurer); err != nil {
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

// measurer asks providers of metrics, within what the flags allow.
func (o *options) measurer(ctx context.Context, mgr ctrl.Manager) (*controller.Measurer, error) {
	allow, err := prefixes("analysis-allow-cidrs", o.analysis.allow)
	if err != nil {
		return nil, err
	}
	deny, err := prefixes("analysis-deny-cidrs", o.analysis.deny)
	if err != nil {
		return nil, err
	}
	if server, err := url.Parse(mgr.GetConfig().Host); err == nil { // what a tenant may not reach by way of the manager
		if address, err := netip.ParseAddr(server.Hostname()); err == nil && !address.IsLoopback() {
			deny = append(deny, netip.PrefixFrom(address, address.BitLen()))
		}
	}
	reader := mgr.GetAPIReader()
	clients := provider.New(provider.Options{
		PrometheusAddress: o.analysis.prometheus, Namespace: o.namespace, AllowInsecure: o.analysis.insecure,
		Allow: allow, Deny: deny, Now: time.Now, Getenv: os.Getenv, ReadFile: os.ReadFile,
		SecretReader: func(ctx context.Context, namespace, name string) (map[string][]byte, error) {
			secret := &corev1.Secret{}
			err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret)
			return secret.Data, err
		},
	})
	return controller.NewMeasurer(ctx, clock.RealClock{}, controller.AskingBy(clients)), nil
}

// prefixes reads networks as CIDR writes them.
func prefixes(flag string, texts []string) (networks []netip.Prefix, err error) {
	for _, text := range texts {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("--%s: %q is no network; write it as in 10.0.0.0/8: %w", flag, text, err)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func (o *options) probes(server ctrlwebhook.Server, synced <-chan struct{}, certificates *webhook.Certificates, waiting *stage) probes {
	return probes{address: o.probeAddr, checks: map[string]healthz.Checker{
		"webhook":      server.StartedChecker(),
		"certificates": certificates.Check,
		"kinds":        waiting.check,
		"caches": func(*http.Request) error { // those of the start: what a release needs later makes no one else wait
			select {
			case <-synced:
				return nil
			default:
				return errors.New("the caches are not synced yet")
			}
		},
	}}
}
