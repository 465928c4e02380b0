// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Names of what routes and Ingresses refer to, and where the gateway listens in the pods' network.
const (
	// GatewayName and GatewayNamespace are those of the Gateway. It takes routes of all namespaces.
	GatewayName      = "gateway"
	GatewayNamespace = "default"
	// IngressClass is the class of Ingresses that the gateway serves, with the annotations of ingress-nginx.
	IngressClass = "nginx"

	// No pod and no node of the sandbox has this address. The gateway must not listen on others: the ports of pods are theirs.
	gatewayIP      = "10.243.255.253"
	gatewayAddress = gatewayIP + ":80"
	gatewayAdmin   = gatewayIP + ":8080"
)

// gatewayObjects are what the gateway works with, and what it may do.
//
//go:embed gateway.yaml
var gatewayObjects []byte

// gatewayConfig is all the configuration that Traefik gets. It is a file because Traefik ignores its flags where the machine has a
// configuration file for it.
const gatewayConfig = `global: {checkNewVersion: false, sendAnonymousUsage: false}
log: {level: INFO, noColor: true}
entryPoints:
  web: {address: "` + gatewayAddress + `"}
  traefik: {address: "` + gatewayAdmin + `"}
ping: {}
metrics: {prometheus: {addServicesLabels: true}}
providers:
  kubernetesGateway: {}
  kubernetesIngressNGINX: {httpEntryPoint: web}
`

// Gateway is where a sandbox's gateway is found, in the pods' network: see Dial and Proxy.
type Gateway struct {
	// Address takes HTTP requests, as host:port.
	Address string
	// Metrics is the URL of its metrics, for Prometheus.
	Metrics string
}

// Gateway says where the gateway is. The error is ErrNoGateway when the sandbox was started without one.
func (c *Cluster) Gateway() (Gateway, error) {
	if c.traefik == "" {
		return Gateway{}, ErrNoGateway
	}
	return Gateway{Address: gatewayAddress, Metrics: "http://" + gatewayAdmin + "/metrics"}, nil
}

// ErrNoGateway says that the sandbox was started without a gateway.
var ErrNoGateway = errors.New("this sandbox has no gateway: start it with one")

// findGateway finds the gateway's binary or builds it; the path is empty where none is wanted.
func (o Options) findGateway(ctx context.Context) (string, error) {
	if o.Gateway == nil {
		return "", nil
	}
	bin := o.Bin
	if gateway.check(bin) != nil {
		var err error
		if bin, err = BuildGateway(ctx, o.Log); err != nil {
			return "", err
		}
	}
	return filepath.Join(bin, "traefik"), nil
}

// startGateway installs what the gateway works with, starts it, and returns when it serves routes.
func (c *Cluster) startGateway(ctx context.Context, options GatewayOptions) error {
	if err := c.InstallGatewayAPI(ctx); err != nil {
		return err
	}
	if err := c.wait(ctx, "the Gateway API to be served", func() error { // a moment after it is established
		return c.kubectl(ctx, gatewayObjects, "apply", "--server-side", "--filename=-")
	}); err != nil {
		return err
	}
	kubeconfig, err := c.UserKubeconfig(gatewayUser)
	if err != nil {
		return err
	}
	config := filepath.Join(c.dir, "traefik.yaml")
	content := gatewayConfig
	if options.Throttle > 0 {
		content += fmt.Sprintf("  providersThrottleDuration: %s\n", options.Throttle)
	}
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		return fmt.Errorf("configuring the gateway: %w", err)
	}
	cmd := exec.Command(c.traefik, "--configFile="+config)
	cmd.Env = []string{"KUBECONFIG=" + kubeconfig} // and nothing that would make it believe that it is in a cluster
	if err := c.supervise("traefik", cmd, c.network.namespace.DoHere); err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	return c.wait(ctx, "the gateway to be ready", func() error { return c.gatewayReady(ctx, client) })
}

// gatewayReady asks both sides: the Gateway's status says that Traefik has read it, the answer that it listens. It has no
// signal for having read the Ingresses.
func (c *Cluster) gatewayReady(ctx context.Context, client *kubernetes.Clientset) error {
	content, err := client.Discovery().RESTClient().Get().
		AbsPath("/apis/gateway.networking.k8s.io/v1/namespaces", GatewayNamespace, "gateways", GatewayName).DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("reading the Gateway: %w", err)
	}
	var read struct {
		Status struct{ Conditions []metav1.Condition }
	}
	if err := json.Unmarshal(content, &read); err != nil {
		return fmt.Errorf("reading the Gateway: %w", err)
	}
	programmed := false
	for _, condition := range read.Status.Conditions {
		programmed = programmed || (condition.Type == "Programmed" && condition.Status == metav1.ConditionTrue)
	}
	if !programmed {
		return fmt.Errorf("the Gateway's conditions are %v", read.Status.Conditions)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+gatewayAdmin+"/ping", http.NoBody)
	if err != nil {
		return fmt.Errorf("asking the gateway: %w", err)
	}
	asking := http.Client{Transport: &http.Transport{DialContext: c.network.dial, DisableKeepAlives: true}, Timeout: 5 * time.Second}
	answer, err := asking.Do(request)
	if err != nil {
		return fmt.Errorf("asking the gateway: %w", err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the gateway answers %s", answer.Status)
	}
	return nil
}

// kubectl runs kubectl as someone who may do everything.
func (c *Cluster) kubectl(ctx context.Context, input []byte, args ...string) error {
	_, err := c.kubectlOutput(ctx, input, args...)
	return err
}

func (c *Cluster) kubectlOutput(ctx context.Context, input []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, "kubectl"), append([]string{"--kubeconfig=" + c.Kubeconfig()}, args...)...)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("kubectl %s: %w\n%s", args[0], err, out)
	}
	return out, nil
}
