// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kruise.io/rollouts/sandbox/internal/agent"
)

// startTimeout is for a machine that has a lot else to do; it usually takes a few seconds.
const startTimeout = 2 * time.Minute

// Cluster is a running sandbox.
type Cluster struct {
	name, dir, bin string
	traefik        string // the gateway's binary; empty without a gateway
	log            io.Writer
	began          time.Time
	lock           *dirLock
	ports          []port
	authority      *authority
	admin          *rest.Config
	network        *network // nil without listeners

	mu           sync.Mutex
	processes    []*process
	state        State
	stopping     bool
	prometheuses int // how many were started

	installing  sync.Mutex // of OpenKruise
	kruise      string     // which one; empty: none
	stopPlaying context.CancelFunc
	playingDone chan struct{}

	stopAgent context.CancelFunc
	agentDone chan struct{}

	failed   chan struct{} // closed when something ended that should not have
	failOnce sync.Once
	failure  error

	stopOnce sync.Once
	stopErr  error
}

// Start starts a sandbox and returns when its API server, controllers and nodes work. ctx bounds the start only; the
// sandbox runs until Stop, or until this process ends in whatever way.
func Start(ctx context.Context, options Options) (_ *Cluster, err error) {
	options, err = options.complete()
	if err != nil {
		return nil, err
	}
	if options.Bin == "" {
		if options.Bin, err = Build(ctx, options.Log); err != nil {
			return nil, err
		}
	} else if err := controlPlane.check(options.Bin); err != nil {
		return nil, err
	}
	traefik, err := options.findGateway(ctx)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(options.Dir)
	if err != nil {
		return nil, err
	}
	if err := clear(options.Dir); err != nil {
		lock.unlock()
		return nil, err
	}
	c := &Cluster{
		name: options.Name, dir: options.Dir, bin: options.Bin, traefik: traefik, log: options.Log, lock: lock, began: time.Now(),
		failed: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not there after %s", startTimeout))
	defer cancel()
	if err := c.start(ctx, options); err != nil {
		return nil, err
	}
	c.logf("sandbox %s ready after %s", c.name, c.since())
	return c, nil
}

func (c *Cluster) start(ctx context.Context, options Options) error {
	for range 3 {
		p, err := reservePort()
		if err != nil {
			return err
		}
		c.ports = append(c.ports, p)
	}
	etcd, peer, secure := c.ports[0], c.ports[1], c.ports[2]
	supervisor, err := identify("sandbox", os.Getpid())
	if err != nil {
		return err
	}
	c.state = State{
		Name: c.name, Dir: c.dir, Bin: c.bin, Started: c.began, Server: "https://" + secure.address(),
		Kubeconfig: c.Kubeconfig(), Nodes: options.Nodes, Supervisor: supervisor,
	}
	if err := c.state.write(); err != nil {
		return err
	}
	if c.authority, err = newAuthority(); err != nil {
		return err
	}
	if c.admin, err = c.authority.config(c.server(), adminUser, []string{ownerGroup}); err != nil {
		return err
	}
	if err := c.writeConfigs(); err != nil {
		return err
	}
	if options.Listeners {
		if err := c.startNetwork(secure); err != nil {
			return err
		}
	}
	c.logf("starting sandbox %s in %s, API server %s", c.name, c.dir, c.server())
	if err := c.startControlPlane(ctx, etcd, peer, secure, options); err != nil {
		return err
	}
	if err := c.startAgent(ctx, options.Nodes); err != nil {
		return err
	}
	if err := c.waitControllers(ctx); err != nil {
		return err
	}
	if options.Gateway != nil {
		if err := c.startGateway(ctx, *options.Gateway); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Ready = true
	return c.state.write()
}

// startNetwork makes the network that the pods listen in.
func (c *Cluster) startNetwork(apiserver port) (err error) {
	at := ""
	if c.traefik != "" {
		at = gatewayAddress
	}
	if c.network, err = newNetwork(apiserver, at); err != nil {
		return err
	}
	c.state.Proxy, c.state.Namespace, c.state.Gateway = c.network.proxyURL(), c.network.namespace.Path(), at
	return nil
}

// run starts one of the control plane's programs.
func (c *Cluster) run(name string, args ...string) error {
	return c.supervise(name, exec.Command(filepath.Join(c.bin, name), args...), func(start func() error) error { return start() })
}

// supervise starts a process of the sandbox, by way of enter, and notes it down. Should it end, the sandbox has failed.
func (c *Cluster) supervise(name string, cmd *exec.Cmd, enter func(func() error) error) error {
	_, err := c.supervised(name, cmd, enter)
	return err
}

// supervised does what supervise does, for who wants to dismiss the process later.
func (c *Cluster) supervised(name string, cmd *exec.Cmd, enter func(func() error) error) (*process, error) {
	p, err := startProcess(name, cmd, c.dir, enter)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping { // it would be started again behind the back of Stop
		p.kill()
		return nil, fmt.Errorf("starting %s: the sandbox is being stopped", name)
	}
	c.processes = append(c.processes, p)
	go func() {
		<-p.done
		if !p.dismissed.Load() {
			c.fail(p.failure())
		}
	}()
	id, err := identify(name, p.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	c.state.Processes = append(c.state.Processes, id)
	return p, c.state.write()
}

// dismiss ends a process of the sandbox, which goes on without it.
func (c *Cluster) dismiss(p *process) error {
	p.dismissed.Store(true)
	p.kill()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping {
		return nil
	}
	c.processes = slices.DeleteFunc(slices.Clone(c.processes), func(other *process) bool { return other == p })
	c.state.Processes = slices.DeleteFunc(slices.Clone(c.state.Processes), func(id identity) bool { return id.PID == p.cmd.Process.Pid })
	return c.state.write()
}

func (c *Cluster) startAgent(ctx context.Context, nodes int) error {
	config, err := c.authority.config(c.server(), agentUser, []string{ownerGroup})
	if err != nil {
		return err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making the node agent's client: %w", err)
	}
	a := &agent.Agent{
		Client: client, Nodes: nodes, Version: KubernetesVersion, Log: slog.New(slog.NewTextHandler(c.log, nil)),
	}
	if c.network != nil {
		a.Listen = c.network.namespace.Listen
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.stopAgent, c.agentDone = cancel, make(chan struct{})
	ready := make(chan struct{})
	go func() {
		defer close(c.agentDone)
		if err := a.Run(running, func() { close(ready) }); err != nil {
			c.fail(fmt.Errorf("running the node agent: %w", err))
		}
	}()
	select {
	case <-ready:
		return nil
	case <-c.failed:
		return c.failure
	case <-ctx.Done():
		return fmt.Errorf("waiting for the node agent: %w", context.Cause(ctx))
	}
}

// fail notes the first thing that went wrong on its own.
func (c *Cluster) fail(err error) {
	c.mu.Lock()
	stopping := c.stopping
	c.mu.Unlock()
	if !stopping {
		c.failOnce.Do(func() {
			c.failure = err
			close(c.failed)
		})
	}
}

// Stop ends every process of the sandbox and removes its state directory.
func (c *Cluster) Stop() error {
	c.stopOnce.Do(func() {
		c.mu.Lock()
		c.stopping = true
		processes, ports := c.processes, c.ports
		stopPlaying, playingDone := c.stopPlaying, c.playingDone
		c.mu.Unlock()
		if stopPlaying != nil {
			stopPlaying()
		}
		if c.stopAgent != nil {
			c.stopAgent()
		}
		var stopped sync.WaitGroup
		for _, p := range processes {
			stopped.Go(p.kill)
		}
		stopped.Wait()
		if c.agentDone != nil {
			<-c.agentDone
		}
		if playingDone != nil {
			<-playingDone
		}
		if c.network != nil {
			c.network.close()
		}
		for _, p := range ports {
			p.release()
		}
		c.stopErr = c.lock.removeDir()
		c.lock.unlock()
	})
	return c.stopErr
}

// Failed is closed when a part of the sandbox ended on its own; Err then says why.
func (c *Cluster) Failed() <-chan struct{} { return c.failed }

// Err says what ended on its own, or nil.
func (c *Cluster) Err() error {
	select {
	case <-c.failed:
		return c.failure
	default:
		return nil
	}
}

// Dir is the state directory; it holds the logs of the processes, too.
func (c *Cluster) Dir() string { return c.dir }

// Bin is the directory of the binaries in use, kubectl among them.
func (c *Cluster) Bin() string { return c.bin }

// Kubeconfig is the path of a kubeconfig file that may do everything.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir, "kubeconfig") }

// Config is a client configuration that may do everything, without a rate limit.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.admin) }

// AuditLog is the path of the log of all API calls but those of the control plane and the node agent; see CountCalls.
func (c *Cluster) AuditLog() string { return filepath.Join(c.dir, "audit.log") }

// State is what other processes can read of this sandbox.
func (c *Cluster) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// User is a client configuration with which one is that user, in those groups, as RBAC and the audit log see it. Nothing
// else is needed to be, say, a service account; ServiceAccount does just that.
func (c *Cluster) User(name string, groups ...string) (*rest.Config, error) {
	return c.authority.config(c.server(), name, groups)
}

// UserKubeconfig writes what User returns into a file and returns its path.
func (c *Cluster) UserKubeconfig(name string, groups ...string) (string, error) {
	config, err := c.User(name, groups...)
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp(c.dir, "user-*.kubeconfig")
	if err != nil {
		return "", fmt.Errorf("making a kubeconfig: %w", err)
	}
	if err := file.Close(); err != nil {
		return "", fmt.Errorf("making a kubeconfig: %w", err)
	}
	return file.Name(), writeKubeconfig(file.Name(), "sandbox-"+c.name, config)
}

// ServiceAccount is the user name and the groups of a service account, for User and UserKubeconfig.
func ServiceAccount(namespace, name string) (user string, groups []string) {
	return "system:serviceaccount:" + namespace + ":" + name,
		[]string{"system:serviceaccounts", "system:serviceaccounts:" + namespace}
}

func (c *Cluster) server() string { return c.state.Server }

func (c *Cluster) since() time.Duration { return time.Since(c.began).Round(10 * time.Millisecond) }

// logf reports progress to people.
func (c *Cluster) logf(format string, args ...any) {
	_, _ = fmt.Fprintf(c.log, format+"\n", args...)
}
