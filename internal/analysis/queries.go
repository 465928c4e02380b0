// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"slices"
	"strings"
)

// Labels of the answer to a query, next to those of the gateway.
const (
	sideLabel  = "rollout_side"  // canary or stable
	countLabel = "rollout_count" // all or bad, where they are different series
	leLabel    = "le"
)

// Queries are what Prometheus is asked for, and how its answers are read. Each is one instant query for both sides, of counters since
// the start of whoever counts, by instance.
type Queries struct {
	// Requests asks for requests by code, or for all and for failed ones.
	Requests string
	// Buckets asks for a histogram's buckets; "": there are none.
	Buckets string
	// Unit is that of the boundaries of buckets, "s" or "ms".
	Unit string
	// ByPods: they name pods, by CanaryPods and StablePods, which WithPods puts in.
	ByPods bool
	// Births says what a counter stood at before it was first seen.
	Births Births

	instance, code string
	bad            func(code string) bool
}

// QueriesFor are the queries for a gateway. It is an error where the gateway cannot tell one version's requests from the other's, where
// a name is missing, and for what is no name in PromQL; the text says what to do.
func QueriesFor(gateway Gateway, names Names) (Queries, error) {
	if gateway == Pods {
		return names.podQueries()
	}
	if why, ok := indistinct[gateway]; ok {
		return Queries{}, fmt.Errorf("%s; use an AnalysisTemplate that queries the application's own metrics", why)
	}
	i := slices.IndexFunc(sources, func(s source) bool { return s.gateway == gateway })
	if i < 0 {
		return Queries{}, fmt.Errorf("the series of the gateway %.60q are not known; use an AnalysisTemplate that queries the application's own metrics", string(gateway))
	}
	s := sources[i]
	for _, need := range s.needs {
		if what, name := need(names); name == "" {
			return Queries{}, fmt.Errorf("the query for %s needs the name of the %s", gateway, what)
		}
	}
	q := Queries{Unit: s.unit, instance: "instance", code: s.code, bad: s.bad}
	if s.byPod {
		q.instance, q.Births, q.ByPods = "pod", WithInstance, true
	}
	canary, stable := s.canary(names), s.stable(names)
	if canary == nil && stable == nil {
		return Queries{}, fmt.Errorf("the query for %s needs the names of pods", gateway)
	}
	q.Requests = bothSides(canary, stable, s.requests, q.instance, q.code)
	q.Buckets = bothSides(canary, stable, s.buckets, q.instance, leLabel)
	return q, nil
}

// bothSides asks for a counter of both sides, of which one may have no series to ask for.
func bothSides(canary, stable selector, counter string, by ...string) string {
	var parts []string
	for _, side := range []struct {
		name     Side
		selector selector
	}{{Stable, stable}, {Canary, canary}} {
		if side.selector != nil {
			parts = append(parts, side.selector.of(counter, sideLabel, string(side.name), by...))
		}
	}
	return strings.Join(parts, " or ")
}

// podQueries ask for the application's own series.
func (n Names) podQueries() (Queries, error) {
	m := n.PodMetrics
	if m.PodLabel == "" {
		m.PodLabel = "pod"
	}
	if err := m.valid(n); err != nil {
		return Queries{}, err
	}
	side := func(pods []string) selector {
		if len(pods) == 0 {
			return nil
		}
		return selector{}.is("namespace", n.Namespace).matches(m.PodLabel, anyOf(pods))
	}
	canary, stable := side(n.CanaryPods), side(n.StablePods)
	if canary == nil && stable == nil {
		return Queries{}, fmt.Errorf("the query for podMetrics needs the names of pods")
	}
	q := Queries{Unit: seconds, ByPods: true, Births: WithInstance, instance: m.PodLabel, code: countLabel, bad: func(string) bool { return false }}
	failed, failedCanary, failedStable := m.Errors, canary, stable
	if failed == "" {
		failed, failedCanary, failedStable = m.Requests, canary.and(m.ErrorSelector), stable.and(m.ErrorSelector)
	}
	q.Requests = marked("all", bothSides(canary, stable, m.Requests, m.PodLabel)) + " or " +
		marked("bad", bothSides(failedCanary, failedStable, failed, m.PodLabel))
	if m.Buckets != "" {
		q.Buckets = bothSides(canary, stable, m.Buckets, m.PodLabel, leLabel)
	}
	return q, nil
}

// and is s with matchers as PromQL has them; nil stays nil.
func (s selector) and(matchers string) selector {
	if s == nil || matchers == "" {
		return s
	}
	return append(slices.Clone(s), strings.TrimSpace(matchers))
}

func marked(count, query string) string {
	return "label_replace(" + query + `, "` + countLabel + `", "` + count + `", "", "")`
}

// valid says what of m is no name.
func (m PodMetrics) valid(n Names) error {
	switch {
	case n.Namespace == "":
		return fmt.Errorf("the query for podMetrics needs the name of the namespace")
	case !metricName.MatchString(m.Requests):
		return fmt.Errorf("podMetrics.requests: %.60q is no name of a counter", m.Requests)
	case m.Errors == "" && m.ErrorSelector == "":
		return fmt.Errorf("podMetrics: what failed is not said; give errors, the name of a counter, or errorSelector, such as code=~\"5..\"")
	case m.Errors != "" && m.ErrorSelector != "":
		return fmt.Errorf("podMetrics: both errors and errorSelector say what failed; give one of them")
	case m.Errors != "" && !metricName.MatchString(m.Errors):
		return fmt.Errorf("podMetrics.errors: %.60q is no name of a counter", m.Errors)
	case m.ErrorSelector != "" && !matchers.MatchString(m.ErrorSelector):
		return fmt.Errorf("podMetrics.errorSelector: %.60q is no list of matchers; write it as in code=~\"5..\"", m.ErrorSelector)
	case m.Buckets != "" && !metricName.MatchString(m.Buckets):
		return fmt.Errorf("podMetrics.buckets: %.60q is no name of a counter", m.Buckets)
	case !labelName.MatchString(m.PodLabel):
		return fmt.Errorf("podMetrics.podLabel: %.60q is no name of a label", m.PodLabel)
	}
	return nil
}

// Sample reads one series of an answer, with its labels and value.
func (q Queries) Sample(labels map[string]string, value float64) Sample {
	count := labels[countLabel]
	return Sample{
		Side:     Side(labels[sideLabel]),
		Instance: labels[q.instance],
		Le:       labels[leLabel],
		Value:    value,
		Bad:      count == "bad" || labels[leLabel] == "" && q.bad(labels[q.code]),
		Included: count == "bad",
	}
}
