// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/rollouts/api/v1beta1"
)

// traffic is of a Service behind a Traefik that is asked every ten seconds.
type traffic struct {
	series         map[string]float64
	canary, stable version
	perRead        int // requests of either version between two readings
	metrics        []Metric
	statuses       []v1beta1.MetricStatus
	now            time.Time
}

// version is how one version answers: a share of its requests fails, another one takes more than 300 ms.
type version struct{ failed, slow float64 }

func served(t *testing.T, a v1beta1.Analysis, canary, stable version) *traffic {
	t.Helper()
	metrics, _, err := Render(a, nil, Values{Gateway: TraefikHTTPRoute, Names: Names{Namespace: "ns", Route: "web", Service: "web", CanaryService: "web-canary"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &traffic{series: map[string]float64{}, canary: canary, stable: stable, perRead: 100, metrics: metrics, now: start}
	for _, m := range metrics {
		s.statuses = append(s.statuses, v1beta1.MetricStatus{Name: m.Name, Phase: v1beta1.AnalysisRunning})
	}
	return s
}

func (s *traffic) requests(random *rand.Rand) {
	for side, v := range map[Side]version{Canary: s.canary, Stable: s.stable} {
		for range s.perRead {
			code, le := "200", 0.3
			if random.Float64() < v.failed {
				code = "500"
			}
			if random.Float64() < v.slow {
				le = 1.2
			}
			s.series[fmt.Sprintf("requests %s code=%s", side, code)]++
			for _, b := range []struct {
				label string
				at    float64
			}{{"0.1", 0.1}, {"0.3", 0.3}, {"1.2", 1.2}, {"5", 5}, {"+Inf", 100}} {
				if key := fmt.Sprintf("buckets %s le=%s", side, b.label); le <= b.at {
					s.series[key]++
				} else {
					s.series[key] += 0
				}
			}
		}
	}
}

// read answers as Prometheus does.
func (s *traffic) read(query string) (out []Series) {
	kind := "requests"
	if strings.Contains(query, "_bucket") {
		kind = "buckets"
	}
	for key, value := range s.series {
		parts := strings.Fields(key)
		if parts[0] != kind {
			continue
		}
		label, text, _ := strings.Cut(parts[2], "=")
		out = append(out, Series{Labels: map[string]string{"rollout_side": parts[1], "instance": "gw-0", label: text}, Value: value})
	}
	return out
}

func (s *traffic) pass(seed uint64, readings int) {
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test
	for range readings {
		for i, m := range s.metrics {
			s.statuses[i] = Judge(m, s.statuses[i], Measured{Time: s.now, Series: s.read(m.Query())})
		}
		s.requests(random)
		s.now = s.now.Add(checkInterval)
	}
}

// TestChecks: what is said of requests without a template.
func TestChecks(t *testing.T) {
	t.Parallel()
	rate := intstr.FromInt32(99)
	for name, tc := range map[string]struct {
		a              v1beta1.Analysis
		canary, stable version
		want           map[string]v1beta1.AnalysisPhase // Running: watched, and good so far
		open           string                           // the one of those of which nothing can be said yet
	}{
		"a good version": {
			v1beta1.Analysis{SuccessRate: &rate, Latency: map[string]string{"p90": "300ms"}, Compare: &v1beta1.RequestComparison{}},
			version{0.002, 0.05},
			version{0.002, 0.05},
			map[string]v1beta1.AnalysisPhase{"success-rate": "Running", "latency-p90": "Running", "compare-errors": "Running", "compare-latency": "Running"},
			"",
		},
		"a tenth of its requests fail": {
			v1beta1.Analysis{SuccessRate: &rate, Compare: &v1beta1.RequestComparison{Slow: "off"}},
			version{0.1, 0.05},
			version{0.002, 0.05},
			map[string]v1beta1.AnalysisPhase{"success-rate": "Failed", "compare-errors": "Failed"},
			"",
		},
		"it is slow": {
			v1beta1.Analysis{SuccessRate: &rate, Latency: map[string]string{"p90": "300ms"}, Compare: &v1beta1.RequestComparison{}},
			version{0.002, 0.6},
			version{0.002, 0.05},
			map[string]v1beta1.AnalysisPhase{"success-rate": "Running", "latency-p90": "Failed", "compare-errors": "Running", "compare-latency": "Failed"},
			"",
		},
		"both fail alike, which is no fault of the new one": {
			v1beta1.Analysis{SuccessRate: &rate, Compare: &v1beta1.RequestComparison{Slow: "off"}},
			version{0.1, 0.05},
			version{0.1, 0.05},
			map[string]v1beta1.AnalysisPhase{"success-rate": "Failed", "compare-errors": "Running"},
			"compare-errors",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := served(t, tc.a, tc.canary, tc.stable)
			s.pass(1, 80)
			for i, st := range s.statuses {
				if want := tc.want[st.Name]; st.Phase != want || want == v1beta1.AnalysisRunning && (st.ConsecutiveSuccess == 0) != (st.Name == tc.open) {
					t.Errorf("%s is %s (%s; %s), want %s", st.Name, st.Phase, st.Value, st.Message, want)
				}
				if len(st.State) > 8192 || s.metrics[i].Query() == "" {
					t.Errorf("%s keeps %d bytes", st.Name, len(st.State))
				}
			}
			if len(s.statuses) != len(tc.want) {
				t.Errorf("%d metrics, want %d", len(s.statuses), len(tc.want))
			}
		})
	}
}

// TestChecksWithoutRequests: silence is no success.
func TestChecksWithoutRequests(t *testing.T) {
	t.Parallel()
	rate := intstr.FromString("99.5%")
	a := v1beta1.Analysis{SuccessRate: &rate, Latency: map[string]string{"p99": "300ms"}, Compare: &v1beta1.RequestComparison{}}
	none := served(t, a, version{}, version{})
	none.perRead = 0
	none.pass(1, 20)
	for _, st := range none.statuses {
		if st.Phase != v1beta1.AnalysisNoData {
			t.Errorf("without a series %s is %s: %s", st.Name, st.Phase, st.Message)
		}
	}
	few := served(t, a, version{}, version{})
	few.perRead = 1
	few.pass(1, 20)
	for i, st := range few.statuses {
		if st.Phase != v1beta1.AnalysisRunning || st.ConsecutiveSuccess > 0 || !few.metrics[i].TooFew(st) || st.Message == "" {
			t.Errorf("with 20 requests %s is %s: %s", st.Name, st.Phase, st.Message)
		}
	}
}

// TestChecksOfABoundary: a latency that the histogram cannot tell is said, and never passed.
func TestChecksOfABoundary(t *testing.T) {
	t.Parallel()
	s := served(t, v1beta1.Analysis{Latency: map[string]string{"p99": "10s"}}, version{}, version{})
	s.pass(1, 10)
	if st := s.statuses[0]; st.Phase != v1beta1.AnalysisNoData || !strings.Contains(st.Message, "no boundary") {
		t.Errorf("it is %s: %s", st.Phase, st.Message)
	}
}

// TestThresholdFalseAlarms: a version that is exactly at the limit is called worse in at most one release in a hundred, however
// often one looks.
func TestThresholdFalseAlarms(t *testing.T) {
	t.Parallel()
	const runs, looks, perLook, limit = 2000, 180, 20, 0.01
	random := rand.New(rand.NewPCG(7, 7)) //nolint:gosec // a test
	alarms := 0
	for range runs {
		s := threshold{}
		for range looks {
			bad := 0.0
			for range perLook {
				if random.Float64() < limit {
					bad++
				}
			}
			if s = s.add(limit, Counts{perLook, bad}); s.exceeded(DefaultAlpha) {
				alarms++
				break
			}
		}
	}
	if share := float64(alarms) / runs; share > 0.01+3*0.0023 { // three standard errors
		t.Errorf("%.2f %% of the releases have a false alarm", 100*share)
	} else {
		t.Logf("%.2f %% of %d releases have a false alarm", 100*share, runs)
	}
}

// TestRequestsAreCounted: people see how many requests each version had since the analysis began, whatever the counters stood at.
func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	s := served(t, v1beta1.Analysis{SuccessRate: new(intstr.FromInt32(99)), Compare: &v1beta1.RequestComparison{}}, version{}, version{})
	s.pass(1, 2) // the first reading with requests is where counting begins
	if got := RequestsOf(s.statuses); got != nil {
		t.Errorf("before: %+v", got)
	}
	s.pass(1, 3)
	if got := RequestsOf(s.statuses); got == nil || *got != (v1beta1.RequestCounts{Canary: 300, Stable: 300, CanaryShare: "50%"}) {
		t.Errorf("got %+v", got)
	}
	for _, state := range []string{`{"rc":1e300,"rs":1}`, `{"rc":-5,"rs":1}`, "not ours"} {
		if got := RequestsOf([]v1beta1.MetricStatus{{State: state}}); got != nil {
			t.Errorf("%s: %+v", state, got)
		}
	}
}
