// SPDX-License-Identifier: Apache-2.0

package load

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// keptFailures is how many failures are kept with their reasons by default: the first distinguish more than those that follow from
// them.
const keptFailures = 50

// Report is what became of the requests that are answered by now.
type Report struct {
	// Total is how many were answered or failed.
	Total int
	// Failed is how many of them failed: no connection, no complete answer in time, or a status other than 2xx.
	Failed int
	// Failures are the first of them, as many as Options.Keep.
	Failures []Failure
	// Shares is how many succeeded, by the version that answered.
	Shares map[string]int
}

// Failure is a request that failed.
type Failure struct {
	Sent   time.Time
	Reason string
}

// Report reports on what was answered so far.
func (l *Load) Report() Report {
	shares := l.Shares(time.Time{})
	l.mu.Lock()
	defer l.mu.Unlock()
	r := Report{Failed: l.failed, Failures: slices.Clone(l.failures), Shares: shares}
	for _, n := range r.Shares {
		r.Total += n
	}
	r.Total += r.Failed
	return r
}

// Shares is how many requests sent since then have succeeded, by the version that answered. The zero time is the beginning.
func (l *Load) Shares(since time.Time) map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	shares := map[string]int{}
	for _, a := range l.answers {
		if !a.sent.Before(since) {
			shares[a.version]++
		}
	}
	return shares
}

// String is the report for people.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests, %d failed; answered by", r.Total, r.Failed)
	for _, version := range slices.Sorted(maps.Keys(r.Shares)) {
		fmt.Fprintf(&b, " %s: %d", cmp.Or(version, "unknown"), r.Shares[version])
	}
	for _, f := range r.Failures {
		fmt.Fprintf(&b, "\n  %s %s", f.Sent.Format("15:04:05.000"), f.Reason)
	}
	return b.String()
}
