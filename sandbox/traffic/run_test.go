// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/sandbox/load"
)

const (
	rate     = 100                    // requests per second of a release, all its loads together
	measured = 240                    // requests that a weight is measured with, at least
	delay    = 500 * time.Millisecond // how long a request may take to come to a pod on a busy machine
)

// run is one release of a shop under load.
type run struct {
	*shop
	journal *journal
	course  *course
	loads   map[string]*load.Load
	began   time.Time
	backed  time.Time // when the release went back: no pod goes from then on that requests are routed to
	notes   []note
}

// note is what a test has to say of a moment.
type note struct {
	at   time.Time
	text string
}

// newRun makes a shop with a Rollout of those steps, and sends load to it; tell, if any, is called with each entry.
// With a header in byHeader, half of the requests carry it.
func newRun(t *testing.T, at *site, k kind, steps []string, byHeader http.Header, tell func(entry)) *run {
	t.Helper()
	r := &run{shop: newShop(t, at, k), loads: map[string]*load.Load{}}
	r.pods("v1")
	r.journal = keepJournal(t, at.user, r.namespace, tell)
	r.rollout(steps)
	r.journal.until(t, "Healthy", func(e entry) bool { return e.phase == v1beta1.PhaseHealthy })
	r.eventually(func(ctx context.Context) error {
		if report := load.Start(ctx, r.options(nil, 500, false, 20)).Wait(); report.Failed > 0 || report.Shares["v1"] != 20 {
			return errors.New(report.String())
		}
		return nil
	})
	each := rate / 2
	if byHeader != nil {
		each = rate / 4
	}
	for mode, keepAlive := range map[string]bool{"keep-alive": true, "new connections": false} {
		r.loads[mode] = load.Start(t.Context(), r.options(nil, each, keepAlive, 0))
		if byHeader != nil {
			r.loads[mode+" with header"] = load.Start(t.Context(), r.options(byHeader, each, keepAlive, 0))
		}
	}
	r.began = time.Now()
	r.course = watchCourse(t, at.user, r.namespace)
	return r
}

func (r *run) options(header http.Header, rate int, keepAlive bool, count int) load.Options {
	return load.Options{
		Address: r.gateway.Address, Dial: r.cluster.Dial, Host: r.host(), Header: header,
		Rate: rate, Count: count, KeepAlive: keepAlive, Keep: 1000,
	}
}

func (r *run) note(format string, args ...any) {
	r.notes = append(r.notes, note{time.Now(), fmt.Sprintf(format, args...)})
}

// to releases a version.
func (r *run) to(version string) {
	r.t.Helper()
	r.note("> %s", version)
	r.release(version)
}

// pause waits for the pause of a step, and measures there what share of the requests a version has, in percent.
func (r *run) pause(step int32, version string, percent int) {
	r.t.Helper()
	e := r.journal.until(r.t, fmt.Sprintf("in the pause of step %d", step), func(e entry) bool { return e.paused(step) })
	since := e.at
	if r.style == "partition" && percent == 100 {
		since = since.Add(r.slack) // no route and no clock routes requests there: the last stable pod has just been told to go
	}
	r.measure(since, version, map[bool]int{false: percent, true: percent})
	if now := r.journal.last(); !now.paused(step) {
		r.t.Errorf("the pause of step %d was over before its shares were measured: it is %s", step, now)
	}
}

// measure measures a version's weight since then, in percent by whether requests have the header.
//
// The gateway takes turns, so shares are exact but for one thing: it starts the round anew, with the heavier side, whenever
// any route or endpoint of the site has changed. Each time may cost the lighter side a request; so where it is a weight that is
// measured, requests count from when reloads do.
func (r *run) measure(since time.Time, version string, percent map[bool]int) {
	r.t.Helper()
	before := r.reloads()
	if now := time.Now(); percent[true]%100+percent[false]%100 != 0 && now.After(since) {
		since = now
	}
	got := map[bool]map[string]int{}
	r.eventually(func(context.Context) error {
		clear(got)
		for name, l := range r.loads {
			// All requests take turns with one another. Where the header makes no difference, only all of them have the weight.
			with := strings.HasSuffix(name, " with header") && percent[true] != percent[false]
			if got[with] == nil {
				got[with] = map[string]int{}
			}
			for v, n := range l.Shares(since) {
				got[with][v] += n
			}
		}
		for _, shares := range got {
			if total(shares) < measured {
				return fmt.Errorf("measured so far: %v", got)
			}
		}
		return nil
	})
	reloads := r.reloads() - before + 1
	for with, shares := range got {
		all := total(shares)
		text := fmt.Sprintf("%s has %.1f %% of %d requests, want %d (%d reloads)", version, 100*float64(shares[version])/float64(all), all, percent[with], reloads)
		if with {
			text = "with the header, " + text
		}
		r.note("%s", text)
		want, tolerance := float64(all*percent[with])/100, 0.03*float64(all)+float64(reloads)
		if percent[with]%100 == 0 {
			tolerance = 0 // all is all
		}
		if off := float64(shares[version]) - want; off < -tolerance || off > tolerance {
			r.t.Errorf("%s", text)
		}
	}
}

