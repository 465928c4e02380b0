// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"kruise.io/rollouts/api/v1beta1"
)

// A check is a metric that needs no template: of requests, as gateways count them.
type check struct {
	kind     checkKind
	queries  Queries
	test     Test
	limit    float64 // of the share of bad requests of the new version
	quantile float64 // of the stable version's requests: slower ones are slow
	max      time.Duration
}

type checkKind string

const (
	successRate    checkKind = "success-rate"
	latency        checkKind = "latency"
	compareErrors  checkKind = "compare-errors"
	compareLatency checkKind = "compare-latency"
)

// buckets reports whether a check reads histograms.
func (c check) buckets() bool { return c.kind == latency || c.kind == compareLatency }

// checkInterval is how often counters are read.
const checkInterval = 10 * time.Second

// Quantiles are those by which latency can be limited.
var Quantiles = map[string]float64{"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}

// HasChecks reports whether an analysis looks at requests without a template.
func HasChecks(a v1beta1.Analysis) bool {
	return a.SuccessRate != nil || len(a.Latency) > 0 || a.Compare != nil
}

// checks are the metrics of an analysis that need no template.
func checks(a v1beta1.Analysis, v Values) ([]Metric, error) {
	if !HasChecks(a) {
		return nil, nil
	}
	if v.Uncounted != "" {
		return nil, invalid("successRate, latency and compare: %s", v.Uncounted)
	}
	queries, err := QueriesFor(v.Gateway, v.Names)
	if err != nil {
		return nil, invalid("successRate, latency and compare: %v", err)
	}
	test := Test{MinRequests: float64(ptr.Deref(a.MinRequests, DefaultMinRequests))}
	var all []Metric
	add := func(name string, c check) {
		c.queries, c.test = queries, cmp.Or(c.test, test)
		c.test.MinRequests = test.MinRequests
		all = append(all, Metric{
			Name: name, Interval: checkInterval, ConsecutiveErrorLimit: 1, check: &c, DryRun: isDryRun(name, a.DryRun),
			Retention: retained(name, len(a.Templates)+8, a.MeasurementRetention), source: ptr.Deref(a.Prometheus, v1beta1.PrometheusSource{}),
		})
	}
	if a.SuccessRate != nil {
		rate, err := percentage(*a.SuccessRate)
		if err != nil {
			return nil, invalid("successRate: %v", err)
		}
		add(string(successRate), check{kind: successRate, limit: 1 - rate})
	}
	for _, name := range slices.Sorted(maps.Keys(a.Latency)) {
		quantile, known := Quantiles[name]
		limit, err := time.ParseDuration(a.Latency[name])
		if !known || err != nil || limit <= 0 {
			return nil, invalid("latency: %s: %q; write it as in p99: 300ms", trimmed(name, 16), trimmed(a.Latency[name], 32))
		}
		add("latency-"+name, check{kind: latency, limit: 1 - quantile, max: limit})
	}
	if a.Compare != nil {
		err = comparisons(*a.Compare, add)
	}
	return all, err
}

// comparisons adds the checks of a new version beside the stable one.
func comparisons(c v1beta1.RequestComparison, add func(name string, c check)) error {
	margin, err := share("errors", c.Errors, DefaultErrorMargin)
	if err != nil {
		return err
	}
	add(string(compareErrors), check{kind: compareErrors, test: Test{Margin: margin}})
	if c.Slow == "off" {
		return nil
	}
	if margin, err = share("slow", c.Slow, DefaultLatencyMargin); err != nil {
		return err
	}
	quantile := DefaultQuantile
	if c.Quantile != "" {
		if quantile, err = strconv.ParseFloat(c.Quantile, 64); err != nil || !(quantile >= leastBelow && quantile <= mostBelow) {
			return invalid("compare: quantile is %q; it has to be between %g and %g", c.Quantile, leastBelow, mostBelow)
		}
	}
	add(string(compareLatency), check{kind: compareLatency, test: Test{Margin: margin}, quantile: quantile})
	return nil
}

// share reads a percentage of compare.
func share(field, text string, absent float64) (float64, error) {
	if text == "" {
		return absent, nil
	}
	value, err := percentage(intstr.FromString(text))
	if err != nil {
		return 0, invalid("compare: %s: %v", field, err)
	}
	return value, nil
}

// percentage reads 99, "99" or "99.5%", as a share of 1.
func percentage(v intstr.IntOrString) (float64, error) {
	percent, err := strconv.ParseFloat(strings.TrimSuffix(v.String(), "%"), 64)
	if err != nil || !(percent > 0 && percent <= 100) {
		return 0, fmt.Errorf("%q is no percentage above 0 and up to 100; write it as in 99.5%%", trimmed(v.String(), 16))
	}
	return percent / 100, nil
}
