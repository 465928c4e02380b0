// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Series is one series of an instant query.
type Series struct {
	Labels map[string]string
	// Value is NaN where Prometheus says so, such as for 0/0.
	Value float64
	// Time that the value is of, by Prometheus' clock.
	Time time.Time
}

// Series asks for the series of an instant query, for built-in checks: without credentials, and within the default timeout. No series
// are no error.
func (c *Clients) Series(ctx context.Context, source rolloutsv1beta1.PrometheusSource, query string) (list []Series, err error) {
	q := &question{}
	defer func() { list, err = recovered(recover(), list, err) }()
	value, err := c.promQL(ctx, q, &rolloutsv1beta1.PrometheusMetric{Address: source.Address, Query: query}, defaultTimeout)
	if err != nil {
		return nil, q.redacted(ended(ctx, err))
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return nil, misconfigured("the query does not give series of the present")
	}
	list = make([]Series, 0, len(vector))
	for _, sample := range vector {
		labels := make(map[string]string, len(sample.Metric))
		for name, text := range sample.Metric {
			labels[string(name)] = string(text)
		}
		if sample.Histogram != nil {
			return nil, unreadable("", "a series is a native histogram")
		}
		list = append(list, Series{labels, float64(sample.Value), sample.Timestamp.Time()})
	}
	return list, nil
}

// prometheus asks by the HTTP API of Prometheus (https://prometheus.io/docs/prometheus/latest/querying/api/). result is a float64 for
// a scalar, else a []float64: a value of each series for an instant vector, and all values of all series, one after the other, for a
// range.
func (c *Clients) prometheus(ctx context.Context, q *question) (any, error) {
	metric := q.provider.Prometheus
	timeout, err := seconds(metric.Timeout, 30*time.Second)
	if err != nil {
		return nil, err
	}
	value, err := c.promQL(ctx, q, metric, timeout)
	if err != nil {
		return nil, err
	}
	numbers := []float64{}
	switch value := value.(type) {
	case *model.Scalar:
		return float64(value.Value), nil
	case model.Vector:
		for _, sample := range value {
			if sample.Histogram != nil {
				return nil, unreadable("", "a series is a native histogram; use histogram_quantile, or another function that makes a number of it")
			}
			numbers = append(numbers, float64(sample.Value))
		}
	case model.Matrix:
		for _, stream := range value {
			if len(stream.Histograms) > 0 {
				return nil, unreadable("", "a series is a native histogram; use histogram_quantile, or another function that makes a number of it")
			}
			for _, pair := range stream.Values {
				numbers = append(numbers, float64(pair.Value))
			}
		}
	default:
		return nil, unreadable("", "the query gives no numbers")
	}
	return numbers, nil
}

// promQL makes a query. An instant one is of Prometheus' own present: clocks differ, and the newest samples are what is asked for.
func (c *Clients) promQL(ctx context.Context, q *question, metric *rolloutsv1beta1.PrometheusMetric, timeout time.Duration) (model.Value, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	address := cmp.Or(metric.Address, c.options.PrometheusAddress)
	if address == "" {
		return nil, misconfigured("no address is given, and the manager has no --prometheus-address")
	}
	u, err := parsed(address)
	if err != nil {
		return nil, err
	}
	header, err := headers(metric.Headers)
	if err != nil {
		return nil, err
	}
	if metric.Query == "" {
		return nil, misconfigured("no query is given")
	}
	within, err := c.times(metric.RangeQuery)
	if err != nil {
		return nil, err
	}
	client, err := c.client(ctx, q, call{header: header, authentication: metric.Authentication, insecure: metric.Insecure})
	if err != nil {
		return nil, err
	}
	client.Transport = fallback{client.Transport}
	asked, err := api.NewClient(api.Config{Address: u.String(), Client: client})
	if err != nil {
		return nil, misconfigured("the address is no URL")
	}
	var value model.Value
	if within != nil {
		value, _, err = prometheusv1.NewAPI(asked).QueryRange(ctx, metric.Query, *within, prometheusv1.WithTimeout(timeout))
	} else {
		value, _, err = prometheusv1.NewAPI(asked).Query(ctx, metric.Query, time.Time{}, prometheusv1.WithTimeout(timeout))
	}
	if err != nil {
		e := classified(err, u.Host)
		if e.Code == http.StatusUnauthorized {
			c.forget(metric.Authentication.OAuth2)
		}
		e.Message = cmp.Or(e.Message, prometheusSays[e.Code])
		return nil, e
	}
	return value, nil
}

// prometheusSays is what the statuses of the API stand for, by its documentation.
var prometheusSays = map[int]string{
	http.StatusBadRequest:          "the query is not valid",
	http.StatusUnprocessableEntity: "the query cannot be executed",
	http.StatusServiceUnavailable:  "the query took too long, or was aborted",
}

// fallback lets the client see the statuses after which it asks by GET instead of POST, for servers that take no other: of those it
// reads no body.
type fallback struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (f fallback) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := f.RoundTripper.RoundTrip(request)
	if e, ok := errors.AsType[*Error](err); ok && request.Method == http.MethodPost {
		switch e.Code {
		case http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotImplemented:
			return &http.Response{StatusCode: e.Code, Header: http.Header{}, Body: http.NoBody, Request: request}, nil
		}
	}
	return response, err
}
