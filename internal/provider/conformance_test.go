// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// planted is the value of every Secret. Its characters are written differently in addresses, JSON and base64.
const planted = `pl4nted/+s&cr"et=x`

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// asked is a request that a fake server saw.
type asked struct {
	*http.Request
	body string
}

// answers is what a case of the documentation gives.
type answers struct {
	body string
	want any
}

// row is a provider, and how its documentation says that it answers.
type row struct {
	name    string
	ask     func(address string) Ask
	profile func(address string) map[string]string
	// request says what is wrong with a request, by the documentation.
	request func(asked) string
	// one value, more of them, none, and one that is no number.
	one, several, empty, null answers
	// failed is an answer that says of itself that it is an error; empty where there is no such answer.
	failed string
}

func rows() []row {
	return []row{prometheusRow(), rangeRow(), webRow(), datadogRow(), scalarRow(), cloudWatchRow(), newRelicRow(), influxdbRow(), graphiteRow()}
}

func provided(p rolloutsv1beta1.MetricProvider) Ask {
	return Ask{Provider: p, Namespace: "shop", Secrets: map[string]Secret{"plant": {"shop", "plants", "plant"}}}
}

// clients returns Clients that may reach the loopback interface, where the fake servers are.
func clients(profile map[string]string, change ...func(*Options)) *Clients {
	options := Options{
		Namespace: "manager", Now: func() time.Time { return noon },
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		SecretReader: func(_ context.Context, namespace, name string) (map[string][]byte, error) {
			data := map[string][]byte{}
			switch {
			case namespace == "shop" && name == "plants":
				data["plant"] = []byte(planted)
			case namespace == "manager" && profile != nil:
				for key, value := range profile {
					data[key] = []byte(value)
				}
			default:
				return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
			}
			return data, nil
		},
	}
	for _, f := range change {
		f(&options)
	}
	return New(options)
}

func (r row) clients(address string, change ...func(*Options)) *Clients {
	if r.profile == nil {
		return clients(nil, change...)
	}
	return clients(r.profile(address), change...)
}

// serve answers by f, having read the request: so a client that goes away is noticed.
func serve(t *testing.T, f func(http.ResponseWriter, asked)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f(w, asked{r, string(body)})
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// echo is everything that a server was sent.
func echo(a asked) string {
	var text strings.Builder
	fmt.Fprintln(&text, a.URL.String(), a.RequestURI, a.body)
	if decoded, err := url.QueryUnescape(a.RequestURI + a.body); err == nil {
		fmt.Fprintln(&text, decoded)
	}
	for name, values := range a.Header {
		fmt.Fprintln(&text, name, values)
	}
	fmt.Fprintln(&text, planted, url.QueryEscape(planted), url.PathEscape(planted), base64.StdEncoding.EncodeToString([]byte(planted)))
	return text.String()
}

func TestConformanceAnswers(t *testing.T) {
	t.Parallel()
	for _, r := range rows() {
		for name, answer := range map[string]answers{"one": r.one, "several": r.several, "empty": r.empty, "null": r.null} {
			t.Run(r.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				address := serve(t, func(w http.ResponseWriter, a asked) {
					if wrong := r.request(a); wrong != "" {
						t.Errorf("request: %s", wrong)
					}
					_, _ = io.WriteString(w, answer.body)
				})
				got, err := r.clients(address).Measure(t.Context(), r.ask(address))
				if err != nil {
					t.Fatal(err)
				}
				if !same(got, answer.want) {
					t.Errorf("got %#v, want %#v", got, answer.want)
				}
			})
		}
	}
}

// same compares results, NaN being equal to NaN.
func same(got, want any) bool {
	a, ok := got.([]float64)
	b, also := want.([]float64)
	if !ok || !also || len(a) != len(b) {
		return reflect.DeepEqual(got, want)
	}
	for i := range a {
		if a[i] != b[i] && !(math.IsNaN(a[i]) && math.IsNaN(b[i])) {
			return false
		}
	}
	return true
}

