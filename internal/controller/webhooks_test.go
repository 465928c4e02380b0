// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"kruise.io/rollouts/internal/analysis"
	"kruise.io/rollouts/internal/provider"
)

// TestWebhooksAreCalled: a webhook is called when that is due, once for each call that is asked for, and what came of it is an answer,
// also where it fails. Equal calls of two Rollouts are two.
func TestWebhooksAreCalled(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		switch body, _ := io.ReadAll(r.Body); {
		case r.URL.Path == "/down":
			w.Header().Set("Retry-After", "42")
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/wait":
			w.WriteHeader(http.StatusAccepted)
		case r.URL.Path == "/no":
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"message":"not on Fridays"}`)
		case string(body) != `{"step":1}` || r.Header.Get("Idempotency-Key") != "id":
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	clock := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))
	clients := provider.New(provider.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Now: clock.Now})
	b := &bench{clock: clock, Measurer: NewMeasurer(t.Context(), clock, AskingBy(clients))}
	host := strings.TrimPrefix(server.URL, "http://")
	want := map[string]analysis.HookAnswer{
		"/yes": {Outcome: analysis.HookAllowed}, "/no": {Outcome: analysis.HookRefused, Message: "not on Fridays"}, "/wait": {Outcome: analysis.HookNotYet},
		"/down": {Outcome: analysis.HookFailed, Message: "status 503 from " + host, RetryAfter: 42 * time.Second},
	}
	for _, name := range []string{"web", "api"} {
		var asks []analysis.Ask
		for path := range want {
			asks = append(asks, analysis.Ask{
				Key: path, Due: clock.Now().Add(time.Second), Namespace: "ns", Hook: &analysis.Hook{URL: server.URL + path, Timeout: time.Minute, ID: "id", Body: []byte(`{"step":1}`)},
			})
		}
		b.Want(rolloutNamed(name), asks)
	}
	for got := 0; got < 2*len(want); {
		b.woken(t)
		got = len(b.Of(rolloutNamed("web"))) + len(b.Of(rolloutNamed("api")))
	}
	for _, name := range []string{"web", "api"} {
		for path, answer := range want {
			if got := b.Of(rolloutNamed(name))[path]; got.Result != answer || got.Err != "" || got.Time.IsZero() {
				t.Errorf("%s%s: got %+v, want %+v", name, path, got, answer)
			}
		}
	}
	if n := calls.Load(); n != 8 {
		t.Errorf("there are %d calls, want 8", n)
	}
}