func total(shares map[string]int) int {
	sum := 0
	for _, n := range shares {
		sum += n
	}
	return sum
}

// reloads is how often the gateway has taken up changes.
func (r *run) reloads() int {
	r.t.Helper()
	asking := http.Client{Transport: &http.Transport{DialContext: r.cluster.Dial, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.gateway.Metrics, http.NoBody)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := asking.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "traefik_config_reloads_total "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				r.t.Fatal(err)
			}
			return int(n)
		}
	}
	r.t.Fatal("the gateway does not tell how often it took up changes")
	return 0
}

// back takes the version back that is being released, and waits for the end.
func (r *run) back() {
	r.t.Helper()
	r.backed = time.Now()
	r.to("v1")
	r.over("False", "v1")
	r.without("v2", func(e entry) bool { return e.finalising == v1beta1.FinalisingResumeWorkload })
}

// over waits for the end of a release, with all pods and requests at a version.
func (r *run) over(succeeded, version string) {
	r.t.Helper()
	e := r.journal.until(r.t, "over", entry.over)
	if e.succeeded != succeeded {
		r.t.Errorf("succeeded is %s, want %s", e.succeeded, succeeded)
	}
	r.end(version)
}

// without checks that none of the requests sent since a state of the journal was answered by a version.
func (r *run) without(version string, since func(entry) bool) {
	r.t.Helper()
	var from time.Time
	for _, e := range r.journal.during(r.backed, time.Now()) {
		if since(e) {
			from = e.at
			break
		}
	}
	if from.IsZero() {
		r.t.Fatalf("it was never so that requests could be counted from there")
	}
	for name, l := range r.loads {
		if n := l.Shares(from)[version]; n > 0 {
			r.t.Errorf("%s: %d requests were answered by %s after they were led away from it", name, n, version)
		}
	}
}

func (r *run) end(version string) {
	r.t.Helper()
	r.pods(version)
	r.note("all pods are %s", version)
	r.measure(time.Now(), version, map[bool]int{false: 100, true: 100})
	r.tidy()
}

// check stops the load, and reports what it lost.
func (r *run) check() {
	r.t.Helper()
	var lost []load.Failure
	sum, failed := 0, 0
	var text strings.Builder
	for name, l := range r.loads {
		report := l.Stop()
		sum, failed = sum+report.Total, failed+report.Failed
		for _, f := range report.Failures {
			native := r.native(f.Sent)
			if !native {
				lost = append(lost, f)
			}
			r.notes = append(r.notes, note{f.Sent, fmt.Sprintf("LOST (%s; native: %t) %s", name, native, f.Reason)})
		}
		if report.Failed > len(report.Failures) {
			r.t.Errorf("%d failures of %s are not kept", report.Failed-len(report.Failures), name)
		}
	}
	fmt.Fprintf(&text, "%s: %d requests, %d failed, %d of them by our fault, %s", r.kind, sum, failed, len(lost), time.Since(r.began).Round(100*time.Millisecond))
	for _, e := range r.journal.during(r.began, time.Now()) {
		r.notes = append(r.notes, note{e.at, e.String()})
	}
	r.notes = append(r.notes, r.course.told()...)
	slices.SortStableFunc(r.notes, func(a, b note) int { return a.at.Compare(b.at) })
	for _, n := range r.notes {
		fmt.Fprintf(&text, "\n  %6.2fs  %s", n.at.Sub(r.began).Seconds(), n.text)
	}
	r.t.Log(text.String())
	if len(lost) > 0 {
		r.t.Errorf("%d requests were lost", len(lost))
	}
}

// native reports whether a loss at a time is Kubernetes' own: where pods stop at once when they are deleted, a gateway sends
// them requests until it has heard, and no one who replaces pods behind a Service can do anything about it. That is so
// while a batch replaces stable pods, and while the Deployment rolls after the release has given it back. Pods that are
// beside the stable ones, or taken back, go when no one asks them any more, so none of that is true then.
func (r *run) native(at time.Time) bool {
	if r.drain > 0 || !r.backed.IsZero() && at.After(r.backed) {
		return false
	}
	// A release waits grace seconds for its gateway; so long one may take, then, to hear of a pod that is gone.
	late := max(r.slack, time.Duration(r.grace)*time.Second)
	return slices.ContainsFunc(r.journal.during(at.Add(-late), at.Add(delay)), func(e entry) bool {
		switch {
		case e.phase == gone:
			return true
		case e.phase == v1beta1.PhaseProgressing && e.state == v1beta1.StepUpgrade:
			return r.style == "partition"
		default:
			return e.finalising == v1beta1.FinalisingResumeWorkload || e.finalising == v1beta1.FinalisingReleaseWorkload
		}
	})
}
