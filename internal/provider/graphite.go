// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// graphite asks for a target of the render API (https://graphite.readthedocs.io/en/latest/render_api.html). result is a []float64 of
// the points of the last five minutes, of all series one after the other. Points that have no value are left out.
func (c *Clients) graphite(ctx context.Context, q *question) (any, error) {
	metric := q.provider.Graphite
	// A target may be written with its parameter's name in front, as in an address, and in several lines.
	target := strings.TrimPrefix(strings.Join(strings.Fields(metric.Query), " "), "target=")
	if target == "" {
		return nil, misconfigured("no query is given")
	}
	query := url.Values{"target": {target}, "from": {"-5min"}, "format": {"json"}}
	body, err := c.do(ctx, q, call{method: http.MethodGet, url: at(metric.Address, "/render?"+query.Encode()), timeout: defaultTimeout})
	if err != nil {
		return nil, err
	}
	var answer []struct {
		// Datapoints has pairs of a value, which is null where there was none, and seconds.
		Datapoints [][]*float64 `json:"datapoints"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer == nil {
		return nil, unreadable(hostOf(metric.Address), "the answer is not as documented")
	}
	numbers := []float64{}
	for _, series := range answer {
		for _, point := range series.Datapoints {
			if len(point) != 2 {
				return nil, unreadable(hostOf(metric.Address), "the answer is not as documented")
			}
			if point[0] != nil {
				numbers = append(numbers, *point[0])
			}
		}
	}
	return numbers, nil
}