// fault is a way in which a provider fails, and what is said of it.
type fault struct {
	name  string
	serve func(http.ResponseWriter, asked)
	want  Error
	// text is true where the answer is a result for a provider that takes any text.
	text bool
}

var faults = []fault{
	{name: "slow", serve: func(_ http.ResponseWriter, a asked) { <-a.Context().Done() }, want: Error{Class: ClassTimeout}},
	{name: "slow body", serve: func(w http.ResponseWriter, a asked) {
		_, _ = io.WriteString(w, "{")
		w.(http.Flusher).Flush()
		<-a.Context().Done()
	}, want: Error{Class: ClassTimeout}},
	{name: "429", serve: func(w http.ResponseWriter, a asked) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, echo(a))
	}, want: Error{Class: ClassStatus, Code: 429, RetryAfter: 7 * time.Second}},
	{name: "500, saying what it was sent", serve: func(w http.ResponseWriter, a asked) {
		hijacked(w, "HTTP/1.1 500 "+strings.NewReplacer("\n", " ", "\r", " ").Replace(echo(a))+"\r\nConnection: close\r\n\r\n"+echo(a))
	}, want: Error{Class: ClassStatus, Code: 500}},
	{name: "400 in JSON", serve: func(w http.ResponseWriter, a asked) {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": "bad_data", "error": echo(a)})
	}, want: Error{Class: ClassStatus, Code: 400}},
	{name: "403", serve: func(w http.ResponseWriter, a asked) { http.Error(w, echo(a), http.StatusForbidden) }, want: Error{Class: ClassStatus, Code: 403}},
	{name: "garbage", serve: func(w http.ResponseWriter, a asked) { _, _ = io.WriteString(w, "\xff<html>"+echo(a)) }, want: Error{Class: ClassAnswer}, text: true},
	{name: "other JSON", serve: func(w http.ResponseWriter, _ asked) { _, _ = io.WriteString(w, `{"unexpected":[1]}`) }, want: Error{Class: ClassAnswer}},
	{name: "no HTTP", serve: func(w http.ResponseWriter, a asked) { hijacked(w, "what? "+echo(a)) }, want: Error{Class: ClassAnswer}},
	{name: "huge", serve: func(w http.ResponseWriter, _ asked) {
		_, _ = w.Write([]byte(`"` + strings.Repeat("x", mostBytes+10) + `"`))
	}, want: Error{Class: ClassTooLarge}},
	{name: "endless header", serve: func(w http.ResponseWriter, _ asked) {
		hijacked(w, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20)+"\r\n\r\n")
	}, want: Error{Class: ClassAnswer}},
	{name: "redirect to the metadata", serve: func(w http.ResponseWriter, a asked) {
		http.Redirect(w, a.Request, "http://169.254.169.254/latest/meta-data/", http.StatusTemporaryRedirect)
	}, want: Error{Class: ClassForbiddenAddress, Code: 307}},
	{name: "redirect to another host with the secret in its name", serve: func(w http.ResponseWriter, a asked) {
		w.Header().Set("Location", "http://pl4nted.example/?"+url.QueryEscape(planted))
		w.WriteHeader(http.StatusFound)
	}, want: Error{Class: ClassForbiddenAddress, Code: 302}},
	{name: "redirect to another port", serve: func(w http.ResponseWriter, a asked) {
		http.Redirect(w, a.Request, "http://127.0.0.1:1/", http.StatusFound)
	}, want: Error{Class: ClassForbiddenAddress, Code: 302}},
	{name: "redirects without an end", serve: func(w http.ResponseWriter, a asked) {
		http.Redirect(w, a.Request, a.URL.Path, http.StatusTemporaryRedirect)
	}, want: Error{Class: ClassStatus, Code: 307}},
	{name: "redirect to nowhere", serve: func(w http.ResponseWriter, _ asked) { w.WriteHeader(http.StatusFound) }, want: Error{Class: ClassStatus, Code: 302}},
	{name: "closed midway", serve: func(w http.ResponseWriter, a asked) {
		hijacked(w, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"+echo(a))
	}, want: Error{Class: ClassAnswer}},
	{name: "closed at once", serve: func(w http.ResponseWriter, _ asked) { hijacked(w, "") }, want: Error{Class: ClassRefused}},
}

