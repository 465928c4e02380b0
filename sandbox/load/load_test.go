// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// rate is for tests that are about something else: as fast as can be.
const rate = 5000

// serve starts a server and returns its address.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestShares(t *testing.T) {
	t.Parallel()
	for name, keepAlive := range map[string]bool{"keep-alive": true, "new connections": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			address := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Host != "shop.example.com" || r.URL.Path != "/cart" || r.Header.Get("X") != "y" || r.ContentLength != 0 {
					w.WriteHeader(http.StatusBadRequest)
				}
				version := "v1"
				if asked.Add(1)%4 == 0 {
					version = "v2"
				}
				w.Header().Set("Sandbox-Version", version)
				_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
			})
			l := Start(t.Context(), Options{
				Address: address, Host: "shop.example.com", Path: "/cart", Header: http.Header{"X": {"y"}},
				Rate: rate, Count: 200, KeepAlive: keepAlive,
			})
			report := l.Wait()
			if want := map[string]int{"v1": 150, "v2": 50}; report.Total != 200 || report.Failed != 0 || !maps.Equal(report.Shares, want) {
				t.Errorf("%s\nwant shares %v", report, want)
			}
			if later := l.Shares(time.Now()); len(later) != 0 {
				t.Errorf("from now on %v have answered", later)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = nobody.Close()
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"status": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Sandbox-Version", "v2")
			http.Error(w, "no  server\n", http.StatusServiceUnavailable)
		}, "503 Service Unavailable: no server"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, "302 Found"},
		"time":     {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer after 100ms"},
		"half an answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "half")
		}, "reading the answer"},
		"nobody there": {nil, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := nobody.Addr().String()
			if test.handler != nil {
				address = serve(t, test.handler)
			}
			began := time.Now()
			l := Start(t.Context(), Options{Address: address, Rate: rate, Count: keptFailures + 1, KeepAlive: true, Timeout: 100 * time.Millisecond})
			report := l.Wait()
			if report.Total != keptFailures+1 || report.Failed != keptFailures+1 || len(report.Failures) != keptFailures || len(report.Shares) != 0 {
				t.Fatalf("%s\nwant all to fail", report)
			}
			if first := report.Failures[0]; !strings.Contains(first.Reason, test.want) || first.Sent.Before(began) || first.Sent.After(time.Now()) {
				t.Errorf("the first failure is %+v, want reason %q", first, test.want)
			}
			who := ""
			if name == "status" {
				who = "v2"
			}
			for _, r := range l.Requests(time.Time{}) {
				if !r.Failed || r.Version != who {
					t.Errorf("%+v, want a failure by %q", r, who)
				}
			}
		})
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	report := Start(t.Context(), Options{Address: address, Rate: rate, Count: keptFailures + 20, Keep: keptFailures + 10}).Wait()
	if report.Failed != keptFailures+20 || len(report.Failures) != keptFailures+10 {
		t.Errorf("%d of %d failures are kept, want %d", len(report.Failures), report.Failed, keptFailures+10)
	}
}

// TestNothingIsSentTwice has a server that takes a second request on a connection, and closes it.
func TestNothingIsSentTwice(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var asked atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				reader := bufio.NewReader(conn)
				for i := range 2 {
					if _, err := http.ReadRequest(reader); err != nil {
						return
					}
					asked.Add(1)
					if i == 0 {
						_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
					}
				}
			}()
		}
	}()
	// Slowly enough for the clients to have connections to use again.
	report := Start(t.Context(), Options{Address: listener.Addr().String(), Rate: 1000, Count: 100, KeepAlive: true}).Wait()
	if report.Failed == 0 || int64(report.Total) != asked.Load() {
		t.Errorf("the server was asked %d times; %s\nwant as many requests, and some failed", asked.Load(), report)
	}
}

// The next two run in a time of their own, which also shows that nothing is left behind.

func TestRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const latency = time.Second
		network := newPipes(t, latency)
		l := Start(t.Context(), Options{Address: "server:80", Dial: network.dial, Rate: 200, KeepAlive: true})
		<-time.After(10*time.Second + time.Millisecond)
		if so := l.Report(); so.Total != 9*200+1 {
			t.Errorf("after 10 s: %s\nwant the answers to what was sent in the first 9", so)
		}
		if report := l.Stop(); report.Total != 10*200+1 || report.Failed != 0 {
			t.Errorf("slow answers at 200/s for 10 s: %s", report)
		}
		if n := l.Shares(time.Now().Add(-latency - time.Second))[""]; n != 201 {
			t.Errorf("%d were sent in the last second, want 201: the one at its beginning counts", n)
		}
		l.Stop() // once more does no harm
	})
}

func TestConnections(t *testing.T) {
	t.Parallel()
	for keepAlive, want := range map[bool]int64{true: clients, false: 100} {
		synctest.Test(t, func(t *testing.T) {
			network := newPipes(t, 0)
			Start(t.Context(), Options{Address: "server:80", Dial: network.dial, Count: 100, KeepAlive: keepAlive}).Wait()
			if n := network.dialed.Load(); n != want {
				t.Errorf("with keep-alive %t: %d connections, want %d", keepAlive, n, want)
			}
		})
	}
}

func TestEndOfContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	address := serve(t, func(http.ResponseWriter, *http.Request) { cancel() })
	if report := Start(ctx, Options{Address: address, Rate: rate}).Wait(); report.Total == 0 || report.Failed != 0 {
		t.Errorf("ending the context: %s\nwant what was sent to be answered", report)
	}
}

func TestReportForPeople(t *testing.T) {
	t.Parallel()
	r := Report{
		Total: 12, Failed: 1, Shares: map[string]int{"v2": 1, "v1": 8, "": 2},
		Failures: []Failure{{Sent: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), Reason: "503"}},
	}
	want := "12 requests, 1 failed; answered by unknown: 2 v1: 8 v2: 1\n  03:04:05.006 503"
	if got := fmt.Sprint(r); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// pipes is a network in memory, in which waiting is known to be waiting, with one server.
type pipes struct {
	conns  chan net.Conn
	dialed atomic.Int64
}

func newPipes(t *testing.T, latency time.Duration) *pipes {
	p := &pipes{conns: make(chan net.Conn)}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-time.After(latency)
		w.WriteHeader(http.StatusNoContent)
	})}
	go func() { _ = server.Serve(p) }()
	t.Cleanup(func() { _ = server.Close() })
	return p
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	p.dialed.Add(1)
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	conn, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p *pipes) Close() error {
	close(p.conns)
	return nil
}

func (*pipes) Addr() net.Addr { return &net.TCPAddr{} }
