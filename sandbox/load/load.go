// SPDX-License-Identifier: Apache-2.0

// Package load sends HTTP requests at a fixed rate and keeps account of what became of each: how many were lost, and who
// answered the others. It is for tests that release a new version under load.
package load

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// clients is how many clients share the requests. Each has connections of its own, so that what happens to a connection
// does not happen to all.
const clients = 8

// Options say what to send where. Address is all that must be set.
type Options struct {
	// Address is where to connect, as host:port.
	Address string
	// Dial connects, such as the Dial of a sandbox's cluster; nil for the network of this process.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Host is the host that the requests ask for; empty for Address.
	Host string
	// Path defaults to /.
	Path string
	// Header is sent with every request.
	Header http.Header
	// Rate is how many requests are sent per second, however long their answers take; 0 means 100.
	Rate int
	// Count ends the load after that many requests; 0 means to send until Stop.
	Count int
	// KeepAlive makes each client use a connection for as long as it can; without it every request has one of its own.
	KeepAlive bool
	// Timeout is how long a request may take; 0 means 5 s.
	Timeout time.Duration
	// Keep is how many failures are kept with their reasons; 0 means 50.
	Keep int
	// Version shows from an answer who gave it; nil for what pods of the sandbox say in the header Sandbox-Version. The
	// body is not to be read.
	Version func(*http.Response) string
}

func (o Options) complete() Options {
	o.Host = cmp.Or(o.Host, o.Address)
	o.Path = cmp.Or(o.Path, "/")
	o.Rate = cmp.Or(o.Rate, 100)
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	o.Keep = cmp.Or(o.Keep, keptFailures)
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	if o.Version == nil {
		o.Version = func(r *http.Response) string { return r.Header.Get("Sandbox-Version") }
	}
	return o
}

// Load is a load that is being sent, or was.
type Load struct {
	options Options
	clients [clients]client
	stop    context.CancelFunc
	done    chan struct{} // closed when all is sent and answered

	mu       sync.Mutex
	requests []Request
	failures []Failure
}

// Request is a request that was answered, or failed.
type Request struct {
	Sent time.Time
	// Version is who answered, well or not; empty where nobody did that says so, such as a gateway for itself.
	Version string
	Failed  bool
}

// Start begins to send. It ends with ctx, with Stop, or after Options.Count requests; in each case what was sent is waited
// for and counted.
func Start(ctx context.Context, options Options) *Load {
	l := &Load{options: options.complete(), done: make(chan struct{})}
	ctx, l.stop = context.WithCancel(ctx)
	for i := range l.clients {
		l.clients[i] = newClient(l.options)
	}
	go l.run(ctx)
	return l
}

// run sends each request when it is due. What could not be sent in time is made up for.
func (l *Load) run(ctx context.Context) {
	defer close(l.done)
	defer l.stop()
	var flying sync.WaitGroup
	began := time.Now()
	due := time.NewTimer(0)
	defer due.Stop()
	for i := 0; l.options.Count == 0 || i < l.options.Count; i++ {
		due.Reset(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(l.options.Rate))))
		select {
		case <-due.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		flying.Go(func() { l.send(context.WithoutCancel(ctx), &l.clients[i%clients]) })
	}
	flying.Wait()
	for i := range l.clients {
		l.clients[i].transport.CloseIdleConnections()
	}
}

func (l *Load) send(ctx context.Context, c *client) {
	sent := time.Now()
	version, err := c.ask(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, Request{Sent: sent, Version: version, Failed: err != nil})
	if err != nil && len(l.failures) < l.options.Keep {
		l.failures = append(l.failures, Failure{Sent: sent, Version: version, Reason: err.Error()})
	}
}

// Wait waits until Options.Count requests are answered, or somebody has ended the load, and reports.
func (l *Load) Wait() Report {
	<-l.done
	return l.Report()
}

// Stop sends no more, waits for the answers that are due, and reports.
func (l *Load) Stop() Report {
	l.stop()
	return l.Wait()
}
