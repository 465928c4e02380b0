// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
)

// hidden stands for what is not shown.
const hidden = "***"

// conceal adds a value that nobody is to see, as it is and as it is written in requests; and, as one that is part of an address is not
// escaped, what a server reads of it there.
func (q *question) conceal(values ...string) {
	for _, value := range values {
		q.secrets = append(q.secrets, spellings(value)...)
		if read, err := url.QueryUnescape(value); err == nil && read != value {
			q.secrets = append(q.secrets, spellings(read)...)
		}
	}
	// The longest first: a value may be part of another one.
	slices.SortFunc(q.secrets, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	q.secrets = slices.Compact(q.secrets)
}

// spellings returns how a value is written in headers, addresses, JSON and base64.
func spellings(value string) []string {
	if value == "" {
		return nil
	}
	list := []string{value}
	for _, escaped := range []string{url.QueryEscape(value), url.PathEscape(value), (&url.URL{Path: value}).EscapedPath()} {
		list = append(list, escaped, strings.ToLower(escaped)) // digits of percent signs are of either case
	}
	var quoted strings.Builder
	for _, html := range []bool{false, true} {
		quoted.Reset()
		encoder := json.NewEncoder(&quoted)
		encoder.SetEscapeHTML(html)
		_ = encoder.Encode(value) // a string is always JSON
		text := strings.TrimSuffix(quoted.String(), "\n")
		list = append(list, text[1:len(text)-1])
	}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		list = append(list, e.EncodeToString([]byte(value)))
	}
	return list
}

// text returns a text without what is hidden.
func (q *question) text(text string) string {
	for _, secret := range q.secrets {
		text = strings.ReplaceAll(text, secret, hidden)
	}
	return text
}

// redacted returns an error without what is hidden. A host is hidden where a Secret has it in its value, as the whole address then is
// one.
func (q *question) redacted(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		// No error of a library goes out as it is.
		return &Error{Class: ClassAnswer}
	}
	shown := *e
	shown.Host, shown.Message = q.text(e.Host), q.text(e.Message)
	if e.Host != "" && slices.ContainsFunc(q.secrets, func(secret string) bool { return strings.Contains(secret, e.Host) }) {
		shown.Host = hidden
	}
	return &shown
}

// hide returns a result without what is hidden: a server may say what it was sent, and results are shown in the status.
func (q *question) hide(result any) any {
	if len(q.secrets) == 0 {
		return result
	}
	return mapped(result, q.text, q.text)
}
