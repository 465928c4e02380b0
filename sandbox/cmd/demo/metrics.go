// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/load"
)

// The third release has nobody who approves it: what Prometheus says of the gateway's requests decides.
const (
	shopDeployment = "deployment/shop"
	shopRollout    = "rollout/shop"
	shopHost       = "shop.example.com"
	shopRate       = 300 // requests per second
	shopShare      = 20  // percent of them, in the step that is analysed
)

// shopVersion changes the template to a version that fails a share of its requests.
func shopVersion(version, failing string) string {
	return fmt.Sprintf(`kubectl patch deployment shop -p \
'{"spec":{"template":{"metadata":{"annotations":{"sandbox.kruise.io/error-percent":%q}},"spec":{"containers":[{"name":"shop", "env":[{"name":"VERSION", "value":%q}]}]}}}}'`,
		failing, version)
}

var metricsScript = struct{ before, bad, caught, good, after []act }{
	before: []act{
		{say: "A Deployment of 5 pods with a Service and an HTTPRoute, behind a gateway that Prometheus reads", run: "kubectl apply -f workload-metrics-demo.yaml", until: []string{
			"--for=jsonpath='{.status.availableReplicas}'=5 " + shopDeployment,
		}},
		{say: fmt.Sprintf("A Rollout: %d %% of the requests, until the metrics have decided; then all", shopShare), run: "sed -n '/steps:/,$p' rollout-metrics-demo.yaml && kubectl apply -f rollout-metrics-demo.yaml", until: []string{
			"--for=jsonpath='{.status.phase}'=Healthy " + shopRollout,
		}},
	},
	bad: []act{{
		say: fmt.Sprintf("v2 fails a tenth of its requests. Nobody looks on, while %d a second arrive", shopRate),
		run: shopVersion("v2", "10"),
	}},
	caught: []act{
		{until: []string{"--for=delete pod -l app=shop,rollouts.kruise.io/rollout-batch-id"}},
		{run: "kubectl kruise rollout describe shop"},
		{run: "kubectl kruise rollout why shop"},
	},
	good: []act{{say: "v3 does not fail. It goes on by itself", run: shopVersion("v3", "0")}},
	after: []act{
		{run: "kubectl kruise rollout get shop"},
		{run: "kubectl kruise rollout history rollout/shop"},
	},
}

// metrics plays a bad version, which is taken back by itself, and a good one, which is released by itself.
func metrics(ctx context.Context, out io.Writer, c *sandbox.Cluster, p *player) error {
	gateway, err := c.Gateway()
	if err != nil {
		return err
	}
	if err := p.play(ctx, metricsScript.before); err != nil {
		return err
	}
	watched, err := watchRollout(ctx, c, "shop")
	if err != nil {
		return err
	}
	requests := load.Start(ctx, load.Options{Address: gateway.Address, Dial: c.Dial, Host: shopHost, Rate: shopRate, KeepAlive: true})
	defer requests.Stop()
	if err := p.play(ctx, metricsScript.bad); err != nil {
		return err
	}
	bad := course{version: "v2", requests: requests}
	if err := bad.follow(ctx, watched); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "\n%s\n\n", bad.caught())
	if err := bad.check(); err != nil {
		return err
	}
	if err := p.play(ctx, metricsScript.caught); err != nil {
		return err
	}
	if err := p.play(ctx, metricsScript.good); err != nil {
		return err
	}
	good := course{version: "v3", requests: requests}
	if err := good.follow(ctx, watched); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "\n%s\n\n", good.passed())
	if good.outcome != "True" {
		return fmt.Errorf("v3 was not released")
	}
	return p.play(ctx, metricsScript.after)
}

// course is what became of a release, and when.
type course struct {
	version  string
	requests *load.Load

	begun   time.Time // its step has its requests, and the analysis begins
	judged  time.Time
	ended   time.Time
	run     v1beta1.AnalysisRun
	outcome string // status of the condition Succeeded
}

// patience is how long a release may take.
const patience = 3 * time.Minute

