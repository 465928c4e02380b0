// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"io"
	"math"
	"net/http"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

func TestSeries(t *testing.T) {
	t.Parallel()
	body := ""
	address := serve(t, func(w http.ResponseWriter, _ asked) { _, _ = io.WriteString(w, body) })
	c := clients(nil, func(o *Options) { o.PrometheusAddress = address })
	body = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"service":"shop","code":"200"},"value":[1.5,"3"]},` +
		`{"metric":{},"value":[2,"NaN"]}]}}`
	got, err := c.Series(t.Context(), rolloutsv1beta1.PrometheusSource{}, "up")
	if err != nil || len(got) != 2 || !math.IsNaN(got[1].Value) {
		t.Fatalf("got %v, %v", got, err)
	}
	want := Series{map[string]string{"service": "shop", "code": "200"}, 3, time.UnixMilli(1500)}
	if !got[0].Time.Equal(want.Time) || got[0].Value != want.Value || !reflect.DeepEqual(got[0].Labels, want.Labels) {
		t.Errorf("got %v, want %v", got[0], want)
	}
	body = `{"status":"success","data":{"resultType":"vector","result":[]}}`
	if got, err = c.Series(t.Context(), rolloutsv1beta1.PrometheusSource{Address: address}, "up"); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	body = `{"status":"success","data":{"resultType":"scalar","result":[1,"3"]}}`
	_, err = c.Series(t.Context(), rolloutsv1beta1.PrometheusSource{}, "3")
	fails(t, err, Error{Class: ClassConfig})
	_, err = clients(nil).Series(t.Context(), rolloutsv1beta1.PrometheusSource{}, "3")
	fails(t, err, Error{Class: ClassConfig})
}

// TestPrometheusByGet asks a server that takes no POST, as read-only proxies do.
func TestPrometheusByGet(t *testing.T) {
	t.Parallel()
	address := serve(t, func(w http.ResponseWriter, a asked) {
		if a.Method != http.MethodGet {
			http.Error(w, echo(a), http.StatusMethodNotAllowed)
			return
		}
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"scalar","result":[1,"-Inf"]}}`)
	})
	got, err := clients(nil).Measure(t.Context(), prometheusRow().ask(address))
	if err != nil || got != math.Inf(-1) {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestHistograms answers with native histograms: the client's value of one is 0, which would be a verdict.
func TestHistograms(t *testing.T) {
	t.Parallel()
	for kind, sample := range map[string]string{
		"vector": `{"metric":{},"histogram":[1,{"count":"1","sum":"2","buckets":[]}]}`,
		"matrix": `{"metric":{},"histograms":[[1,{"count":"1","sum":"2","buckets":[]}]]}`,
		"string": `1,"text"`,
	} {
		address := serve(t, func(w http.ResponseWriter, _ asked) {
			_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"`+kind+`","result":[`+sample+`]}}`)
		})
		_, err := clients(nil).Measure(t.Context(), prometheusRow().ask(address))
		fails(t, err, Error{Class: ClassAnswer})
	}
}

func TestInstants(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"now()":                   noon,
		" now( ) ":                noon,
		`now() - duration("1h")`:  noon.Add(-time.Hour),
		`now()-duration('1h30m')`: noon.Add(-90 * time.Minute),
		`(now() + duration("1h")) - duration("5m")`: noon.Add(55 * time.Minute),
		`now() - (duration("1h") - duration("5m"))`: noon.Add(-55 * time.Minute),
		`duration("1h") + now()`:                    noon.Add(time.Hour),
	} {
		if got, err := instant("start", text, noon); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "1", `duration("1h")`, "now", "now(1)", "now() - now()", `duration("1h") - now()`, `now() * duration("1h")`, `now() - duration("x")`,
		"now() - duration(1)", "now() - 1", `x.now()`, `now() - duration("1h", "2h")`, `date("2020-01-01")`, "{", `now() - duration(now())`,
	} {
		_, err := instant("start", text, noon)
		fails(t, err, Error{Class: ClassConfig})
	}
}

// TestInstantsProperty draws any text: there is a time or an error, and no panic.
func TestInstantsProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.OneOf(rapid.SampledFrom([]string{"now()", `duration("1h")`, "+", "-", "(", ")", "duration(", `"`, "'"}), rapid.String()))
		text := ""
		for _, part := range parts.Draw(t, "parts") {
			text += part
		}
		if at, err := instant("end", text, noon); err == nil && at.IsZero() {
			t.Fatal(at)
		}
	})
}

// TestPrometheusConfig has the fields that cannot be asked for.
func TestPrometheusConfig(t *testing.T) {
	t.Parallel()
	basic, grant := &rolloutsv1beta1.BasicAuth{}, &rolloutsv1beta1.OAuth2{}
	for name, change := range map[string]func(*rolloutsv1beta1.PrometheusMetric){
		"no query":         func(p *rolloutsv1beta1.PrometheusMetric) { p.Query = "" },
		"no address":       func(p *rolloutsv1beta1.PrometheusMetric) { p.Address = "" },
		"timeout":          func(p *rolloutsv1beta1.PrometheusMetric) { p.Timeout = new(int64(61)) },
		"negative timeout": func(p *rolloutsv1beta1.PrometheusMetric) { p.Timeout = new(int64(-1)) },
		"both credentials": func(p *rolloutsv1beta1.PrometheusMetric) {
			p.Authentication = rolloutsv1beta1.Authentication{BasicAuth: basic, OAuth2: grant}
		},
		"no range": func(p *rolloutsv1beta1.PrometheusMetric) { p.RangeQuery = &rolloutsv1beta1.PrometheusRangeQuery{} },
		"no step": func(p *rolloutsv1beta1.PrometheusMetric) {
			p.RangeQuery = &rolloutsv1beta1.PrometheusRangeQuery{Start: "now()", End: "now()", Step: "0s"}
		},
		"backwards": func(p *rolloutsv1beta1.PrometheusMetric) {
			p.RangeQuery = &rolloutsv1beta1.PrometheusRangeQuery{Start: "now()", End: `now() - duration("1h")`, Step: "1m"}
		},
		"a header of the connection": func(p *rolloutsv1beta1.PrometheusMetric) {
			p.Headers = []rolloutsv1beta1.MetricHeader{{Key: "host", Value: "x"}}
		},
		"a header's name": func(p *rolloutsv1beta1.PrometheusMetric) {
			p.Headers = []rolloutsv1beta1.MetricHeader{{Key: "a b", Value: "x"}}
		},
		"a header's value": func(p *rolloutsv1beta1.PrometheusMetric) {
			p.Headers = []rolloutsv1beta1.MetricHeader{{Key: "a", Value: planted + "\n"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ask := prometheusRow().ask("http://127.0.0.1:1")
			change(ask.Provider.Prometheus)
			_, err := clients(nil).Measure(t.Context(), ask)
			fails(t, err, Error{Class: ClassConfig})
		})
	}
}

// TestTimeoutOfTheField waits no longer than the field says, whatever the caller's context does.
func TestTimeoutOfTheField(t *testing.T) {
	t.Parallel()
	address := serve(t, func(_ http.ResponseWriter, a asked) { <-a.Context().Done() })
	ask := prometheusRow().ask(address)
	ask.Provider.Prometheus.Timeout = new(int64(1))
	_, err := clients(nil).Measure(t.Context(), ask)
	fails(t, err, Error{Class: ClassTimeout})
}
