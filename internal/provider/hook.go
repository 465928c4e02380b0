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
	answer.Message = shown(q.line(answer.Message))
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
		raw := key
		if key = strings.TrimSpace(key); key == "" { // a newline at the end is how files end
			return call{}, lacking(fmt.Sprintf("the key %s of the Secret %s/%s is empty", hook.Secret.Key, hook.Secret.Namespace, hook.Secret.Name))
		}
		signature := signed(key, c.options.Now().Unix(), hook.Body)
		_, code, _ := strings.Cut(signature, ",")
		digits := strings.TrimPrefix(code, "v1=")
		q.conceal(raw, key, signature, code, digits, strings.ToUpper(digits))
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

// said is what a webhook says in JSON.
type said struct {
	allowed, wait *bool // nil: nothing
	message       string
}

// read returns what an answer says. One that is meant to be JSON, and cannot be read, is none: it may say that it refuses.
func read(response *http.Response, body []byte) (HookAnswer, error) {
	said, unread := understood(response.Header, body)
	switch refused := response.StatusCode/100 == 4; {
	case refused:
		return HookAnswer{Refused: true, Message: said.message}, nil
	case unread != nil:
		return HookAnswer{}, unreadable(response.Request.URL.Host, unread.Error())
	case said.wait != nil && *said.wait:
		return HookAnswer{NotYet: true, Message: said.message}, nil
	case said.allowed != nil && !*said.allowed:
		return HookAnswer{Refused: true, Message: said.message}, nil
	default:
		return HookAnswer{NotYet: response.StatusCode == http.StatusAccepted, Message: said.message}, nil
	}
}

// errNoAnswer is of JSON that may say anything.
var errNoAnswer = errors.New("the answer is no JSON object with allowed, wait and message")

// understood returns what a body says: nothing, unless it is JSON.
func understood(header http.Header, body []byte) (said, error) {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil && kind == "" { // what precedes its parameters still counts
		kind, _, _ = strings.Cut(header.Get("Content-Type"), ";")
		kind = strings.ToLower(strings.TrimSpace(kind))
	}
	body = bytes.TrimFunc(body, func(r rune) bool { return unicode.IsSpace(r) || r == '\uFEFF' }) // a byte order mark
	switch {
	case len(body) == 0:
		return said{}, nil
	case encoded(header):
		return said{}, errors.New("the answer has a Content-Encoding that was not asked for")
	case bytes.IndexByte(body, 0) >= 0:
		return said{}, errors.New("the answer is no text in UTF-8")
	case strings.HasSuffix(kind, "/json") || strings.HasSuffix(kind, "+json") || body[0] == '{' || body[0] == '[':
		return object(body)
	}
	return said{}, nil
}

// encoded reports whether a body is compressed still.
func encoded(header http.Header) bool {
	for _, value := range header.Values("Content-Encoding") {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name != "" && !strings.EqualFold(name, "identity") {
				return true
			}
		}
	}
	return false
}

// object reads a JSON object. A field that is there twice, in whatever case, may mean either; so it means nothing.
func object(body []byte) (said, error) {
	fields, err := fieldsOf(body)
	if err != nil {
		return said{}, err
	}
	var result said
	if raw, ok := fields["message"]; ok && json.Unmarshal(raw, &result.message) != nil {
		return said{}, errNoAnswer
	}
	for name, value := range map[string]**bool{"allowed": &result.allowed, "wait": &result.wait} {
		raw, ok := fields[name]
		if !ok {
			continue
		}
		if json.Unmarshal(raw, value) != nil || *value == nil { // null is neither
			return said{}, errNoAnswer
		}
	}
	return result, nil
}

// fieldsOf returns the fields of an object that are known, by their names in lower case.
func fieldsOf(body []byte) (map[string]json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errNoAnswer
	}
	fields := map[string]json.RawMessage{}
	for decoder.More() {
		name, err := decoder.Token()
		text, _ := name.(string)
		var value json.RawMessage
		if err != nil || decoder.Decode(&value) != nil {
			return nil, errNoAnswer
		}
		for _, known := range []string{"allowed", "wait", "message"} {
			if !strings.EqualFold(text, known) {
				continue
			}
			if fields[known] != nil {
				return nil, errNoAnswer
			}
			fields[known] = value
		}
	}
	if _, err := decoder.Token(); err != nil { // the end of the object
		return nil, errNoAnswer
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errNoAnswer
	}
	return fields, nil
}

// shown is as much of a line as is shown.
func shown(text string) string {
	if letters := []rune(text); len(letters) > mostOfMessage {
		return string(letters[:mostOfMessage-1]) + "…"
	}
	return text
}

// line makes one line of a text of somebody else.
func line(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return strings.Join(strings.Fields(text), " ")
}
