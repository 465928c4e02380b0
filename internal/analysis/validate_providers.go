// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1beta1"
)

// providers are those that there are, with their own rules. What is said of each field is where the provider is asked.
var providers = []struct {
	name     string
	given    func(v1beta1.MetricProvider) bool
	validate func(*validator, *field.Path, v1beta1.MetricProvider)
}{
	{"prometheus", func(p v1beta1.MetricProvider) bool { return p.Prometheus != nil }, (*validator).prometheus},
	{"web", func(p v1beta1.MetricProvider) bool { return p.Web != nil }, (*validator).web},
	{"job", func(p v1beta1.MetricProvider) bool { return p.Job != nil }, (*validator).job},
	{"datadog", func(p v1beta1.MetricProvider) bool { return p.Datadog != nil }, (*validator).datadog},
	{"cloudWatch", func(p v1beta1.MetricProvider) bool { return p.CloudWatch != nil }, (*validator).cloudWatch},
	{"newRelic", func(p v1beta1.MetricProvider) bool { return p.NewRelic != nil }, (*validator).newRelic},
	{"influxdb", func(p v1beta1.MetricProvider) bool { return p.Influxdb != nil }, (*validator).influxdb},
	{"graphite", func(p v1beta1.MetricProvider) bool { return p.Graphite != nil }, (*validator).graphite},
}

// notSupported are providers of Argo Rollouts that there are none of here. The API server leaves out fields that it does not know, so
// that a template with one of these has no provider when it is seen.
const notSupported = "kayenta, wavefront, skywalking and plugin of Argo Rollouts are not supported"

func (v *validator) provider(at *field.Path, p v1beta1.MetricProvider) {
	var names, given []string
	for _, known := range providers {
		names = append(names, known.name)
		if !known.given(p) {
			continue
		}
		given = append(given, known.name)
		known.validate(v, at.Child(known.name), p)
	}
	switch len(given) {
	case 0:
		v.required(at, "exactly one of %s; %s", strings.Join(names, ", "), notSupported)
	case 1:
	default:
		v.invalid(at, strings.Join(given, ", "), "a metric has exactly one provider; make them several metrics")
	}
	v.used(at, p)
}

func (v *validator) prometheus(at *field.Path, p v1beta1.MetricProvider) {
	m := p.Prometheus
	if m.Address != "" {
		v.address(at.Child("address"), m.Address)
	}
	v.text(at.Child("query"), m.Query, "a query in PromQL")
	if r := m.RangeQuery; r != nil {
		at := at.Child("rangeQuery")
		v.text(at.Child("start"), r.Start, `the start of the range, such as now() - duration("1h")`)
		v.text(at.Child("end"), r.End, "the end of the range, such as now()")
		v.text(at.Child("step"), r.Step, "the time between its points, such as 1m")
		v.lasting(at.Child("step"), r.Step)
	}
	v.timeout(at.Child("timeout"), m.Timeout)
	v.headers(at.Child("headers"), m.Headers)
	v.authentication(at.Child("authentication"), m.Authentication)
}

func (v *validator) web(at *field.Path, p v1beta1.MetricProvider) {
	m := p.Web
	v.address(at.Child("url"), m.URL)
	methods := []string{"GET", "POST", "PUT"}
	body := m.Body != "" || m.JSONBody != nil
	switch {
	case len(placeholder.FindString(m.Method)) > 0:
	case m.Method != "" && !slices.Contains(methods, m.Method):
		v.add(field.NotSupported(at.Child("method"), m.Method, methods))
	case body && (m.Method == "" || m.Method == "GET"):
		v.invalid(at.Child("method"), m.Method, "a body is sent with POST and PUT only; write one of these")
	}
	if m.Body != "" && m.JSONBody != nil {
		v.forbidden(at.Child("jsonBody"), "body and jsonBody cannot both be set; remove one of them")
	}
	v.timeout(at.Child("timeoutSeconds"), &m.TimeoutSeconds)
	v.headers(at.Child("headers"), m.Headers)
	v.authentication(at.Child("authentication"), m.Authentication)
}