func hijacked(w http.ResponseWriter, text string) {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(connection, text)
	_ = connection.Close()
}

func TestConformanceFaults(t *testing.T) {
	t.Parallel()
	for _, r := range rows() {
		for _, f := range faults {
			t.Run(r.name+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				address := serve(t, f.serve)
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if f.want.Class == ClassTimeout {
					ctx, cancel = context.WithTimeout(ctx, 300*time.Millisecond)
				}
				defer cancel()
				got, err := r.clients(address).Measure(ctx, r.ask(address))
				if r.name == "web" && (f.text || f.name == "other JSON") {
					reveals(t, fmt.Sprint(got))
					return
				}
				fails(t, err, f.want)
				if got != nil {
					t.Errorf("there is a result: %v", got)
				}
			})
		}
		if r.failed != "" {
			t.Run(r.name+"/an error with status 200", func(t *testing.T) {
				t.Parallel()
				address := serve(t, func(w http.ResponseWriter, _ asked) { _, _ = io.WriteString(w, r.failed) })
				_, err := r.clients(address).Measure(t.Context(), r.ask(address))
				fails(t, err, Error{Class: ClassAnswer})
			})
		}
	}
}

// fails checks an error, and that it says nothing that it must not.
func fails(t *testing.T, err error, want Error) {
	t.Helper()
	var got *Error
	if !errors.As(err, &got) {
		t.Fatalf("got %v (%T), want an Error", err, err)
	}
	if got.Class != want.Class || got.Code != want.Code || got.RetryAfter != want.RetryAfter {
		t.Errorf("got %v (retry after %v), want %v (%v)", got, got.RetryAfter, &want, want.RetryAfter)
	}
	reveals(t, got.Error())
	reveals(t, fmt.Sprintf("%#v", *got))
}

// reveals fails where a text has the planted secret, in whatever way it is written.
func reveals(t *testing.T, text string) {
	t.Helper()
	for _, form := range []string{
		"pl4nted", planted, url.QueryEscape(planted), base64.StdEncoding.EncodeToString([]byte(planted)),
		base64.StdEncoding.EncodeToString([]byte("user:" + planted)),
	} {
		if strings.Contains(strings.ReplaceAll(text, "pl4nted.example", ""), form) {
			t.Errorf("the secret is revealed: %s", text)
		}
	}
}

func TestConformanceUnreachable(t *testing.T) {
	t.Parallel()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of certificates that are not accepted, which is what is tested
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for _, r := range rows() {
		for _, c := range []struct {
			name, address string
			want          Class
			change        func(*Options)
		}{
			{"refused", closed.URL, ClassRefused, nil},
			{"a certificate of nobody", secure.URL, ClassTLS, nil},
			{"TLS expected", strings.Replace(plain.URL, "http:", "https:", 1), ClassTLS, nil},
			{"loopback", plain.URL, ClassForbiddenAddress, func(o *Options) { o.Allow = nil }},
			{"denied", plain.URL, ClassForbiddenAddress, func(o *Options) { o.Deny = o.Allow }},
			{"another scheme", "file:///etc/passwd", ClassConfig, nil},
			{"no URL", "http://%zz/" + planted, ClassConfig, nil},
			{"Secrets cannot be read", plain.URL, ClassSecret, func(o *Options) {
				o.SecretReader = func(context.Context, string, string) (map[string][]byte, error) { return nil, errors.New(planted) }
			}},
			{"no Secrets", plain.URL, ClassSecret, func(o *Options) {
				o.SecretReader = func(context.Context, string, string) (map[string][]byte, error) { return nil, nil }
			}},
		} {
			t.Run(r.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				var change []func(*Options)
				if c.change != nil {
					change = append(change, c.change)
				}
				_, err := r.clients(c.address, change...).Measure(t.Context(), r.ask(c.address))
				fails(t, err, Error{Class: c.want})
			})
		}
	}
}

