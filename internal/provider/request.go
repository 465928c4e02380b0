// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

const (
	// mostBytes of an answer are read, after it is decompressed.
	mostBytes = 1 << 20
	// defaultTimeout is for providers whose fields name none.
	defaultTimeout = 10 * time.Second
)

// call is a request to a provider.
type call struct {
	method, url    string
	header         http.Header
	body           []byte
	authentication rolloutsv1beta1.Authentication
	insecure       bool
	timeout        time.Duration
	// through is another transport than that of providers.
	through http.RoundTripper
	// sign puts a signature on, which is over everything else.
	sign func(*http.Request, []byte) error
	// refusals has answers read whose status is 4xx, but for 429.
	refusals bool
}

// do makes a request and returns the body of its answer, whose status is 2xx.
func (c *Clients) do(ctx context.Context, q *question, call call) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, call.timeout)
	defer cancel()
	address, err := parsed(call.url)
	if err != nil {
		return nil, err
	}
	client, err := c.client(ctx, q, call)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, call.method, address.String(), bytes.NewReader(call.body))
	if err != nil {
		return nil, misconfigured("the request cannot be made of the method and the address")
	}
	if call.sign != nil {
		request.Header = call.header.Clone()
		if err := call.sign(request, call.body); err != nil {
			return nil, misconfigured("the request cannot be signed")
		}
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, classified(err, address.Host)
	}
	defer func() { _ = response.Body.Close() }() // it was read already
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, classified(err, address.Host)
	}
	return body, nil
}

// client returns a client for requests to one provider: with its headers and credentials on each, answers read within the limit, and
// statuses other than 2xx as errors.
func (c *Clients) client(ctx context.Context, q *question, call call) (*http.Client, error) {
	if call.insecure && !c.options.AllowInsecure {
		return nil, misconfigured("insecure is set, which the manager does not allow")
	}
	through := call.through
	if through == nil {
		through = c.secure
		if call.insecure {
			through = c.insecure
		}
	}
	header := http.Header{}
	maps.Copy(header, call.header)
	if err := c.authenticate(ctx, q, call, header); err != nil {
		return nil, err
	}
	for name, values := range header {
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, misconfigured("the name of a header is not valid")
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return nil, misconfigured(fmt.Sprintf("the value of the header %s is not valid", name))
			}
		}
	}
	return &http.Client{Transport: &reader{through, header, call.refusals, c.options.Now}, CheckRedirect: redirect}, nil
}

// headers returns the headers of a template. Those that say how a request is sent are not the template's.
func headers(list []rolloutsv1beta1.MetricHeader) (http.Header, error) {
	header := http.Header{}
	for _, h := range list {
		switch http.CanonicalHeaderKey(h.Key) {
		case "Host", "Connection", "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Proxy-Authorization", "Proxy-Connection",
			"Accept-Encoding", "Expect":
			return nil, misconfigured(fmt.Sprintf("the header %s cannot be set", h.Key))
		}
		header.Add(h.Key, h.Value)
	}
	return header, nil
}

// seconds returns a timeout of a template, within the bounds that its field has.
func seconds(given *int64, otherwise time.Duration) (time.Duration, error) {
	switch {
	case given == nil || *given == 0:
		return otherwise, nil
	case *given < 1 || *given > 60:
		return 0, misconfigured("the timeout has to be from 1 to 60 seconds")
	}
	return time.Duration(*given) * time.Second, nil
}

// window returns how far back a query looks.
func window(given string) (time.Duration, error) {
	if given == "" {
		return 5 * time.Minute, nil
	}
	d, err := time.ParseDuration(given)
	if err != nil || d <= 0 {
		return 0, misconfigured(`the interval has to be a duration, such as "5m"`)
	}
	return d, nil
}

// reader sends requests and reads answers. It is below http.Client, so that clients of others, too, are given no body beyond the
// limit, and none of an error, which they would quote.
type reader struct {
	through  http.RoundTripper
	header   http.Header
	refusals bool
	now      func() time.Time
}

// RoundTrip implements http.RoundTripper.
func (r *reader) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.Header.Set("User-Agent", "kruise-rollout")
	for name, values := range r.header {
		request.Header[http.CanonicalHeaderKey(name)] = values
	}
	response, err := r.through.RoundTrip(request)
	if err != nil {
		return nil, classified(err, request.URL.Host)
	}
	defer func() { _ = response.Body.Close() }() // what is wrong with it, reading says
	redirects := response.StatusCode/100 == 3 && response.Header.Get("Location") != ""
	refuses := r.refusals && response.StatusCode/100 == 4 && response.StatusCode != http.StatusTooManyRequests
	if response.StatusCode/100 != 2 && !redirects && !refuses {
		return nil, &Error{
			Class: ClassStatus, Code: response.StatusCode, Host: request.URL.Host, RetryAfter: retryAfter(response.Header, r.now()),
		}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, mostBytes+1))
	switch {
	case err != nil && class(err) == ClassTimeout:
		return nil, &Error{Class: ClassTimeout, Host: request.URL.Host}
	case err != nil:
		return nil, unreadable(request.URL.Host, "the answer broke off")
	case len(body) > mostBytes:
		return nil, &Error{Class: ClassTooLarge, Host: request.URL.Host, Message: "the answer is larger than 1 MiB"}
	}
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return response, nil
}

// at returns an address with a path added.
func at(address, path string) string {
	return strings.TrimRight(strings.TrimSpace(address), "/") + path
}
