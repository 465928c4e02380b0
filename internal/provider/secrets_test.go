// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// TestSecretsOfOtherNamespaces asks for Secrets that a template may not read, whoever named them.
func TestSecretsOfOtherNamespaces(t *testing.T) {
	t.Parallel()
	c := clients(map[string]string{"plant": planted})
	for _, ask := range []Ask{
		{Namespace: "shop", Secrets: map[string]Secret{"a": {"manager", "cloudwatch", "plant"}}},
		{Namespace: "", Secrets: map[string]Secret{"a": {"shop", "plants", "plant"}}},
		{Namespace: "shop", Secrets: map[string]Secret{"a": {"", "plants", "plant"}}},
		{Namespace: "shop", Secrets: map[string]Secret{"a": {"shop", "plants", "other"}}},
		{Namespace: "shop", Secrets: map[string]Secret{"a": {"shop", "none", "plant"}}},
	} {
		ask.Provider = webAt("http://127.0.0.1:1").Provider
		_, err := c.Measure(t.Context(), ask)
		fails(t, err, Error{Class: ClassSecret})
	}
}

// TestHostOfASecret asks an address that is a Secret: not even its host is shown.
func TestHostOfASecret(t *testing.T) {
	t.Parallel()
	c := clients(nil, func(o *Options) {
		o.SecretReader = func(context.Context, string, string) (map[string][]byte, error) {
			return map[string][]byte{"url": []byte("http://127.0.0.1:1/hooks/T0000")}, nil
		}
	})
	ask := webAt("{{args.hook}}")
	ask.Secrets = map[string]Secret{"hook": {"shop", "hooks", "url"}}
	_, err := c.Measure(t.Context(), ask)
	fails(t, err, Error{Class: ClassRefused})
	if strings.Contains(err.Error(), "127.0.0.1") {
		t.Error(err)
	}
}

// TestFilledProperty draws values of Secrets: each stays one string of the body, and none is looked into for more references.
func TestFilledProperty(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.Just(`","admin":true,"x":"`), rapid.Just("{{args.b}}")).Draw(t, "value")
		c := clients(nil, func(o *Options) {
			o.SecretReader = func(context.Context, string, string) (map[string][]byte, error) {
				return map[string][]byte{"a": []byte(value), "b": []byte("other")}, nil
			}
		})
		ask := webAt("http://a/{{args.a}}")
		ask.Provider.Web.JSONBody = &runtime.RawExtension{Raw: []byte(`{"list":["<{{args.a}}>"],"n":1e400}`)}
		ask.Secrets = map[string]Secret{"a": {"shop", "s", "a"}, "b": {"shop", "s", "b"}}
		got, err := c.filled(ctx, &question{}, ask)
		if err != nil {
			t.Fatal(err)
		}
		var body struct {
			List []string
			N    json.Number
		}
		if err := json.Unmarshal(got.Web.JSONBody.Raw, &body); err != nil || len(body.List) != 1 || body.List[0] != "<"+value+">" || body.N != "1e400" {
			t.Fatalf("%s: %v", got.Web.JSONBody.Raw, err)
		}
		if got.Web.URL != "http://a/"+value {
			t.Fatal(got.Web.URL)
		}
	})
}

// TestHiddenProperty draws Secrets and texts that have them: no spelling is left.
func TestHiddenProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[a-z/+&"<%=? ]{6,20}`).Draw(t, "value")
		quoted, _ := json.Marshal(value)
		spelled := rapid.SampledFrom([]string{
			value, url.QueryEscape(value), url.PathEscape(value), strings.ToLower(url.QueryEscape(value)), string(quoted),
			base64.StdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value)),
		}).Draw(t, "spelled")
		q := &question{}
		q.conceal(value, "pl4nted")
		shown := q.hide(map[string]any{"A" + spelled: []any{"B" + spelled + "C", 1.0, nil}}).(map[string]any)
		text, _ := json.Marshal(shown)
		if strings.Contains(string(text), spelled) || strings.Contains(string(text), value) {
			t.Fatalf("%q is left of %q in %s", spelled, value, text)
		}
		if err := q.redacted(errors.New(spelled)); strings.Contains(err.Error(), value) {
			t.Fatal(err)
		}
	})
}

// oauth is a provider and its server of tokens, which gives the tokens 1, 2, ...; the provider accepts those that are above accepted.
func oauth(t *testing.T, tokens, accepted *atomic.Int64) string {
	return serve(t, func(w http.ResponseWriter, a asked) {
		if a.URL.Path == "/token" {
			form, _ := url.ParseQuery(a.body)
			if id, secret, _ := a.BasicAuth(); form.Get("grant_type") != "client_credentials" || form.Get("scope") != "a b" || id != "me" ||
				secret != url.QueryEscape(planted) {
				http.Error(w, echo(a), http.StatusUnauthorized)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{
				"access_token": "tokentoken" + strings.Repeat("i", int(tokens.Add(1))), "token_type": "bearer", "expires_in": 1e9,
			})
			return
		}
		given, ok := strings.CutPrefix(a.Header.Get("Authorization"), "Bearer tokentoken")
		if !ok || int64(len(given)) <= accepted.Load() {
			http.Error(w, echo(a), http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"scalar","result":[1,"` + "4" + `"]}}`))
	})
}

func TestOAuth2(t *testing.T) {
	t.Parallel()
	var tokens, accepted atomic.Int64
	address := oauth(t, &tokens, &accepted)
	ask := provided(rolloutsv1beta1.MetricProvider{Prometheus: &rolloutsv1beta1.PrometheusMetric{
		Address: address, Query: "4", Authentication: rolloutsv1beta1.Authentication{OAuth2: &rolloutsv1beta1.OAuth2{
			TokenURL: address + "/token", ClientID: "me", ClientSecret: "{{args.plant}}", Scopes: []string{"a", "b"},
		}},
	}})
	c := clients(nil)
	measure := func() {
		t.Helper()
		if got, err := c.Measure(t.Context(), ask); err != nil || got != 4.0 {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	measure()
	measure()
	if tokens.Load() != 1 {
		t.Errorf("%d tokens were asked for", tokens.Load())
	}
	accepted.Store(1) // the first token is revoked
	_, err := c.Measure(t.Context(), ask)
	fails(t, err, Error{Class: ClassStatus, Code: 401})
	measure()

	wrong := provided(*ask.Provider.DeepCopy())
	wrong.Provider.Prometheus.Authentication.OAuth2.ClientID = "you"
	_, err = c.Measure(t.Context(), wrong)
	fails(t, err, Error{Class: ClassStatus, Code: 401})

	forbidden := provided(*ask.Provider.DeepCopy())
	forbidden.Provider.Prometheus.Authentication.OAuth2.TokenURL = "http://169.254.169.254/token"
	_, err = c.Measure(t.Context(), forbidden)
	fails(t, err, Error{Class: ClassForbiddenAddress})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "x": 0, "99999999999999999": time.Hour, "99999999999999999999999": 0,
		noon.Add(time.Minute).Format(http.TimeFormat): time.Minute, noon.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, noon); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