func prometheusRow() row {
	vector := func(samples string) string {
		return `{"status":"success","data":{"resultType":"vector","result":[` + samples + `]}}`
	}
	return row{
		name: "prometheus",
		ask: func(address string) Ask {
			return provided(rolloutsv1beta1.MetricProvider{Prometheus: &rolloutsv1beta1.PrometheusMetric{
				Address: address, Query: `up{key="{{args.plant}}"}`,
				Headers:        []rolloutsv1beta1.MetricHeader{{Key: "X-Key", Value: "{{ args.plant }}"}},
				Authentication: rolloutsv1beta1.Authentication{BasicAuth: &rolloutsv1beta1.BasicAuth{Username: "user", Password: "{{args.plant}}"}},
			}})
		},
		request: func(a asked) string {
			form, _ := url.ParseQuery(a.body)
			user, password, _ := a.BasicAuth()
			if a.URL.Path != "/api/v1/query" || form.Get("query") != `up{key="`+planted+`"}` || form.Get("timeout") != "30s" || form.Has("time") ||
				a.Header.Get("X-Key") != planted || user != "user" || password != planted {
				return echo(a)
			}
			return ""
		},
		one:     answers{vector(`{"metric":{},"value":[1,"0.95"]}`), []float64{0.95}},
		several: answers{vector(`{"metric":{"a":"1"},"value":[1,"1"]},{"metric":{"a":"2"},"value":[1,"+Inf"]}`), []float64{1, math.Inf(1)}},
		empty:   answers{vector(""), []float64{}},
		null:    answers{vector(`{"metric":{},"value":[1,"NaN"]}`), []float64{math.NaN()}},
		failed:  `{"status":"error","errorType":"execution","error":"` + url.QueryEscape(planted) + `"}`,
	}
}

func rangeRow() row {
	matrix := func(streams string) string {
		return `{"status":"success","data":{"resultType":"matrix","result":[` + streams + `]}}`
	}
	r := prometheusRow()
	r.name = "prometheus range"
	ask := r.ask
	r.ask = func(address string) Ask {
		a := ask(address)
		a.Provider.Prometheus.RangeQuery = &rolloutsv1beta1.PrometheusRangeQuery{Start: `now() - duration("1h")`, End: "now()", Step: "1m"}
		return a
	}
	r.request = func(a asked) string {
		form, _ := url.ParseQuery(a.body)
		if a.URL.Path != "/api/v1/query_range" || form.Get("start") != fmt.Sprint(noon.Unix()-3600) || form.Get("end") != fmt.Sprint(noon.Unix()) ||
			form.Get("step") != "60" {
			return a.URL.Path + a.body
		}
		return ""
	}
	r.one = answers{matrix(`{"metric":{},"values":[[1,"1"],[2,"2"]]}`), []float64{1, 2}}
	r.several = answers{matrix(`{"metric":{"a":"1"},"values":[[1,"1"]]},{"metric":{"a":"2"},"values":[[1,"2"],[2,"3"]]}`), []float64{1, 2, 3}}
	r.empty = answers{matrix(""), []float64{}}
	r.null = answers{matrix(`{"metric":{},"values":[[1,"NaN"]]}`), []float64{math.NaN()}}
	return r
}