// follow watches a release from its analysis to its end.
func (c *course) follow(ctx context.Context, watched <-chan progress) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the release of %s is not over after %s", c.version, patience))
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case p, ok := <-watched:
			if !ok {
				return fmt.Errorf("watching the Rollout ended")
			}
			if c.see(p) {
				return nil
			}
		}
	}
}

// see takes in what the Rollout says of itself; it reports whether the release is over.
func (c *course) see(p progress) bool {
	if c.begun.IsZero() {
		if p.state == string(v1beta1.StepMetricsAnalysis) {
			c.begun = p.at
		}
		return false
	}
	if a := p.status.Analysis; c.judged.IsZero() && a != nil && a.Step != nil && a.Step.CompletionTime != nil {
		c.judged, c.run = p.at, *a.Step
	}
	for _, condition := range p.status.Conditions {
		if condition.Type == v1beta1.ConditionSucceeded {
			c.ended, c.outcome = p.at, string(condition.Status)
			return true
		}
	}
	return false
}

// exposed are the requests that came to the version, in the order in which they were sent.
func (c *course) exposed() (came []load.Request, failed []load.Request) {
	for _, r := range c.requests.Requests(time.Time{}) {
		if r.Version != c.version {
			continue
		}
		came = append(came, r)
		if r.Failed {
			failed = append(failed, r)
		}
	}
	for _, of := range [][]load.Request{came, failed} {
		slices.SortFunc(of, func(a, b load.Request) int { return a.Sent.Compare(b.Sent) })
	}
	return came, failed
}

// caught tells how a bad version was found, and whom that cost what.
func (c *course) caught() string {
	came, failed := c.exposed()
	if len(failed) == 0 {
		return "no request failed"
	}
	during := map[string]int{}
	for _, r := range c.requests.Requests(came[0].Sent) {
		if r.Sent.Before(c.judged) {
			during[r.Version]++
		}
	}
	sent := c.requests.Report()
	return fmt.Sprintf("%s\n\n%s   %s until then\n%d requests in all: %d came to %s, of which %d failed; of the others %d failed\n"+
		"noticed %.1f s after the step was reached, and %.1f s after the first request that failed; on the stable version again %.1f s later",
		c.timeline(came[0].Sent), c.version, share(c.version, shopShare, during),
		sent.Total, len(came), c.version, len(failed), sent.Failed-len(failed),
		c.judged.Sub(c.begun).Seconds(), c.judged.Sub(failed[0].Sent).Seconds(), came[len(came)-1].Sent.Sub(c.judged).Seconds())
}

// passed tells how a good version went on.
func (c *course) passed() string {
	came, failed := c.exposed()
	return c.timeline(came[0].Sent) + fmt.Sprintf("\n\n%d requests came to %s, %d failed", len(came), c.version, len(failed))
}

// timeline is what happened, in the order in which it does, and how long after a moment.
func (c *course) timeline(from time.Time) string {
	came, failed := c.exposed()
	var lines []string
	told := func(at time.Time, format string, args ...any) {
		lines = append(lines, fmt.Sprintf("%5.1f s  ", at.Sub(from).Seconds())+fmt.Sprintf(format, args...))
	}
	told(came[0].Sent, "the first request comes to %s", c.version)
	if len(failed) > 0 {
		told(failed[0].Sent, "the first request fails")
	}
	told(c.begun, "the step is reached, and its analysis begins")
	if c.outcome == "True" {
		told(c.judged, "the analysis succeeded")
	} else {
		told(c.judged, "noticed: %s", c.run.Message)
		told(came[len(came)-1].Sent, "the last request comes to %s", c.version)
	}
	told(c.ended, "the release is over")
	return strings.Join(lines, "\n")
}

// check complains about what is not as it is promised.
func (c *course) check() error {
	_, failed := c.exposed()
	report := c.requests.Report()
	switch {
	case c.outcome != "False" || c.run.Phase != v1beta1.AnalysisFailed:
		return fmt.Errorf("%s was not taken back by its analysis: %s", c.version, c.run.Message)
	case report.Failed > len(failed):
		return fmt.Errorf("requests were lost that no pod of %s has answered: %s", c.version, report)
	default:
		return nil
	}
}
