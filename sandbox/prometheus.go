// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// prometheusConfig has it read the gateway's metrics, by way of the proxy into the pods' network: the manager, which asks it,
// is on the host.
const prometheusConfig = `global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
- job_name: gateway
  proxy_url: %q
  static_configs: [{targets: [%q]}]
`

// Prometheus is one that runs beside a sandbox's gateway, and reads its metrics every second.
type Prometheus struct {
	// Address is the URL of its HTTP API. It stays the same for as long as the sandbox runs.
	Address string

	cluster *Cluster
	binary  string
	name    string
	port    port

	mu      sync.Mutex
	process *process // nil: it does not run
}

// StartPrometheus starts one, and returns when it has read the gateway's metrics. It runs until the sandbox is stopped, or until
// Kill. Should it have to be built, that takes minutes: see BuildPrometheus. Each call starts another.
func (c *Cluster) StartPrometheus(ctx context.Context) (*Prometheus, error) {
	if c.traefik == "" {
		return nil, ErrNoGateway
	}
	bin := c.bin
	if prometheus.check(bin) != nil {
		var err error
		if bin, err = BuildPrometheus(ctx, c.log); err != nil {
			return nil, err
		}
	}
	port, err := lendPort()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.ports = append(c.ports, port)
	c.prometheuses++
	name := fmt.Sprintf("prometheus-%d", c.prometheuses)
	c.mu.Unlock()
	p := &Prometheus{
		Address: "http://" + port.address(), cluster: c, binary: filepath.Join(bin, "prometheus"), name: name, port: port,
	}
	if err := os.Mkdir(p.dir(), 0o700); err != nil {
		return nil, fmt.Errorf("making a directory for Prometheus: %w", err)
	}
	if err := os.WriteFile(p.config(), fmt.Appendf(nil, prometheusConfig, c.Proxy(), gatewayAdmin), 0o600); err != nil {
		return nil, fmt.Errorf("configuring Prometheus: %w", err)
	}
	return p, p.Start(ctx)
}

func (p *Prometheus) dir() string    { return filepath.Join(p.cluster.dir, p.name) }
func (p *Prometheus) config() string { return filepath.Join(p.dir(), "prometheus.yaml") }

// Start starts it again after Kill, with what it knew before, and returns when it has read the gateway's metrics anew.
func (p *Prometheus) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process != nil {
		return nil
	}
	began := time.Now()
	cmd := exec.Command(p.binary, "--config.file="+p.config(), "--storage.tsdb.path="+filepath.Join(p.dir(), "data"),
		"--storage.tsdb.retention.time=1h", "--web.listen-address="+p.port.address(), "--log.level=warn")
	cmd.Env = []string{"HOME=" + p.dir(), "TMPDIR=" + p.dir()}
	process, err := p.cluster.supervised(p.name, cmd, func(start func() error) error { return start() })
	if err != nil {
		return err
	}
	p.process = process
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not there after %s", startTimeout))
	defer cancel()
	asking := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	if err := p.cluster.wait(ctx, "Prometheus to be ready", func() error { return ready(ctx, asking, p.Address+"/-/ready") }); err != nil {
		return err
	}
	return p.cluster.wait(ctx, "Prometheus to read the gateway's metrics", func() error { return p.reads(ctx, asking, began) })
}

// Kill ends it as a crash would. What it knew is kept.
func (p *Prometheus) Kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process == nil {
		return nil
	}
	process := p.process
	p.process = nil
	return p.cluster.dismiss(process)
}

// reads asks whether it has had an answer of the gateway since then: what it knew before a crash says nothing.
func (p *Prometheus) reads(ctx context.Context, asking http.Client, since time.Time) error {
	query := fmt.Sprintf(`up{job="gateway"} == 1 and timestamp(up{job="gateway"}) > %d`, since.Unix())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Address+"/api/v1/query?"+url.Values{"query": {query}}.Encode(), http.NoBody)
	if err != nil {
		return fmt.Errorf("asking Prometheus: %w", err)
	}
	answer, err := asking.Do(request)
	if err != nil {
		return fmt.Errorf("asking Prometheus: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	var said struct {
		Error string
		Data  struct{ Result []json.RawMessage }
	}
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		return fmt.Errorf("reading the answer of Prometheus: %w", err)
	}
	if len(said.Data.Result) == 0 {
		return fmt.Errorf("there is no answer of the gateway yet (%s %s)", answer.Status, said.Error)
	}
	return nil
}