func webRow() row {
	return row{
		name: "web",
		ask: func(address string) Ask {
			return provided(rolloutsv1beta1.MetricProvider{Web: &rolloutsv1beta1.WebMetric{
				URL: address + "/rate?key={{args.plant}}", Method: http.MethodPost,
				JSONBody: &runtime.RawExtension{Raw: []byte(`{"key":"{{args.plant}}","n":12345678901234567890}`)},
				Headers:  []rolloutsv1beta1.MetricHeader{{Key: "X-Key", Value: "{{args.plant}}"}},
			}})
		},
		request: func(a asked) string {
			var body map[string]any
			decoder := json.NewDecoder(strings.NewReader(a.body))
			decoder.UseNumber()
			if err := decoder.Decode(&body); err != nil || body["key"] != planted || body["n"] != json.Number("12345678901234567890") ||
				a.Header.Get("X-Key") != planted || a.Header.Get("Content-Type") != "application/json" || a.Method != http.MethodPost {
				return echo(a)
			}
			return ""
		},
		one:     answers{`{"rate":0.5}`, map[string]any{"rate": 0.5}},
		several: answers{`[1,2.5,true,"x"]`, []any{1.0, 2.5, true, "x"}},
		empty:   answers{``, ""},
		null:    answers{`null`, nil},
	}
}

func datadogKeys(address string) map[string]string {
	return map[string]string{"address": address, "api-key": planted, "app-key": planted}
}

func datadogRow() row {
	return row{
		name:    "datadog",
		profile: datadogKeys,
		ask: func(string) Ask {
			return Ask{Provider: rolloutsv1beta1.MetricProvider{Datadog: &rolloutsv1beta1.DatadogMetric{Query: "avg:errors{*}", Interval: "10m"}}}
		},
		request: func(a asked) string {
			query := a.URL.Query()
			if a.URL.Path != "/api/v1/query" || query.Get("query") != "avg:errors{*}" || query.Get("from") != fmt.Sprint(noon.Unix()-600) ||
				query.Get("to") != fmt.Sprint(noon.Unix()) || a.Header.Get("DD-API-KEY") != planted || a.Header.Get("DD-APPLICATION-KEY") != planted {
				return echo(a)
			}
			return ""
		},
		one:     answers{`{"status":"ok","series":[{"pointlist":[[1,7],[2,0.5],[3,null]]}]}`, 0.5},
		several: answers{`{"status":"ok","series":[{"pointlist":[[1,7]]},{"pointlist":[[1,8]]}]}`, []float64{7, 8}},
		empty:   answers{`{"status":"ok","series":[]}`, nil},
		null:    answers{`{"status":"ok","series":[{"pointlist":[[1,null]]}]}`, nil},
		failed:  `{"status":"error","error":"pl4nted"}`,
	}
}

func scalarRow() row {
	columns := func(list string) string {
		return `{"data":{"type":"scalar_response","attributes":{"columns":[` + list + `]}}}`
	}
	return row{
		name:    "datadog v2",
		profile: datadogKeys,
		ask: func(string) Ask {
			return Ask{Provider: rolloutsv1beta1.MetricProvider{Datadog: &rolloutsv1beta1.DatadogMetric{
				Queries: map[string]string{"b": "sum:hits{*}", "a": "sum:errors{*}"}, Formula: "a / b", Aggregator: "sum",
			}}}
		},
		request: func(a asked) string {
			want := `{"data":{"attributes":{"formulas":[{"formula":"a / b"}],"from":1795866900000,"queries":[` +
				`{"aggregator":"sum","data_source":"metrics","name":"a","query":"sum:errors{*}"},` +
				`{"aggregator":"sum","data_source":"metrics","name":"b","query":"sum:hits{*}"}],"to":1795867200000},"type":"scalar_request"}}`
			if a.URL.Path != "/api/v2/query/scalar" || a.body != want || a.Header.Get("DD-API-KEY") != planted {
				return a.body
			}
			return ""
		},
		one:     answers{columns(`{"name":"a / b","type":"number","values":[0.25]}`), 0.25},
		several: answers{columns(`{"type":"group","name":"env","values":[["prod"],["test"]]},{"type":"number","values":[1,2]}`), []float64{1, 2}},
		empty:   answers{columns(""), nil},
		null:    answers{columns(`{"type":"number","values":[null]}`), nil},
		failed:  `{"errors":"pl4nted","data":{}}`,
	}
}

