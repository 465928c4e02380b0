// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// datadog asks for the last points of series (https://docs.datadoghq.com/api/latest/metrics/, "Query timeseries points", v1), or for
// scalars (the same page, "Query scalar data across multiple products", v2). result is the number where there is one, nil where there
// is none, and a []float64 where the query is of several groups, so that none of them is judged for all. An address that the Secret
// lacks is that of the site US1.
func (c *Clients) datadog(ctx context.Context, q *question) (any, error) {
	metric := q.provider.Datadog
	back, err := window(metric.Interval)
	if err != nil {
		return nil, err
	}
	namespace := c.options.Namespace
	if metric.SecretRef.Namespaced {
		namespace = cmp.Or(q.namespace, namespace)
	}
	keys, err := c.profile(ctx, q, namespace, cmp.Or(metric.SecretRef.Name, "datadog"), "api-key", "app-key")
	if err != nil {
		return nil, err
	}
	address, now := cmp.Or(keys["address"], "https://api.datadoghq.com"), c.options.Now()
	header := http.Header{"Dd-Api-Key": {keys["api-key"]}, "Dd-Application-Key": {keys["app-key"]}, "Accept": {"application/json"}}
	var numbers []float64
	switch version(metric) {
	case "v1":
		numbers, err = c.datadogPoints(ctx, q, address, header, metric, now.Add(-back), now)
	case "v2":
		numbers, err = c.datadogScalars(ctx, q, address, header, metric, now.Add(-back), now)
	default:
		err = misconfigured("apiVersion has to be v1 or v2")
	}
	switch {
	case err != nil:
		return nil, err
	case len(numbers) == 0:
		return nil, nil
	case len(numbers) == 1:
		return numbers[0], nil
	}
	return numbers, nil
}

func version(metric *rolloutsv1beta1.DatadogMetric) string {
	if metric.APIVersion == "" && len(metric.Queries) > 0 {
		return "v2"
	}
	return cmp.Or(metric.APIVersion, "v1")
}

// datadogPoints returns the last point of each series.
func (c *Clients) datadogPoints(ctx context.Context, q *question, address string, header http.Header, metric *rolloutsv1beta1.DatadogMetric,
	from, to time.Time,
) ([]float64, error) {
	if metric.Query == "" || len(metric.Queries) > 0 || metric.Formula != "" {
		return nil, misconfigured("apiVersion v1 takes a query, and neither queries nor a formula")
	}
	query := url.Values{"from": {strconv.FormatInt(from.Unix(), 10)}, "to": {strconv.FormatInt(to.Unix(), 10)}, "query": {metric.Query}}
	body, err := c.do(ctx, q, call{
		method: http.MethodGet, url: at(address, "/api/v1/query?"+query.Encode()), header: header, timeout: defaultTimeout,
	})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Series []struct {
			// Pointlist has pairs of milliseconds and a value, which is null where there was none.
			Pointlist [][]*float64 `json:"pointlist"`
		} `json:"series"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, unreadable(hostOf(address), "the answer is not as documented")
	}
	if answer.Error != "" || answer.Status != "ok" {
		return nil, unreadable(hostOf(address), "the answer says that it is an error")
	}
	var numbers []float64
	for _, series := range answer.Series {
		for _, point := range slices.Backward(series.Pointlist) {
			if len(point) == 2 && point[1] != nil {
				numbers = append(numbers, *point[1])
				break
			}
		}
	}
	return numbers, nil
}

// datadogScalars returns the numbers of a formula, one of each group.
func (c *Clients) datadogScalars(ctx context.Context, q *question, address string, header http.Header, metric *rolloutsv1beta1.DatadogMetric,
	from, to time.Time,
) ([]float64, error) {
	request, err := scalarRequest(metric, from, to)
	if err != nil {
		return nil, err
	}
	header.Set("Content-Type", "application/json")
	body, err := c.do(ctx, q, call{
		method: http.MethodPost, url: at(address, "/api/v2/query/scalar"), header: header, body: request, timeout: defaultTimeout,
	})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data *struct {
			Attributes struct {
				Columns []struct {
					// Type is number, or group for the tags that a row is of.
					Type   string          `json:"type"`
					Values json.RawMessage `json:"values"`
				} `json:"columns"`
			} `json:"attributes"`
		} `json:"data"`
		Errors string `json:"errors"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Data == nil {
		return nil, unreadable(hostOf(address), "the answer is not as documented")
	}
	if answer.Errors != "" {
		return nil, unreadable(hostOf(address), "the answer says that it is an error")
	}
	var numbers []float64
	for _, column := range answer.Data.Attributes.Columns {
		if column.Type != "number" {
			continue
		}
		var values []*float64
		if err := json.Unmarshal(column.Values, &values); err != nil {
			return nil, unreadable(hostOf(address), "the answer is not as documented")
		}
		for _, value := range values {
			if value != nil {
				numbers = append(numbers, *value)
			}
		}
	}
	return numbers, nil
}

func scalarRequest(metric *rolloutsv1beta1.DatadogMetric, from, to time.Time) ([]byte, error) {
	queries, formula := metric.Queries, metric.Formula
	if metric.Query != "" {
		if len(queries) > 0 {
			return nil, misconfigured("one of query and queries may be set")
		}
		queries = map[string]string{"query": metric.Query}
	}
	names := make([]string, 0, len(queries))
	for name := range queries {
		names = append(names, name)
	}
	slices.Sort(names)
	switch {
	case len(names) == 0:
		return nil, misconfigured("one of query and queries has to be set")
	case formula == "" && len(names) > 1:
		return nil, misconfigured("several queries need a formula")
	}
	list := []any{}
	for _, name := range names {
		list = append(list, map[string]any{
			"data_source": "metrics", "name": name, "query": queries[name], "aggregator": cmp.Or(metric.Aggregator, "last"),
		})
	}
	body, err := json.Marshal(map[string]any{"data": map[string]any{"type": "scalar_request", "attributes": map[string]any{
		"from": from.UnixMilli(), "to": to.UnixMilli(), "queries": list, "formulas": []any{map[string]any{"formula": cmp.Or(formula, names[0])}},
	}}})
	if err != nil {
		return nil, misconfigured("the queries are no JSON")
	}
	return body, nil
}
