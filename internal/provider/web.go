// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"k8s.io/client-go/util/jsonpath"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// web asks an address. result is what the JSON answer has at jsonPath: the value where one fits, a list where the path is one of many
// (a list of none where nothing fits). Filters compare numbers with what is written as one with a point, such as 2.0. An answer that is
// no JSON is a string, unless jsonPath is set.
func (c *Clients) web(ctx context.Context, q *question) (any, error) {
	metric := q.provider.Web
	call, err := webCall(metric)
	if err != nil {
		return nil, err
	}
	path, err := pathOf(metric.JSONPath)
	if err != nil {
		return nil, err
	}
	body, err := c.do(ctx, q, call)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok && e.Code == http.StatusUnauthorized {
			c.forget(metric.Authentication.OAuth2)
		}
		return nil, err
	}
	return extracted(hostOf(metric.URL), body, path)
}

// extracted returns what an answer has at a path, nil for all of it.
func extracted(host string, body []byte, path *jsonpath.JSONPath) (any, error) {
	var answer any
	switch err := json.Unmarshal(body, &answer); {
	case err != nil && path == nil:
		return strings.ToValidUTF8(string(body), "\uFFFD"), nil
	case err != nil:
		return nil, unreadable(host, "the answer is no JSON")
	case path == nil:
		return answer, nil
	}
	found, err := path.FindResults(answer)
	if err != nil {
		return nil, unreadable(host, "jsonPath leads to nothing in the answer")
	}
	values := []any{}
	for _, part := range found {
		for _, value := range part {
			if !value.IsValid() || !value.CanInterface() {
				values = append(values, nil)
				continue
			}
			values = append(values, value.Interface())
		}
	}
	if len(values) == 1 {
		return values[0], nil
	}
	return values, nil
}

func webCall(metric *rolloutsv1beta1.WebMetric) (call, error) {
	header, err := headers(metric.Headers)
	if err != nil {
		return call{}, err
	}
	timeout, err := seconds(&metric.TimeoutSeconds, defaultTimeout)
	if err != nil {
		return call{}, err
	}
	method, body := cmp.Or(metric.Method, http.MethodGet), []byte(metric.Body)
	if metric.JSONBody != nil {
		if metric.Body != "" {
			return call{}, misconfigured("one of body and jsonBody may be set")
		}
		body = metric.JSONBody.Raw
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", "application/json")
		}
	}
	switch method {
	case http.MethodGet:
		if len(body) > 0 {
			return call{}, misconfigured("a body is sent with POST and PUT only")
		}
	case http.MethodPost, http.MethodPut:
	default:
		return call{}, misconfigured("the method has to be GET, POST or PUT")
	}
	return call{
		method: method, url: metric.URL, header: header, body: body, authentication: metric.Authentication,
		insecure: metric.Insecure, timeout: timeout,
	}, nil
}

// pathOf returns a path into JSON, nil for all of it. At most one part of it is recursive: each multiplies what is looked at.
func pathOf(text string) (*jsonpath.JSONPath, error) {
	text = strings.TrimSpace(text)
	switch text {
	case "", "$", "{$}", "{}", "{@}":
		return nil, nil
	}
	if !strings.HasPrefix(text, "{") {
		text = "{" + text + "}"
	}
	if strings.Count(text, "..") > 1 {
		return nil, misconfigured("jsonPath has more than one recursive part (..)")
	}
	path := jsonpath.New("result")
	if err := path.Parse(text); err != nil {
		return nil, misconfigured("jsonPath is not valid")
	}
	return path, nil
}

// hostOf returns the host of an address, for the text of an error.
func hostOf(address string) string {
	if u, err := parsed(address); err == nil {
		return u.Host
	}
	return ""
}
