// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/load"
)

// The second release of the tutorials: pods next to the stable ones, and requests routed to them by weight.
const (
	echoDeployment = "deployment/echoserver"
	echoRollout    = "rollout/rollouts-canary-demo"
	echoHost       = "echo.k8s.local"
	echoPath       = "/apis/echo"
	rate           = 100 // requests per second
)

var canaryScript = struct{ before, first, after []act }{
	before: []act{
		{say: "A Deployment of 5 pods with a Service and an nginx Ingress", run: "kubectl apply -f workload-canary-demo.yaml", until: []string{
			"--for=jsonpath='{.status.availableReplicas}'=5 " + echoDeployment,
		}},
		{say: "A Rollout: 5 %, 40 %, 60 %, 80 % and 100 % of the requests", run: "kubectl apply -f rollout-canary-demo.yaml", until: []string{
			"--for=jsonpath='{.status.phase}'=Healthy " + echoRollout,
		}},
	},
	first: []act{
		{
			say: fmt.Sprintf("version2, while %d requests a second arrive", rate),
			run: "sed -i s/version1/version2/ workload-canary-demo.yaml && kubectl apply -f workload-canary-demo.yaml",
			until: []string{
				"--for=jsonpath='{.status.currentStepState}'=StepPaused " + echoRollout,
			},
		},
		{run: "kubectl get deploy echoserver $(kubectl get deploy -l rollouts.kruise.io/canary-deployment=echoserver -o name | cut -d/ -f2)"},
		{run: "kubectl get ingress"},
		{run: "kubectl get svc -l app=echoserver"},
		{run: "kubectl get rollout rollouts-canary-demo"},
	},
	after: []act{
		{say: "The Deployment is the user's own again; nothing else is left", run: "kubectl get deploy echoserver"},
		{run: "kubectl get ingress,svc -l app=echoserver"},
		{run: "kubectl get rollout rollouts-canary-demo"},
	},
}

// canary plays that release under load, and shows the percentage of the requests in each step next to what was asked for.
func canary(ctx context.Context, out io.Writer, c *sandbox.Cluster, p *player) error {
	gateway, err := c.Gateway()
	if err != nil {
		return err
	}
	if err := p.play(ctx, canaryScript.before); err != nil {
		return err
	}
	watched, err := watchRollout(ctx, c, "rollouts-canary-demo")
	if err != nil {
		return err
	}
	requests := load.Start(ctx, load.Options{
		Address: gateway.Address, Dial: c.Dial, Host: echoHost, Path: echoPath, Rate: rate, KeepAlive: true,
		Version: func(r *http.Response) string { return r.Header.Get(sandbox.RevisionHeader) },
	})
	defer requests.Stop()
	if err := p.play(ctx, canaryScript.first); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "\n# Approved; the other steps go on by themselves\n$ kubectl kruise rollout approve %s -n default\n", echoRollout)
	if err := shares(ctx, out, watched, requests, func() error {
		answer, err := p.command(ctx, "kubectl kruise rollout approve "+echoRollout+" -n default").CombinedOutput()
		if err == nil {
			_, _ = out.Write(answer)
		}
		return err
	}); err != nil {
		return err
	}
	report := requests.Stop()
	_, _ = fmt.Fprintf(out, "\n%d requests, %d failed\n", report.Total, report.Failed)
	if report.Failed > 0 {
		return fmt.Errorf("requests were lost: %s", report)
	}
	return p.play(ctx, canaryScript.after)
}

// progress is what a Rollout says of itself.
type progress struct {
	at              time.Time
	step            int64
	state, revision string
	phase           string
	status          v1beta1.RolloutStatus
}

// watchRollout reports every change of a Rollout from now on.
func watchRollout(ctx context.Context, c *sandbox.Cluster, name string) (<-chan progress, error) {
	client, err := dynamic.NewForConfig(c.Config())
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	w, err := client.Resource(schema.GroupVersionResource{Group: "rollouts.kruise.io", Version: "v1beta1", Resource: "rollouts"}).
		Namespace("default").Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		return nil, fmt.Errorf("watching the Rollout: %w", err)
	}
	told := make(chan progress, 1000) // a release has a few dozen
	go func() {
		defer close(told)
		defer w.Stop()
		for e := range w.ResultChan() {
			u, ok := e.Object.(*unstructured.Unstructured)
			if !ok {
				continue
			}
			ro := v1beta1.Rollout{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &ro); err != nil {
				continue // the next one may be as it should be
			}
			p := progress{at: time.Now(), status: ro.Status, phase: string(ro.Status.Phase)}
			if s := ro.Status.CanaryStatus; s != nil {
				p.step, p.state, p.revision = int64(s.CurrentStepIndex), string(s.CurrentStepState), s.CanaryRevision
			}
			told <- p
		}
	}()
	return told, nil
}

var asked = []int{5, 40, 60, 80, 100}

// enough is how long a weight is measured at least.
const enough = 2 * time.Second

// meter measures the percentage of the requests in each step, from when it is in effect to when it is left.
type meter struct {
	requests *load.Load
	step     int64
	since    time.Time // when the step's share was in effect; zero: not yet
	bars     []string
}

// see takes in what the Rollout says of itself.
func (m *meter) see(p progress) {
	if left := p.step != m.step || p.state == "Completed"; left && !m.since.IsZero() {
		m.bars = append(m.bars, bar(m.step, m.requests.Shares(m.since), p.revision))
		m.since = time.Time{}
	}
	m.step = p.step
	switch last := int(p.step) == len(asked); {
	case !m.since.IsZero():
	case p.state == "StepPaused":
		m.since = time.Now()
	case p.state == "StepTrafficRouting" && last: // it does not pause
		m.since = time.Now().Add(enough)
	}
}

// shares draws a bar for each step: what was asked for, and what was measured. Step 1 is approved once enough was measured.
func shares(ctx context.Context, out io.Writer, watched <-chan progress, requests *load.Load, approve func() error) error {
	m := meter{requests: requests, step: 1}
	approval := (<-chan time.Time)(nil)
	for begun := false; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-approval:
			if err := approve(); err != nil {
				return err
			}
		case p, ok := <-watched:
			if !ok {
				return fmt.Errorf("watching the Rollout ended")
			}
			paused := !m.since.IsZero()
			m.see(p)
			if !paused && !m.since.IsZero() && p.step == 1 {
				approval = time.After(enough)
			}
			begun = begun || p.phase == "Progressing"
			if begun && p.phase == "Healthy" {
				_, _ = fmt.Fprintln(out, "\n"+strings.Join(m.bars, "\n"))
				return nil
			}
		}
	}
}

// bar is one step: "step 2/5   asked  40 % ████░░░░   measured  40.2 % ████░░░░ of 498 requests".
func bar(step int64, counts map[string]int, revision string) string {
	return fmt.Sprintf("step %d/%d   %s", step, len(asked), share(revision, asked[step-1], counts))
}

// share is what was asked for and what a version had of the requests.
func share(version string, asked int, counts map[string]int) string {
	total := 0
	for _, n := range counts {
		total += n
	}
	share := 0.0
	if total > 0 {
		share = 100 * float64(counts[version]) / float64(total)
	}
	return fmt.Sprintf("asked %3d %% %s   measured %5.1f %% %s of %d requests", asked, drawn(float64(asked)), share, drawn(share), total)
}

func drawn(percent float64) string {
	const width = 20
	full := int(percent*width/100 + .5)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

// withGateway reports whether the pods of the demo can listen: that takes a network namespace of its own.
func withGateway() bool { return os.Geteuid() == 0 }