func (v *validator) newRelic(at *field.Path, p v1beta1.MetricProvider) {
	v.text(at.Child("query"), p.NewRelic.Query, "a query in NRQL")
	v.timeout(at.Child("timeout"), p.NewRelic.Timeout)
	v.secretName(at.Child("profile"), p.NewRelic.Profile)
}

func (v *validator) influxdb(at *field.Path, p v1beta1.MetricProvider) {
	v.text(at.Child("query"), p.Influxdb.Query, "a query in Flux")
	v.secretName(at.Child("profile"), p.Influxdb.Profile)
}

func (v *validator) graphite(at *field.Path, p v1beta1.MetricProvider) {
	v.address(at.Child("address"), p.Graphite.Address)
	v.text(at.Child("query"), p.Graphite.Query, "a target of Graphite's render API")
}

// text checks that there is one.
func (v *validator) text(at *field.Path, text, what string) {
	if strings.TrimSpace(text) == "" {
		v.required(at, "%s", what)
	}
}

// lasting checks a duration that is more than none, where it is known.
func (v *validator) lasting(at *field.Path, text string) {
	if text == "" || placeholder.MatchString(text) {
		return
	}
	if d, err := duration(lastOf(at), text); err != nil || d == 0 {
		v.invalid(at, text, "it has to be a duration; write one such as 1m")
	}
}

// ValidateAddress says what is wrong with the address of a provider.
func ValidateAddress(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return invalid("it has to be an address such as http://prometheus.monitoring:9090, with http or https")
	case u.User != nil:
		return invalid("it cannot have a user name or a password, because addresses are shown; write them into authentication")
	}
	return nil
}

// address checks an address, as far as it is known: args are taken for 1, which a host, a port and a path can be.
func (v *validator) address(at *field.Path, text string) {
	if text == "" {
		v.required(at, "an address such as http://prometheus.monitoring:9090")
		return
	}
	if before := placeholder.Split(text, 2); len(before) > 1 && !strings.Contains(before[0], "://") {
		return // an arg has its beginning
	}
	if err := ValidateAddress(placeholder.ReplaceAllString(text, "1")); err != nil {
		v.invalid(at, text, "%v", err)
	}
}

// timeout checks a timeout in seconds; 0 stands for the default.
func (v *validator) timeout(at *field.Path, seconds *int64) {
	if seconds != nil && (*seconds < 0 || *seconds > 60) {
		v.invalid(at, *seconds, "it is in seconds; write a number from 1 to 60")
	}
}

// secretName checks the name of a Secret with the credentials of a provider; "": the default.
func (v *validator) secretName(at *field.Path, name string) {
	if name == "" || placeholder.MatchString(name) {
		return
	}
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		v.invalid(at, name, "it is no name of a Secret: %s", strings.Join(problems, "; "))
	}
}

// ownHeaders say how a request is sent, which is not for templates to say.
var ownHeaders = []string{
	"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "proxy-authorization", "proxy-connection",
	"accept-encoding", "expect",
}

func (v *validator) headers(at *field.Path, headers []v1beta1.MetricHeader) {
	for i, h := range headers {
		at := at.Index(i).Child("key")
		switch {
		case placeholder.MatchString(h.Key):
		case slices.Contains(ownHeaders, strings.ToLower(h.Key)):
			v.forbidden(at, "the header %s cannot be set, because it says how the request is sent", h.Key)
		case len(validation.IsHTTPHeaderName(h.Key)) > 0:
			v.invalid(at, h.Key, "it is no name of a header; write one such as X-Scope-OrgID")
		}
	}
}

func (v *validator) authentication(at *field.Path, a v1beta1.Authentication) {
	if a.BasicAuth != nil && a.OAuth2 != nil {
		v.forbidden(at, "basicAuth and oauth2 cannot both be set; remove one of them")
	}
	if b := a.BasicAuth; b != nil && b.Username == "" && b.Password == "" {
		v.required(at.Child("basicAuth", "username"), "the user to authenticate as")
	}
	if o := a.OAuth2; o != nil {
		at := at.Child("oauth2")
		v.address(at.Child("tokenUrl"), o.TokenURL)
		v.text(at.Child("clientId"), o.ClientID, "the client to ask as")
		v.text(at.Child("clientSecret"), o.ClientSecret, "the client's secret, such as {{args.secret}}")
	}
}
