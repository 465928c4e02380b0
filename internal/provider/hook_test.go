// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

func hookAt(address string) Hook {
	return Hook{URL: address, Namespace: "shop", Timeout: time.Second, ID: "uid-v2-1-check-Before", Body: []byte(`{"step":1}`)}
}

// says answers with a status and a body of JSON.
func says(code int, body string) func(http.ResponseWriter, asked) {
	return func(w http.ResponseWriter, _ asked) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// typed answers with a body of a type.
func typed(kind, body string) func(http.ResponseWriter, asked) {
	return func(w http.ResponseWriter, _ asked) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, body)
	}
}

// compressed answers with a body in an encoding.
func compressed(encoding, body string) func(http.ResponseWriter, asked) {
	return func(w http.ResponseWriter, a asked) {
		w.Header().Set("Content-Encoding", encoding)
		typed("text/plain", body)(w, a)
	}
}

// TestHookAnswers: what a webhook says by its status and its body.
func TestHookAnswers(t *testing.T) {
	t.Parallel()
	plain := func(code int, body string) func(http.ResponseWriter, asked) {
		return func(w http.ResponseWriter, _ asked) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	long := strings.Repeat("ü", 500)
	for name, c := range map[string]struct {
		serve func(http.ResponseWriter, asked)
		want  HookAnswer
		fails Error // of class "": it does not
	}{
		"200":                      {plain(200, ""), HookAnswer{}, Error{}},
		"204":                      {func(w http.ResponseWriter, _ asked) { w.WriteHeader(204) }, HookAnswer{}, Error{}},
		"200 with a text":          {plain(200, "fine\nwith me"), HookAnswer{}, Error{}},
		"200 that allows":          {says(200, `{"allowed":true,"message":"go on"}`), HookAnswer{Message: "go on"}, Error{}},
		"200 that says nothing":    {says(200, `{}`), HookAnswer{}, Error{}},
		"200 with other fields":    {says(200, `{"ok":false,"token":"abc"}`), HookAnswer{}, Error{}},
		"200 that refuses":         {says(200, `{"allowed":false,"message":"not on Fridays"}`), HookAnswer{Refused: true, Message: "not on Fridays"}, Error{}},
		"200 that waits":           {says(200, `{"wait":true,"message":"3 of 5"}`), HookAnswer{NotYet: true, Message: "3 of 5"}, Error{}},
		"200 that waits by a text": {plain(200, `{"wait":true}`), HookAnswer{NotYet: true}, Error{}},
		"200 that does both":       {says(200, `{"wait":true,"allowed":false}`), HookAnswer{NotYet: true}, Error{}},
		"201 that refuses":         {says(201, `{"allowed":false}`), HookAnswer{Refused: true}, Error{}},
		"202":                      {plain(202, ""), HookAnswer{NotYet: true}, Error{}},
		"202 that refuses":         {says(202, `{"allowed":false}`), HookAnswer{Refused: true}, Error{}},
		"202 with Retry-After":     {func(w http.ResponseWriter, _ asked) { w.Header().Set("Retry-After", "7"); w.WriteHeader(202) }, HookAnswer{NotYet: true, RetryAfter: 7 * time.Second}, Error{}},
		"400":                      {plain(400, "secret things"), HookAnswer{Refused: true}, Error{}},
		"403 with a message":       {says(403, `{"message":"not on\nFridays\u0007","token":"abc"}`), HookAnswer{Refused: true, Message: "not on Fridays"}, Error{}},
		"404 that allows":          {says(404, `{"allowed":true}`), HookAnswer{Refused: true}, Error{}},
		"409 with garbage":         {says(409, `{"message":`), HookAnswer{Refused: true}, Error{}},
		"a long message":           {says(200, `{"message":"`+long+`"}`), HookAnswer{Message: long[:2*159] + "…"}, Error{}},
		"garbage":                  {says(200, `{"allowed": fal`), HookAnswer{}, Error{Class: ClassAnswer}},
		"garbage in a text":        {plain(200, ` {"allowed":fal`), HookAnswer{}, Error{Class: ClassAnswer}},
		"allowed that is a text":   {says(200, `{"allowed":"false"}`), HookAnswer{}, Error{Class: ClassAnswer}},
		"JSON that is no object":   {says(200, `false`), HookAnswer{}, Error{Class: ClassAnswer}},
		"a list":                   {says(200, `[]`), HookAnswer{}, Error{Class: ClassAnswer}},
		"allowed that is null":     {says(200, `{"allowed":null}`), HookAnswer{}, Error{Class: ClassAnswer}},
		"wait that is null":        {says(200, `{"wait":null}`), HookAnswer{}, Error{Class: ClassAnswer}},
		"wait that is a number":    {says(200, `{"wait":1}`), HookAnswer{}, Error{Class: ClassAnswer}},
		"a message that is none":   {says(200, `{"message":{"a":1}}`), HookAnswer{}, Error{Class: ClassAnswer}},
		"allowed twice":            {says(200, `{"allowed":false,"allowed":null}`), HookAnswer{}, Error{Class: ClassAnswer}},
		"allowed in two cases":     {says(200, `{"allowed":false,"ALLOWED":true}`), HookAnswer{}, Error{Class: ClassAnswer}},
		"allowed in another case":  {says(200, `{"Allowed":false}`), HookAnswer{Refused: true}, Error{}},
		"others twice":             {says(200, `{"a":1,"a":{"allowed":false},"allowed":true}`), HookAnswer{}, Error{}},
		"two objects":              {says(200, `{"allowed":true}{"allowed":false}`), HookAnswer{}, Error{Class: ClassAnswer}},
		"a mark, and refuses":      {plain(200, "\uFEFF"+`{"allowed":false,"message":"no"}`), HookAnswer{Refused: true, Message: "no"}, Error{}},
		"a mark between blanks":    {plain(200, " \n\uFEFF\t"+`{"allowed":false}`), HookAnswer{Refused: true}, Error{}},
		"a mark in JSON":           {says(200, "\uFEFF"+`{"allowed":false}`), HookAnswer{Refused: true}, Error{}},
		"a mark alone":             {says(200, "\uFEFF"), HookAnswer{}, Error{}},
		"text/json":                {typed("text/json", `{"allowed":false}`), HookAnswer{Refused: true}, Error{}},
		"text/json that is none":   {typed("text/json", `false`), HookAnswer{}, Error{Class: ClassAnswer}},
		"a type that is broken":    {typed("application/json; =", `false`), HookAnswer{}, Error{Class: ClassAnswer}},
		"problem+json":             {typed("application/problem+json", `false`), HookAnswer{}, Error{Class: ClassAnswer}},
		"a list in a text":         {plain(200, `[{"allowed":false}]`), HookAnswer{}, Error{Class: ClassAnswer}},
		"a NUL before":             {plain(200, "\x00"+`{"allowed":false}`), HookAnswer{}, Error{Class: ClassAnswer}},
		"UTF-16":                   {plain(200, "\xFF\xFE{\x00\"\x00a\x00"), HookAnswer{}, Error{Class: ClassAnswer}},
		"compressed by br":         {compressed("br", "\x0b\x02\x80"), HookAnswer{}, Error{Class: ClassAnswer}},
		"compressed by x-gzip":     {compressed("x-gzip", "\x1f\x8b\x08"), HookAnswer{}, Error{Class: ClassAnswer}},
		"not compressed":           {compressed("identity", `{"allowed":false}`), HookAnswer{Refused: true}, Error{}},
		"500":                      {says(500, `{"allowed":true,"message":"x"}`), HookAnswer{}, Error{Class: ClassStatus, Code: 500}},
		"429":                      {func(w http.ResponseWriter, _ asked) { w.Header().Set("Retry-After", "9"); w.WriteHeader(429) }, HookAnswer{}, Error{Class: ClassStatus, Code: 429, RetryAfter: 9 * time.Second}},
		"503 with Retry-After":     {func(w http.ResponseWriter, _ asked) { w.Header().Set("Retry-After", "9"); w.WriteHeader(503) }, HookAnswer{}, Error{Class: ClassStatus, Code: 503, RetryAfter: 9 * time.Second}},
		"304":                      {func(w http.ResponseWriter, _ asked) { w.WriteHeader(304) }, HookAnswer{}, Error{Class: ClassStatus, Code: 304}},
		"huge":                     {plain(200, strings.Repeat("x", mostBytes+10)), HookAnswer{}, Error{Class: ClassTooLarge}},
		"huge, and refuses":        {plain(403, strings.Repeat("x", mostBytes+10)), HookAnswer{}, Error{Class: ClassTooLarge}},
		"redirect to the metadata": {func(w http.ResponseWriter, a asked) {
			http.Redirect(w, a.Request, "http://169.254.169.254/latest/", http.StatusTemporaryRedirect)
		}, HookAnswer{}, Error{Class: ClassStatus, Code: 307}},
		"redirect to a login page": {func(w http.ResponseWriter, a asked) { loginPage(w, a) }, HookAnswer{}, Error{Class: ClassStatus, Code: 302}},
		"closed at once":           {func(w http.ResponseWriter, _ asked) { hijacked(w, "") }, HookAnswer{}, Error{Class: ClassRefused}},
		"no HTTP":                  {func(w http.ResponseWriter, _ asked) { hijacked(w, "what?") }, HookAnswer{}, Error{Class: ClassAnswer}},
		"slow":                     {func(_ http.ResponseWriter, a asked) { <-a.Context().Done() }, HookAnswer{}, Error{Class: ClassTimeout}},
		"slow body": {func(w http.ResponseWriter, a asked) {
			_, _ = io.WriteString(w, "{")
			w.(http.Flusher).Flush()
			<-a.Context().Done()
		}, HookAnswer{}, Error{Class: ClassTimeout}},
		"a refusal that is cut off": {func(w http.ResponseWriter, _ asked) { hijacked(w, "HTTP/1.1 403 x\r\nContent-Length: 100000\r\n\r\n{") }, HookAnswer{}, Error{Class: ClassAnswer}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hook := hookAt(serve(t, c.serve))
			if c.fails.Class == ClassTimeout {
				hook.Timeout = 200 * time.Millisecond
			}
			got, err := clients(nil).Call(t.Context(), hook)
			if c.fails.Class != "" {
				fails(t, err, c.fails)
			} else if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// loginPage redirects to a page that answers a GET by 200.
func loginPage(w http.ResponseWriter, a asked) {
	if a.Method == http.MethodPost {
		http.Redirect(w, a.Request, "/login", http.StatusFound)
	}
}

// TestHookCall: what a webhook is sent, and that the signature is over that.
func TestHookCall(t *testing.T) {
	t.Parallel()
	wrong := ""
	address := serve(t, func(_ http.ResponseWriter, a asked) {
		mac := hmac.New(sha256.New, []byte(planted))
		_, _ = io.WriteString(mac, fmt.Sprint(noon.Unix())+"."+a.body)
		want := http.Header{
			"Content-Type": {"application/json"}, "Idempotency-Key": {"uid-v2-1-check-Before"}, "X-Team": {"shop"}, "User-Agent": {"kruise-rollout"},
			"Rollouts-Signature": {fmt.Sprintf("t=%d,v1=%s", noon.Unix(), hex.EncodeToString(mac.Sum(nil)))},
		}
		for name, values := range want {
			if strings.Join(a.Header[name], "|") != strings.Join(values, "|") {
				wrong += fmt.Sprintf("%s is %v, want %v; ", name, a.Header[name], values)
			}
		}
		if a.Method != http.MethodPost || a.body != `{"step":1}` {
			wrong += a.Method + " " + a.body
		}
	})
	hook := hookAt(address)
	hook.Headers = []rolloutsv1beta1.MetricHeader{{Key: "x-team", Value: "shop"}, {Key: "rollouts-signature", Value: "forged"}, {Key: "idempotency-key", Value: "forged"}}
	hook.Secret = &Secret{"shop", "plants", "plant"}
	if answer, err := clients(nil).Call(t.Context(), hook); err != nil || answer != (HookAnswer{}) || wrong != "" {
		t.Errorf("%+v %v %s", answer, err, wrong)
	}
	hook.Secret = nil
	unsigned := serve(t, func(w http.ResponseWriter, a asked) {
		if a.Header.Get(signatureHeader) != "" {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	hook.URL = unsigned
	if answer, err := clients(nil).Call(t.Context(), hook); err != nil || answer.Refused {
		t.Errorf("without a key: %+v %v", answer, err)
	}
}

// TestHookFails: what keeps a webhook from being called at all, and from being called where it must not be.
func TestHookFails(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	address := serve(t, func(http.ResponseWriter, asked) { reached.Store(true) })
	signedBy := func(namespace, name, key string) func(*Hook) {
		return func(h *Hook) { h.Secret = &Secret{namespace, name, key} }
	}
	for name, c := range map[string]struct {
		change func(*Hook)
		want   Class
	}{
		"a Secret of another namespace": {signedBy("manager", "cloudwatch", "plant"), ClassSecret},
		"a Secret that is not there":    {signedBy("shop", "none", "plant"), ClassSecret},
		"a key that is not there":       {signedBy("shop", "plants", "none"), ClassSecret},
		"a scheme that is none":         {func(h *Hook) { h.URL = "file:///etc/passwd" }, ClassConfig},
		"a header that is none":         {func(h *Hook) { h.Headers = []rolloutsv1beta1.MetricHeader{{Key: "a b"}} }, ClassConfig},
		"the header Host":               {func(h *Hook) { h.Headers = []rolloutsv1beta1.MetricHeader{{Key: "Host", Value: "x"}} }, ClassConfig},
		"an address of the clouds":      {func(h *Hook) { h.URL = "http://169.254.169.254/" }, ClassForbiddenAddress},
		"the same by a number":          {func(h *Hook) { h.URL = "http://2852039166/" }, ClassForbiddenAddress},
	} {
		hook := hookAt(address)
		c.change(&hook)
		_, err := clients(nil).Call(t.Context(), hook)
		t.Log(name, err)
		fails(t, err, Error{Class: c.want})
	}
	_, err := clients(nil, func(o *Options) { o.Allow = nil }).Call(t.Context(), hookAt(address))
	fails(t, err, Error{Class: ClassForbiddenAddress})
	_, err = clients(nil, func(o *Options) {
		o.SecretReader = func(context.Context, string, string) (map[string][]byte, error) {
			return map[string][]byte{"plant": {}}, nil
		}
	}).Call(t.Context(), func() Hook { h := hookAt(address); signedBy("shop", "plants", "plant")(&h); return h }())
	fails(t, err, Error{Class: ClassSecret})
	if reached.Load() {
		t.Error("a call was made")
	}
}

// TestHookShowsNoSecrets: a webhook may send back all that it was sent. Neither the key nor the signature is shown, and of the body
// nothing but the message.
func TestHookShowsNoSecrets(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var body string
	var code int
	address := serve(t, func(w http.ResponseWriter, a asked) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, strings.ReplaceAll(body, "SIGNATURE", a.Header.Get(signatureHeader)))
	})
	c := clients(nil)
	rapid.Check(t, func(t *rapid.T) {
		code = rapid.SampledFrom([]int{200, 202, 403, 500}).Draw(t, "code")
		quoted := strings.NewReplacer(`"`, `\"`).Replace(planted)
		body = rapid.SampledFrom([]string{`{"message":"X` + quoted + ` SIGNATURE"}`, `{"other":"` + quoted + ` SIGNATURE"}`, quoted + " SIGNATURE", `{"message":"` + quoted}).Draw(t, "body")
		hook := hookAt(address)
		hook.Secret = &Secret{"shop", "plants", "plant"}
		answer, err := c.Call(ctx, hook)
		for _, text := range []string{answer.Message, fmt.Sprint(err)} {
			if strings.Contains(text, "pl4nted") || strings.Contains(text, "v1=") || len([]rune(answer.Message)) > mostOfMessage {
				t.Fatal(text)
			}
		}
	})
}

// TestHookKeyInDisguise: neither the key nor the signature is shown in another spelling; the key ends where its text does.
func TestHookKeyInDisguise(t *testing.T) {
	t.Parallel()
	const key = `s3cret <k&y>+"x"`
	code := ""
	disguises := map[string]func() string{
		"the key":           func() string { return key },
		"the file":          func() string { return key + "\n" },
		"hex":               func() string { return hex.EncodeToString([]byte(key)) },
		"upper-case hex":    func() string { return fmt.Sprintf("%X", key) },
		"HTML":              func() string { return html.EscapeString(key) },
		"HTML by names":     func() string { return "s3cret &lt;k&amp;y&gt;+&quot;x&quot;" },
		"HTML by numbers":   func() string { return "&#115;3cret &#60;k&#38;y&gt;&#43;&#x22;x&#x22;" },
		"zero-width":        func() string { return strings.Join(strings.Split(key, ""), "\u200b") },
		"zero-width hex":    func() string { return strings.Join(strings.Split(hex.EncodeToString([]byte(key)), ""), "\u2060") },
		"soft hyphens":      func() string { return strings.Join(strings.Split(key, ""), "\u00ad") },
		"joiners":           func() string { return strings.Join(strings.Split(key, ""), "\u034f") },
		"fillers":           func() string { return strings.Join(strings.Split(key, ""), "\u3164") },
		"controls":          func() string { return strings.Join(strings.Split(key, ""), "\x01") },
		"no blanks":         func() string { return strings.ReplaceAll(key, " ", "") },
		"other blanks":      func() string { return strings.ReplaceAll(key, " ", " \n\t ") },
		"the digits":        func() string { return strings.TrimPrefix(code, "v1=") },
		"upper-case digits": func() string { return strings.ToUpper(strings.TrimPrefix(code, "v1=")) },
		"v1":                func() string { return code },
	}
	for name, disguise := range disguises {
		address := serve(t, func(w http.ResponseWriter, a asked) {
			_, code, _ = strings.Cut(a.Header.Get(signatureHeader), ",")
			body, _ := json.Marshal(map[string]any{"message": "it is " + disguise() + " then"})
			says(403, string(body))(w, a)
		})
		c := clients(nil, func(o *Options) {
			o.SecretReader = func(context.Context, string, string) (map[string][]byte, error) {
				return map[string][]byte{"hmac": []byte("\n" + key + "\r\n")}, nil
			}
		})
		hook := hookAt(address)
		hook.Secret = &Secret{"shop", "gate", "hmac"}
		answer, err := c.Call(t.Context(), hook)
		if err != nil || answer.Message != "it is *** then" && answer.Message != "it is ***then" {
			t.Errorf("%s: %q %v", name, answer.Message, err)
		}
		if want := signed(key, noon.Unix(), hook.Body); !strings.HasSuffix(want, code) {
			t.Errorf("it is signed by another key: %s", code)
		}
	}
}

// TestSignatureOfTheDocumentation: docs/gates.md has an example to check one's own code against.
func TestSignatureOfTheDocumentation(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/gates.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := signatureHeader + ": " + signed("secret", 1764331200, []byte(`{"step":1}`)); !strings.Contains(string(page), want) {
		t.Errorf("it does not have %s", want)
	}
}