func cloudWatchRow() row {
	page := func(members, next string) string {
		return `<GetMetricDataResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><GetMetricDataResult><MetricDataResults>` + members +
			`</MetricDataResults>` + next + `</GetMetricDataResult></GetMetricDataResponse>`
	}
	member := func(id, values string) string {
		return `<member><Id>` + id + `</Id><Label>l</Label><StatusCode>Complete</StatusCode><Timestamps/><Values>` + values + `</Values></member>`
	}
	result := func(id string, values ...float64) any {
		return map[string]any{"Id": id, "Label": "l", "Values": values}
	}
	return row{
		name: "cloudWatch",
		profile: func(address string) map[string]string {
			return map[string]string{
				"address": address, "region": "eu-west-1", "access-key-id": "AKID", "secret-access-key": planted, "session-token": planted,
			}
		},
		ask: func(string) Ask {
			return Ask{Provider: rolloutsv1beta1.MetricProvider{CloudWatch: &rolloutsv1beta1.CloudWatchMetric{
				MetricDataQueries: []rolloutsv1beta1.CloudWatchQuery{
					{ID: "rate", Expression: new("errors / hits"), Label: new("Rate")},
					{ID: "errors", ReturnData: new(false), MetricStat: &rolloutsv1beta1.CloudWatchStat{
						Period: 60, Stat: "Sum", Unit: "Count", Metric: rolloutsv1beta1.CloudWatchName{
							Namespace: new("AWS/ELB"), MetricName: "5XX", Dimensions: []rolloutsv1beta1.CloudWatchDimension{{Name: "LB", Value: "x y"}},
						},
					}},
				},
			}}}
		},
		request: func(a asked) string {
			form, _ := url.ParseQuery(a.body)
			signed := a.Header.Get("Authorization")
			for name, want := range map[string]string{
				"Action": "GetMetricData", "Version": "2010-08-01", "StartTime": "2026-11-28T11:55:00Z", "EndTime": "2026-11-28T12:00:00Z",
				"MetricDataQueries.member.1.Expression": "errors / hits", "MetricDataQueries.member.2.ReturnData": "false",
				"MetricDataQueries.member.2.MetricStat.Metric.Dimensions.member.1.Value": "x y",
				"MetricDataQueries.member.2.MetricStat.Metric.Namespace":                 "AWS/ELB",
				"MetricDataQueries.member.2.MetricStat.Period":                           "60",
			} {
				if form.Get(name) != want {
					return name + "=" + form.Get(name)
				}
			}
			if a.Method != http.MethodPost || !strings.HasPrefix(signed, "AWS4-HMAC-SHA256 Credential=AKID/20261128/eu-west-1/monitoring/aws4_request, ") ||
				a.Header.Get("X-Amz-Date") != "20261128T120000Z" || a.Header.Get("X-Amz-Security-Token") != planted {
				return signed
			}
			return ""
		},
		one:     answers{page(member("rate", "<member>0.5</member><member>1.0E-3</member>"), ""), []any{result("rate", 0.5, 0.001)}},
		several: answers{page(member("a", "<member>1</member>")+member("b", ""), ""), []any{result("a", 1), map[string]any{"Id": "b", "Label": "l", "Values": []float64{}}}},
		empty:   answers{page("", ""), []any{}},
		null:    answers{page(member("rate", ""), ""), []any{}},
		failed:  page(`<member><Id>a</Id><StatusCode>Forbidden</StatusCode></member>`, ""),
	}
}

