// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"kruise.io/rollouts/sandbox/internal/netns"
)

// ErrNoListeners says that the sandbox was started without listeners, so that nothing of it can be reached.
var ErrNoListeners = errors.New("the pods of this sandbox do not listen: start it with listeners")

// network is where pods listen: a network namespace, with the API server let in and an HTTP proxy let out.
type network struct {
	namespace *netns.Namespace
	gateway   string       // address inside to which host names lead; empty for none
	inward    net.Listener // inside, at the API server's address
	outward   net.Listener // on the host
	proxy     *http.Server
	dialing   chan struct{} // filled by those that connect: each has a thread, and a process with 10,000 of them is ended
}

// dialers is how many may connect at a time.
const dialers = 500

// newNetwork makes the namespace. In it, the API server has the same address as outside, so that one kubeconfig serves both.
func newNetwork(apiserver port, gateway string) (_ *network, err error) {
	namespace, err := netns.New("10.243.0.0/16", "10.244.0.0/16")
	if errors.Is(err, syscall.EPERM) {
		return nil, fmt.Errorf("pods can listen only if the sandbox may make a network namespace: run it as root, or without listeners: %w", err)
	}
	if err != nil {
		return nil, err
	}
	n := &network{namespace: namespace, gateway: gateway, dialing: make(chan struct{}, dialers)}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	if n.inward, err = namespace.Listen(apiserver.address()); err != nil {
		return nil, fmt.Errorf("letting the API server in: %w", err)
	}
	go forward(n.inward, apiserver.address())
	if n.outward, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("opening the proxy to the pods: %w", err)
	}
	n.proxy = &http.Server{Handler: newProxy(n.dial), ReadHeaderTimeout: time.Minute}
	go func() { _ = n.proxy.Serve(n.outward) }() // returns when closed
	return n, nil
}

func (n *network) proxyURL() string { return "http://" + n.outward.Addr().String() }

// dial connects to an address inside. There is no DNS: host names route to the gateway, as they would from outside of a cluster.
func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if host, _, err := net.SplitHostPort(address); err == nil && n.gateway != "" && net.ParseIP(host) == nil {
		address = n.gateway
	}
	select {
	case n.dialing <- struct{}{}:
		defer func() { <-n.dialing }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var conn net.Conn
	err := n.namespace.Do(func() error {
		var err error
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

func (n *network) close() {
	if n.proxy != nil {
		_ = n.proxy.Close() // nothing is left to be lost
	}
	if n.inward != nil {
		_ = n.inward.Close()
	}
	_ = n.namespace.Close()
}

// forward connects everyone who comes to the listener with the address.
func forward(listener net.Listener, address string) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			far, err := net.Dial("tcp", address)
			if err != nil {
				_ = near.Close()
				return
			}
			join(near, far)
		}()
	}
}

// join copies both ways until both sides are done.
func join(a, b net.Conn) {
	var copying sync.WaitGroup
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		copying.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			if half, ok := pair[0].(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
		})
	}
	copying.Wait()
	_ = a.Close()
	_ = b.Close()
}

// newProxy is an HTTP forward proxy: what any client uses that is asked to (curl -x, HTTP_PROXY, a browser).
func newProxy(dial func(ctx context.Context, network, address string) (net.Conn, error)) http.Handler {
	plain := &httputil.ReverseProxy{
		Rewrite:   func(*httputil.ProxyRequest) {}, // the request says itself where it goes
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "sandbox: "+err.Error(), http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodConnect:
			tunnel(w, r, dial)
		case r.URL.Host == "":
			http.Error(w, "sandbox: this is a proxy to the pods; use it as such: curl -x http://"+r.Host+" http://POD-IP:PORT/", http.StatusBadRequest)
		default:
			plain.ServeHTTP(w, r)
		}
	})
}

func tunnel(w http.ResponseWriter, r *http.Request, dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	far, err := dial(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, "sandbox: "+err.Error(), http.StatusBadGateway)
		return
	}
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = far.Close()
		http.Error(w, "sandbox: "+err.Error(), http.StatusInternalServerError)
		return
	}
	if _, err := io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n"); err == nil {
		early := make([]byte, buffered.Reader.Buffered())
		if _, err := io.ReadFull(buffered, early); err == nil {
			_, _ = far.Write(early)
		}
	}
	join(near, far)
}

// Dial connects to an address in the pods' network, such as a pod's IP and port. With a gateway, every host name routes to
// it. It fits http.Transport.DialContext.
func (c *Cluster) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if c.network == nil {
		return nil, ErrNoListeners
	}
	return c.network.dial(ctx, network, address)
}

// Proxy is the URL of an HTTP proxy on the host that reaches pods, and the gateway by host names; empty without listeners.
func (c *Cluster) Proxy() string { return c.State().Proxy }

// StartInside starts a command in the pods' network, where the API server has the same address as on the host. It is for
// gateways: the command dies with this process, but it is the caller who waits for it.
func (c *Cluster) StartInside(cmd *exec.Cmd) error {
	if c.network == nil {
		return ErrNoListeners
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	started := make(chan error)
	starting() <- func() { started <- c.network.namespace.DoHere(cmd.Start) }
	if err := <-started; err != nil {
		return fmt.Errorf("starting %s in the pods' network: %w", cmd.Path, err)
	}
	return nil
}

// ListenInside opens a listener in the pods' network, for a test to stand in for something there.
func (c *Cluster) ListenInside(address string) (net.Listener, error) {
	if c.network == nil {
		return nil, ErrNoListeners
	}
	return c.network.namespace.Listen(address)
}
