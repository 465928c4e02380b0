// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// nerdGraph is the query for NRQL of New Relic's GraphQL API
// (https://docs.newrelic.com/docs/apis/nerdgraph/examples/nerdgraph-nrql-tutorial/).
const nerdGraph = `query($account: Int!, $query: Nrql!, $timeout: Seconds!) {
  actor { account(id: $account) { nrql(query: $query, timeout: $timeout) { results } } }
}`

// nerdGraphs are the addresses of the API by regions.
var nerdGraphs = map[string]string{"us": "https://api.newrelic.com/graphql", "eu": "https://api.eu.newrelic.com/graphql"}

// newRelic asks for the rows of a query. result is the row, a map[string]any, where there is one; else a list of rows, which may be
// empty. The key address of the Secret replaces the API's address.
func (c *Clients) newRelic(ctx context.Context, q *question) (any, error) {
	metric := q.provider.NewRelic
	timeout, err := seconds(metric.Timeout, defaultTimeout)
	if err != nil {
		return nil, err
	}
	keys, err := c.profile(ctx, q, c.options.Namespace, cmp.Or(metric.Profile, "newrelic"), "personal-api-key", "account-id")
	if err != nil {
		return nil, err
	}
	account, err := strconv.Atoi(keys["account-id"])
	address := cmp.Or(keys["address"], nerdGraphs[strings.ToLower(cmp.Or(keys["region"], "us"))])
	switch {
	case err != nil:
		return nil, lacking("the key account-id of the Secret is no number")
	case address == "":
		return nil, lacking("the key region of the Secret has to be us or eu")
	}
	request, err := json.Marshal(map[string]any{"query": nerdGraph, "variables": map[string]any{
		"account": account, "query": metric.Query, "timeout": int(timeout / time.Second),
	}})
	if err != nil {
		return nil, misconfigured("the query is no JSON")
	}
	body, err := c.do(ctx, q, call{
		method: http.MethodPost, url: address, body: request, timeout: timeout,
		header: http.Header{"Api-Key": {keys["personal-api-key"]}, "Content-Type": {"application/json"}},
	})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Actor struct {
				Account struct {
					NRQL *struct {
						Results []any `json:"results"`
					} `json:"nrql"`
				} `json:"account"`
			} `json:"actor"`
		} `json:"data"`
		Errors []any `json:"errors"`
	}
	switch err := json.Unmarshal(body, &answer); {
	case err != nil:
		return nil, unreadable(hostOf(address), "the answer is not as documented")
	case len(answer.Errors) > 0:
		return nil, unreadable(hostOf(address), "the answer says that it is an error")
	case answer.Data.Actor.Account.NRQL == nil:
		return nil, unreadable(hostOf(address), "the answer is not as documented")
	}
	rows := answer.Data.Actor.Account.NRQL.Results
	if len(rows) == 1 {
		return rows[0], nil
	}
	return append([]any{}, rows...), nil
}
