// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// client sends requests over its own connections.
type client struct {
	options   Options
	transport *http.Transport
}

func newClient(options Options) client {
	return client{options: options, transport: &http.Transport{
		DialContext: options.Dial, DisableKeepAlives: !options.KeepAlive, DisableCompression: true, MaxIdleConnsPerHost: clients,
	}}
}

// ask sends a request and shows who answered, an error, too. Anything but a complete answer with a status of success is an error. It asks
// the transport itself, which follows no redirects.
func (c *client) ask(ctx context.Context) (version string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.options.Timeout, fmt.Errorf("no answer after %s", c.options.Timeout))
	defer cancel()
	request, err := c.request(ctx)
	if err != nil {
		return "", err
	}
	began := time.Now()
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return "", c.explain(ctx, began, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 200)) // says more, or not
		return c.options.Version(response), fmt.Errorf("%s: %s", response.Status, strings.Join(strings.Fields(string(body)), " "))
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return c.options.Version(response), fmt.Errorf("reading the answer: %w", c.explain(ctx, began, err))
	}
	return c.options.Version(response), nil
}

func (c *client) request(ctx context.Context) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.options.Address+c.options.Path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	request.Host = c.options.Host
	if c.options.Header != nil {
		request.Header = c.options.Header.Clone()
	}
	// When a connection breaks that was used before, the transport sends a GET once more, without notice that one was
	// lost: unless there is a body that it cannot read again. An empty one it finds out about, and sends as none.
	request.Body = io.NopCloser(strings.NewReader(""))
	return request, nil
}

func (c *client) explain(ctx context.Context, began time.Time, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("after %s: %w", time.Since(began).Round(time.Millisecond), err)
}