func newRelicRow() row {
	results := func(list string) string {
		return `{"data":{"actor":{"account":{"nrql":{"results":[` + list + `]}}}}}`
	}
	return row{
		name: "newRelic",
		profile: func(address string) map[string]string {
			return map[string]string{"address": address, "personal-api-key": planted, "account-id": "42"}
		},
		ask: func(string) Ask {
			return Ask{Provider: rolloutsv1beta1.MetricProvider{NewRelic: &rolloutsv1beta1.NewRelicMetric{Query: "FROM Transaction SELECT count(*)"}}}
		},
		request: func(a asked) string {
			var body struct {
				Query     string
				Variables map[string]any
			}
			want := map[string]any{"account": 42.0, "query": "FROM Transaction SELECT count(*)", "timeout": 10.0}
			if err := json.Unmarshal([]byte(a.body), &body); err != nil || !reflect.DeepEqual(body.Variables, want) || a.Header.Get("API-Key") != planted {
				return a.body
			}
			return ""
		},
		one:     answers{results(`{"count":3}`), map[string]any{"count": 3.0}},
		several: answers{results(`{"count":3,"facet":"a"},{"count":4,"facet":"b"}`), []any{map[string]any{"count": 3.0, "facet": "a"}, map[string]any{"count": 4.0, "facet": "b"}}},
		empty:   answers{results(""), []any{}},
		null:    answers{results(`{"average.duration":null}`), map[string]any{"average.duration": nil}},
		failed:  `{"data":{"actor":{"account":{"nrql":null}}},"errors":[{"message":"pl4nted"}]}`,
	}
}

func influxdbRow() row {
	table := func(kind string, values ...string) string {
		text := "#datatype,string,long," + kind + ",string\r\n#default,_result,,,\r\n,result,table,_value,host\r\n"
		for _, value := range values {
			text += ",,0," + value + ",a\r\n"
		}
		return text + "\r\n"
	}
	return row{
		name: "influxdb",
		profile: func(address string) map[string]string {
			return map[string]string{"address": address, "authToken": planted, "org": "my org"}
		},
		ask: func(string) Ask {
			return Ask{Provider: rolloutsv1beta1.MetricProvider{Influxdb: &rolloutsv1beta1.InfluxdbMetric{Query: `from(bucket:"b")`}}}
		},
		request: func(a asked) string {
			var body struct{ Query, Type string }
			if err := json.Unmarshal([]byte(a.body), &body); err != nil || body.Query != `from(bucket:"b")` || body.Type != "flux" ||
				a.RequestURI != "/api/v2/query?org=my+org" || a.Header.Get("Authorization") != "Token "+planted {
				return echo(a)
			}
			return ""
		},
		one:     answers{table("double", "0.5", "1"), []any{0.5, 1.0}},
		several: answers{table("long", "7") + table("string", `"a,b"`) + table("boolean", "true"), []any{7.0, "a,b", true}},
		empty:   answers{"\r\n", []any{}},
		null:    answers{table("double", ""), []any{nil}},
		failed:  table("double", "1") + "#datatype,string,string\r\n,error,reference\r\n,pl4nted,897\r\n",
	}
}

func graphiteRow() row {
	return row{
		name: "graphite",
		ask: func(address string) Ask {
			return provided(rolloutsv1beta1.MetricProvider{Graphite: &rolloutsv1beta1.GraphiteMetric{
				Address: address + "/{{args.plant}}/", Query: "target=sum(\n  a.*.errors)\n",
			}})
		},
		request: func(a asked) string {
			query := a.URL.Query()
			if !strings.HasSuffix(a.URL.Path, "/render") || query.Get("target") != "sum( a.*.errors)" || query.Get("from") != "-5min" || query.Get("format") != "json" {
				return a.URL.String()
			}
			return ""
		},
		one:     answers{`[{"target":"a","datapoints":[[1.5,100],[null,160],[2,220]]}]`, []float64{1.5, 2}},
		several: answers{`[{"target":"a","datapoints":[[1,100]]},{"target":"b","datapoints":[[2,100]]}]`, []float64{1, 2}},
		empty:   answers{`[]`, []float64{}},
		null:    answers{`[{"target":"a","datapoints":[[null,100]]}]`, []float64{}},
	}
}
