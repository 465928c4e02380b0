// SPDX-License-Identifier: Apache-2.0

// Package provider asks metric providers, and webhooks of steps, over the network. It is a shell: it asks, and gives back what was answered or an Error.
// It neither judges an answer, nor repeats a question, nor knows of Rollouts; Jobs are objects, and not asked for here.
//
// A template's author may name any address, so that every connection goes through the network policy (guard.go); and what is said of
// a failure is its class, the status code and the host, so that nobody reads by it what only the manager can reach (errors.go).
package provider

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Ask is a metric to ask for.
type Ask struct {
	// Provider has exactly one field. Args are put in already, except those of Secrets.
	Provider rolloutsv1beta1.MetricProvider
	// Namespace of the template. Empty: a cluster-scoped one, whose Secrets are those of the manager's namespace.
	Namespace string
	// Secrets by the names of args: {{args.NAME}} in any string of the provider's fields stands for the value.
	Secrets map[string]Secret
}

// Secret names a key of a Secret.
type Secret struct{ Namespace, Name, Key string }

// Options of Clients. Now is needed, and SecretReader where there are Secrets.
type Options struct {
	// PrometheusAddress is asked where a template, or a built-in check, names none. Empty: there has to be one.
	PrometheusAddress string
	// Namespace is the manager's: that of profiles, and of the Secrets of cluster-scoped templates.
	Namespace string
	// AllowInsecure is true where templates may have any certificate accepted.
	AllowInsecure bool
	// Allow are addresses to reach although they are refused by default; Deny are refused whatever else says. The addresses of the
	// API server belong into Deny.
	Allow, Deny []netip.Prefix
	// Proxy for all requests but those of AWS credentials. It resolves names itself, so that it has to keep to the policy for them;
	// its own address is checked like any other. Nil: none, whatever the environment says.
	Proxy *url.URL
	// SecretReader reads the data of one Secret; of one that does not exist it returns an error of reason NotFound.
	SecretReader func(ctx context.Context, namespace, name string) (map[string][]byte, error)
	// Now is the clock, which the windows of queries end at.
	Now func() time.Time
	// Getenv and ReadFile are where AWS credentials come from if no Secret has them: the variables and files that EKS gives to pods.
	// Nil: from Secrets only.
	Getenv   func(name string) string
	ReadFile func(name string) ([]byte, error)
}

// Clients ask providers. It is safe for use by many goroutines, and keeps connections open between questions.
type Clients struct {
	options          Options
	secure, insecure *http.Transport
	// credentials is for the addresses that the environment names, which the policy refuses to templates. It has connections of its
	// own, as one that is kept open would be used for a template that names the same address.
	credentials *http.Transport

	lock   sync.Mutex
	tokens map[[32]byte]accessToken
	aws    awsKeys
}

// New returns Clients.
func New(options Options) *Clients {
	return &Clients{
		options:     options,
		secure:      transport(options, false),
		insecure:    transport(options, true),
		credentials: credentialsTransport(),
		tokens:      map[[32]byte]accessToken{},
	}
}

// measurer asks one kind of provider.
type measurer struct {
	name string
	// given reports whether the ask is for this kind.
	given func(rolloutsv1beta1.MetricProvider) bool
	ask   func(*Clients, context.Context, *question) (any, error)
}

// measurers are the kinds of providers, one file each.
var measurers = []measurer{
	{"prometheus", func(p rolloutsv1beta1.MetricProvider) bool { return p.Prometheus != nil }, (*Clients).prometheus},
	{"web", func(p rolloutsv1beta1.MetricProvider) bool { return p.Web != nil }, (*Clients).web},
	{"datadog", func(p rolloutsv1beta1.MetricProvider) bool { return p.Datadog != nil }, (*Clients).datadog},
	{"cloudWatch", func(p rolloutsv1beta1.MetricProvider) bool { return p.CloudWatch != nil }, (*Clients).cloudWatch},
	{"newRelic", func(p rolloutsv1beta1.MetricProvider) bool { return p.NewRelic != nil }, (*Clients).newRelic},
	{"influxdb", func(p rolloutsv1beta1.MetricProvider) bool { return p.Influxdb != nil }, (*Clients).influxdb},
	{"graphite", func(p rolloutsv1beta1.MetricProvider) bool { return p.Graphite != nil }, (*Clients).graphite},
}

// Measure asks for a metric and returns the value that conditions know as result: nil, bool, float64 (NaN and infinities too), string,
// []float64, []any or map[string]any. What it is of each provider is said at the provider's function. An error is an *Error. Secrets
// are replaced by *** in both.
func (c *Clients) Measure(ctx context.Context, ask Ask) (result any, err error) {
	q := &question{namespace: ask.Namespace}
	defer func() {
		if result, err = recovered(recover(), result, err); err != nil {
			result, err = nil, q.redacted(err)
		}
	}()
	asked, err := kind(ask.Provider)
	if err != nil {
		return nil, err
	}
	if q.provider, err = c.filled(ctx, q, ask); err != nil {
		return nil, err
	}
	if result, err = asked.ask(c, ctx, q); err != nil {
		return nil, ended(ctx, err)
	}
	return q.hide(result), nil
}

// recovered returns an Error where something panicked: an answer can be anything, and the libraries that read it are not ours. It never
// takes the manager down.
func recovered[T any](panicked any, result T, err error) (T, error) {
	if panicked == nil {
		return result, err
	}
	var none T
	return none, unreadable("", "reading the answer failed")
}

// kind returns the one kind that is asked.
func kind(p rolloutsv1beta1.MetricProvider) (measurer, error) {
	var found []measurer
	for _, m := range measurers {
		if m.given(p) {
			found = append(found, m)
		}
	}
	if len(found) != 1 || p.Job != nil {
		return measurer{}, misconfigured(fmt.Sprintf("the provider has to be exactly one of those that are asked; %d are given", len(found)))
	}
	return found[0], nil
}

// question is an Ask on its way: with its Secrets put in, and what is to be hidden of it.
type question struct {
	provider  rolloutsv1beta1.MetricProvider
	namespace string
	secrets   []string
}
