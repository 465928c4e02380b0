// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kruise.io/rollouts/sandbox"
)

// TestPrometheus: it knows what the gateway has answered, may end without the sandbox, and knows it still when it is back. Nothing
// is left of it when the sandbox stops.
func TestPrometheus(t *testing.T) {
	needListeners(t)
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "watched")
	other, err := sandbox.Start(t.Context(), sandbox.Options{Dir: dir, Nodes: 1, Gateway: &sandbox.GatewayOptions{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Stop() })
	p, err := other.StartPrometheus(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asking := http.Client{Transport: &http.Transport{DialContext: other.Dial, DisableKeepAlives: true}}
	answer, err := asking.Get("http://nobody.example.com/") // which counts as a request of the entry point
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	counted := func() error {
		said, err := query(p, `traefik_entrypoint_requests_total{entrypoint="web",code="404"}`)
		if err == nil && !strings.Contains(said, `"1"`) {
			err = fmt.Errorf("Prometheus says %s, want one request", said)
		}
		return err
	}
	eventually(t, counted)

	all := len(other.State().Processes)
	for range 2 { // once more does no harm
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := query(p, "up"); err == nil {
		t.Error("Prometheus answers, although it was killed")
	}
	if n := len(other.State().Processes); n != all-1 {
		t.Errorf("the sandbox has %d processes, want %d", n, all-1)
	}
	for range 2 {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := counted(); err != nil {
		t.Errorf("after its end: %v", err)
	}
	if err := other.Err(); err != nil {
		t.Errorf("its end was taken for a failure: %v", err)
	}
	state := other.State()
	if err := other.Stop(); err != nil {
		t.Fatal(err)
	}
	if left := survivors(t, state, all); len(left) > 0 {
		t.Errorf("still running after Stop: %v", left)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state directory after Stop: %v", err)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("killing it after Stop: %v", err)
	}
	if err := p.Start(t.Context()); err == nil {
		t.Error("it starts in a sandbox that was stopped")
	}
}

// query is the result of a query, as JSON.
func query(p *sandbox.Prometheus, text string) (string, error) {
	answer, err := http.Get(p.Address + "/api/v1/query?" + url.Values{"query": {text}}.Encode())
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var said struct{ Data json.RawMessage }
	err = json.NewDecoder(answer.Body).Decode(&said)
	return string(said.Data), err
}

func TestPrometheusWithoutGateway(t *testing.T) {
	t.Parallel()
	if _, err := (&sandbox.Cluster{}).StartPrometheus(t.Context()); !errors.Is(err, sandbox.ErrNoGateway) {
		t.Errorf("Prometheus in a sandbox without a gateway: %v, want %v", err, sandbox.ErrNoGateway)
	}
}
