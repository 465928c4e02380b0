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

// Failure is a request that failed, and why.
type Failure struct {
	Sent    time.Time
	Version string // as Request has it
	Reason  string
}

// Report reports on what was answered so far.
func (l *Load) Report() Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := Report{Total: len(l.requests), Failures: slices.Clone(l.failures), Shares: map[string]int{}}
	for _, request := range l.requests {
		if request.Failed {
			r.Failed++
		} else {
			r.Shares[request.Version]++
		}
	}
	return r
}

// Requests are those that were sent since then and are answered, or failed, by now. The zero time is the beginning.
func (l *Load) Requests(since time.Time) []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Request
	for _, request := range l.requests {
		if !request.Sent.Before(since) {
			all = append(all, request)
		}
	}
	return all
}

// Shares is how many requests sent since then have succeeded, by the version that answered.
func (l *Load) Shares(since time.Time) map[string]int {
	shares := map[string]int{}
	for _, request := range l.Requests(since) {
		if !request.Failed {
			shares[request.Version]++
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
