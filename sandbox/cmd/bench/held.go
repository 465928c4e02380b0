// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/product"
)

// template is the AnalysisTemplate of all releases that are held. Its query names the release, so that no two of them ask the same.
const template = "errors"

// held are releases that are measured for as long as the benchmark looks on.
var held = []variant{
	{name: "one metric of a template", pods: 2, held: true},
	{name: "the same, and compare in the background", pods: 2, held: true, background: true, route: "Ingress", grace: new(int64(0))},
}

// answerer answers as Prometheus would: a share that changes a little, and counters of both versions, equally good, that grow.
type answerer struct {
	began time.Time
	asked atomic.Int64
}

// serve starts one, until ctx is done; it returns its URL.
func (a *answerer) serve(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listening: %w", err)
	}
	server := &http.Server{Handler: a, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return "http://" + listener.Addr().String(), nil
}

func (a *answerer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := a.asked.Add(1)
	now := time.Now()
	counted := 100 * now.Sub(a.began).Seconds()
	var series []string
	one := func(value float64, labels string) {
		series = append(series, fmt.Sprintf(`{"metric":{%s},"value":[%d,"%g"]}`, labels, now.Unix(), value))
	}
	switch query := r.FormValue("query"); {
	case strings.Contains(query, "_bucket{"):
		for _, side := range []string{"stable", "canary"} {
			for _, le := range []string{"0.1", "1", "+Inf"} {
				one(counted, fmt.Sprintf(`"rollout_side":%q,"instance":"gateway","le":%q`, side, le))
			}
		}
	case strings.Contains(query, "rollout_side"):
		for _, side := range []string{"stable", "canary"} {
			one(counted, fmt.Sprintf(`"rollout_side":%q,"instance":"gateway","status":"200"`, side))
		}
	default:
		one(float64(n%100)/10_000, "")
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, strings.Join(series, ","))
}

// measureHeld holds releases at a step that is measured, and measures what that costs.
func measureHeld(ctx context.Context, binaries string, r measured, calls bool, keep string, window time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a := &answerer{began: time.Now()}
	address, err := a.serve(ctx)
	if err != nil {
		return err
	}
	_, err = inSandbox(ctx, binaries, r, keep, []string{"--prometheus-address=" + address, "--analysis-allow-cidrs=127.0.0.1/32"}, func(c *sandbox.Cluster, m *product.Manager) error {
		b := &bench{measured: r, config: c.Config()}
		if err := b.prepare(ctx); err != nil {
			return err
		}
		if err := b.hold(ctx); err != nil {
			return err
		}
		select { // caches, connections and the last of the writes of getting there
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * settling):
		}
		cpu, asked, began := m.CPU(), a.asked.Load(), time.Now()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(window):
		}
		took := time.Since(began)
		cpu, asked = m.CPU()-cpu, a.asked.Load()-asked
		user, _ := product.User()
		counted, err := sandbox.CountCalls(c.AuditLog(), user, began)
		if err != nil {
			return err
		}
		heap, err := gauge(ctx, m.Metrics, "go_memstats_heap_inuse_bytes")
		if err != nil {
			return err
		}
		writes := 0
		for call, n := range counted {
			if call.Writes() {
				writes += n
			}
		}
		perMinute := func(n int) float64 { return float64(n) / took.Minutes() }
		fmt.Printf("%-42s %8d %8.2f %6d MiB %6d MiB %10.0f %10.0f %16.1f\n", r.name, r.n, cpu.Seconds()/took.Seconds(), m.Resident()>>20, int64(heap)>>20,
			perMinute(int(asked)), perMinute(writes), perMinute(writes)/float64(r.n))
		if calls {
			list(counted, took.Minutes())
		}
		return nil
	})
	return err
}

// hold releases a version of every workload, and waits until each release is measured.
func (b *bench) hold(ctx context.Context) error {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "rollouts.kruise.io/v1beta1", "kind": "AnalysisTemplate", "metadata": map[string]any{"name": template},
		"spec": map[string]any{"metrics": []any{map[string]any{
			"name": "errors", "interval": "10s", "successCondition": "result[0] < 0.05",
			"provider": map[string]any{"prometheus": map[string]any{"query": `errors{rollout="{{rollouts.name}}"}`}},
		}}},
	}}
	resource := schema.GroupVersionResource{Group: "rollouts.kruise.io", Version: "v1beta1", Resource: "analysistemplates"}
	if _, err := b.dyn.Resource(resource).Namespace(namespace).Create(ctx, u, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating a template: %w", err)
	}
	return b.watch(ctx, func(o *unstructured.Unstructured) bool {
		metrics, _, _ := unstructured.NestedSlice(o.Object, "status", "analysis", "step", "metrics")
		background, _, _ := unstructured.NestedSlice(o.Object, "status", "analysis", "background", "metrics")
		return len(metrics) > 0 && (len(background) > 0 || !b.background)
	}, func() error { return b.setImages(ctx, "app:v2") })
}

// gauge reads one of a manager's own metrics.
func gauge(ctx context.Context, address, name string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("reading the manager's metrics: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("reading the manager's metrics: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("the manager has no metric %s (%s)", name, answer.Status)
}
