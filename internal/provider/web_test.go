// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

func TestJSONPath(t *testing.T) {
	t.Parallel()
	address := serve(t, func(w http.ResponseWriter, _ asked) {
		_, _ = io.WriteString(w, `{"rate":0.5,"ok":true,"none":null,"list":[{"v":1},{"v":2}],"empty":[],"deep":{"v":3}}`)
	})
	for path, want := range map[string]any{
		"": map[string]any{
			"rate": 0.5, "ok": true, "none": nil, "list": []any{map[string]any{"v": 1.0}, map[string]any{"v": 2.0}}, "empty": []any{},
			"deep": map[string]any{"v": 3.0},
		},
		"{$.rate}":                   0.5,
		"$.rate":                     0.5,
		"{.ok}":                      true,
		"{$.none}":                   nil,
		"{$.list[*].v}":              []any{1.0, 2.0},
		"{$.list[0].v}":              1.0,
		"{$.list}":                   []any{map[string]any{"v": 1.0}, map[string]any{"v": 2.0}},
		"{$.empty[*]}":               []any{},
		"{$.list[?(@.v == 2.0)].v}":  2.0,
		"{$.list[?(@.v == 9.0)].v}":  []any{},
		"{$.deep}":                   map[string]any{"v": 3.0},
		"{range $.list[*]}{.v}{end}": []any{1.0, 2.0},
	} {
		ask := webAt(address)
		ask.Provider.Web.JSONPath = path
		if got, err := clients(nil).Measure(t.Context(), ask); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %#v, %v, want %#v", path, got, err, want)
		}
	}
	for path, class := range map[string]Class{
		"{$.other}": ClassAnswer, "{$.rate.x}": ClassAnswer, "{$.list[9]}": ClassAnswer, "{$.list[": ClassConfig, "{$..a..b}": ClassConfig,
	} {
		ask := webAt(address)
		ask.Provider.Web.JSONPath = path
		_, err := clients(nil).Measure(t.Context(), ask)
		fails(t, err, Error{Class: class})
	}
}

// TestJSONPathProperty draws paths and answers: there is a result or an Error, whatever the library makes of them.
func TestJSONPathProperty(t *testing.T) {
	t.Parallel()
	var body string
	c, ctx := clients(nil), t.Context()
	c.secure.RegisterProtocol("http", answered{&body})
	rapid.Check(t, func(t *rapid.T) {
		body = rapid.SampledFrom([]string{"null", "1", "[]", "{}", `[[1],{"a":null}]`, `{"a":{"a":[1,"x",true]}}`}).Draw(t, "body")
		path := ""
		for _, part := range rapid.SliceOf(rapid.SampledFrom([]string{
			"{", "}", "$", ".a", "..", "[*]", "[0]", "[-1]", "[1:]", "[::2]", "[?(@.a)]", "[?(@.a==1)]", "['a','b']", "range ", "end", "@", "*", "x", `"`,
		})).Draw(t, "parts") {
			path += part
		}
		ask := webAt("http://a.example")
		ask.Provider.Web.JSONPath = path
		_, err := c.Measure(ctx, ask)
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Fatal(err)
		}
	})
}

// answered answers all requests alike.
type answered struct{ body *string }

func (a answered) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(*a.body)), Request: r}, nil
}

func TestWebConfig(t *testing.T) {
	t.Parallel()
	raw := &runtime.RawExtension{Raw: []byte(`{}`)}
	for name, web := range map[string]rolloutsv1beta1.WebMetric{
		"method":         {Method: "DELETE"},
		"body of GET":    {Body: "x"},
		"JSON of GET":    {JSONBody: raw},
		"both bodies":    {Method: "POST", Body: "x", JSONBody: raw},
		"timeout":        {TimeoutSeconds: 61},
		"header":         {Headers: []rolloutsv1beta1.MetricHeader{{Key: "Content-Length", Value: "1"}}},
		"header's value": {Headers: []rolloutsv1beta1.MetricHeader{{Key: "X", Value: "a\r\nb"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			web.URL = "http://127.0.0.1:1"
			_, err := clients(nil).Measure(t.Context(), Ask{Provider: rolloutsv1beta1.MetricProvider{Web: &web}})
			fails(t, err, Error{Class: ClassConfig})
		})
	}
}

// TestPutOfAText sends a body as it is.
func TestPutOfAText(t *testing.T) {
	t.Parallel()
	address := serve(t, func(w http.ResponseWriter, a asked) { _, _ = io.WriteString(w, a.Method+" "+a.body) })
	ask := webAt(address)
	ask.Provider.Web.Method, ask.Provider.Web.Body = http.MethodPut, "a=b"
	if got, err := clients(nil).Measure(t.Context(), ask); err != nil || got != "PUT a=b" {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestAskOfOneProvider refuses what is none, several, or a Job, which is an object and asked of nobody.
func TestAskOfOneProvider(t *testing.T) {
	t.Parallel()
	web := webAt("http://127.0.0.1:1").Provider.Web
	for name, p := range map[string]rolloutsv1beta1.MetricProvider{
		"none":        {},
		"Job":         {Job: &rolloutsv1beta1.JobMetric{}},
		"Job and web": {Job: &rolloutsv1beta1.JobMetric{}, Web: web},
		"two":         {Web: web, Graphite: &rolloutsv1beta1.GraphiteMetric{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := clients(nil).Measure(t.Context(), Ask{Provider: p})
			fails(t, err, Error{Class: ClassConfig})
		})
	}
}

// TestCallerGone says that it was the caller who did not wait.
func TestCallerGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	address := serve(t, func(_ http.ResponseWriter, a asked) {
		cancel()
		<-a.Context().Done()
	})
	_, err := clients(nil).Measure(ctx, webAt(address))
	fails(t, err, Error{Class: ClassTimeout})
	if !errors.Is(err, context.Canceled) {
		t.Error("the error is not the context's")
	}
}
