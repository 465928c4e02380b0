// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Hook is one call of a webhook: a POST.
type Hook struct {
	URL     string
	Headers []rolloutsv1beta1.MetricHeader
	// Namespace is whose webhook it is: its Secret is of the same.
	Namespace string
	// Secret is the key that the call is signed with; nil: it is not signed.
	Secret  *Secret
	Timeout time.Duration
	// ID is the same for calls that are repeated: the header Idempotency-Key.
	ID   string
	Body []byte
}

// HookAnswer is what a webhook says. The zero value allows what was asked about.
type HookAnswer struct {
	Refused, NotYet bool
	// Message is what it says of it: one line of at most 160 characters, without Secrets. Empty: nothing.
	Message string
	// RetryAfter is for how long it does not want to be asked, an hour at most. 0: it did not say.
	RetryAfter time.Duration
}

const (
	// signatureHeader is the signature of a call: t=<unix seconds>,v1=<HMAC-SHA256 in hexadecimal of the seconds, a dot and the body>.
	signatureHeader = "Rollouts-Signature"
	// mostOfMessage is how much of a webhook's message is shown, in characters.
	mostOfMessage = 160
)

// Call calls a webhook. A 2xx allows, unless its JSON says otherwise; 202 and "wait" are "not yet"; a 4xx other than 429 refuses. All
// else is no answer, and an *Error. Of what it says, only the field message is shown. Redirects are not followed: a POST becomes a GET
// by most of them, and the page that they lead to would allow.
func (c *Clients) Call(ctx context.Context, hook Hook) (answer HookAnswer, err error) {
	q := &question{namespace: hook.Namespace}
	defer func() {
		if answer, err = recovered(recover(), answer, err); err != nil {
			answer, err = HookAnswer{}, ended(ctx, q.redacted(err))
		}
	}()
	request, err := c.hookCall(ctx, q, hook)
	if err != nil {
		return answer, err
	}
	response, body, err := c.posted(ctx, q, request)
	if err != nil {
		return answer, err
	}
	if answer, err = read(response, body); err != nil {
		return answer, err
	}
	answer.Message = shown(q.text(answer.Message))
	answer.RetryAfter = retryAfter(response.Header, c.options.Now())
	return answer, nil
}

// hookCall is the call with its headers, signed.
func (c *Clients) hookCall(ctx context.Context, q *question, hook Hook) (call, error) {
	header, err := headers(hook.Headers)
	if err != nil {
		return call{}, err
	}
	header.Set("Content-Type", "application/json")
	header.Set("Idempotency-Key", hook.ID)
	header.Del(signatureHeader)
	if hook.Secret != nil {
		key, err := c.argument(ctx, Ask{Namespace: hook.Namespace}, *hook.Secret)
		if err != nil {
			return call{}, err
		}
		if key == "" {
			return call{}, lacking(fmt.Sprintf("the key %s of the Secret %s/%s is empty", hook.Secret.Key, hook.Secret.Namespace, hook.Secret.Name))
		}
		signature := signed(key, c.options.Now().Unix(), hook.Body)
		q.conceal(key, signature)
		header.Set(signatureHeader, signature)
	}
	return call{method: http.MethodPost, url: hook.URL, header: header, body: hook.Body, timeout: hook.Timeout, refusals: true}, nil
}

// signed returns the value of the header of a signature.
func signed(key string, seconds int64, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = fmt.Fprintf(mac, "%d.", seconds)
	_, _ = mac.Write(body)
	return fmt.Sprintf("t=%d,v1=%s", seconds, hex.EncodeToString(mac.Sum(nil)))
}

// posted makes a call, and returns its answer and what that has in it.
func (c *Clients) posted(ctx context.Context, q *question, call call) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, call.timeout)
	defer cancel()
	address, err := parsed(call.url)
	if err != nil {
		return nil, nil, err
	}
	client, err := c.client(ctx, q, call)
	if err != nil {
		return nil, nil, err
	}
	client.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		return &Error{Class: ClassStatus, Code: r.Response.StatusCode, Host: address.Host, Message: "it redirects, which is not followed"}
	}
	request, err := http.NewRequestWithContext(ctx, call.method, address.String(), bytes.NewReader(call.body))
	if err != nil {
		return nil, nil, misconfigured("the request cannot be made of the address")
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, classified(err, address.Host)
	}
	defer func() { _ = response.Body.Close() }() // it was read already
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, nil, classified(err, address.Host)
	}
	return response, body, nil
}

// read returns what an answer says. One that is meant to be JSON, and cannot be read, is none: it may say that it refuses.
func read(response *http.Response, body []byte) (HookAnswer, error) {
	said := struct {
		Allowed *bool  `json:"allowed"`
		Wait    bool   `json:"wait"`
		Message string `json:"message"`
	}{}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	body = bytes.TrimSpace(body)
	isJSON := len(body) > 0 && (kind == "application/json" || strings.HasSuffix(kind, "+json") || body[0] == '{')
	var unread error
	if isJSON {
		if unread = json.Unmarshal(body, &said); unread == nil && body[0] != '{' {
			unread = errors.New("no object")
		}
	}
	switch refused := response.StatusCode/100 == 4; {
	case refused:
		return HookAnswer{Refused: true, Message: said.Message}, nil
	case unread != nil:
		return HookAnswer{}, unreadable(response.Request.URL.Host, "the answer is no JSON object with allowed, wait and message")
	case said.Wait:
		return HookAnswer{NotYet: true, Message: said.Message}, nil
	case said.Allowed != nil && !*said.Allowed:
		return HookAnswer{Refused: true, Message: said.Message}, nil
	default:
		return HookAnswer{NotYet: response.StatusCode == http.StatusAccepted, Message: said.Message}, nil
	}
}

// shown makes one short line of a text of somebody else.
func shown(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "\uFFFD"))
	text = strings.Join(strings.Fields(text), " ")
	if letters := []rune(text); len(letters) > mostOfMessage {
		text = string(letters[:mostOfMessage-1]) + "…"
	}
	return text
}
