// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
)

// probes make /healthz and /readyz mean something: alive is that the process answers; ready is that admission and
// conversion are served with a certificate that the API server trusts, and that the caches are synced. They answer from the
// beginning: who waits wants to know what for.
type probes struct {
	address string
	checks  map[string]healthz.Checker
}

// serve answers until ctx ends.
func (p probes) serve(ctx context.Context) error {
	if p.address == "" || p.address == "0" {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("/healthz", answer(nil))
	mux.Handle("/readyz", answer(p.checks))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.address)
	if err != nil {
		return fmt.Errorf("listening for probes: %w", err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return nil
}

// answer runs all checks, and writes the result of each.
func answer(checks map[string]healthz.Checker) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		code, lines := http.StatusOK, ""
		for _, name := range slices.Sorted(maps.Keys(checks)) {
			if err := checks[name](r); err != nil {
				code = http.StatusInternalServerError
				lines += fmt.Sprintf("[-]%s: %v\n", name, err)
				continue
			}
			lines += fmt.Sprintf("[+]%s ok\n", name)
		}
		if code == http.StatusOK {
			lines += "ok\n"
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, lines)
	}
}

// stage is what the start waits for, for the caller; empty once it waits for nothing.
type stage struct{ text atomic.Pointer[string] }

func (s *stage) set(text string) { s.text.Store(&text) }

func (s *stage) check(*http.Request) error {
	if text := s.text.Load(); text != nil && *text != "" {
		return errors.New(*text)
	}
	return nil
}
