// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"html"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
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

// named escapes what html.EscapeString does, by the names and numbers that others write.
var named = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#x27;")

// spellings returns how a value is written in headers, addresses, JSON, HTML, base64 and hexadecimal.
func spellings(value string) []string {
	if value == "" {
		return nil
	}
	list := []string{value}
	for _, escaped := range []string{url.QueryEscape(value), url.PathEscape(value), (&url.URL{Path: value}).EscapedPath()} {
		list = append(list, escaped, strings.ToLower(escaped)) // digits of percent signs are of either case
	}
	list = append(list, html.EscapeString(value), named.Replace(value))
	digits := hex.EncodeToString([]byte(value))
	list = append(list, digits, strings.ToUpper(digits))
	var quoted strings.Builder
	for _, escaped := range []bool{false, true} {
		quoted.Reset()
		encoder := json.NewEncoder(&quoted)
		encoder.SetEscapeHTML(escaped)
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

// line makes one line of a text of somebody else, without what is hidden: neither as it was written nor as it reads then, without what
// nobody sees, with other blanks, or where a page shows it.
func (q *question) line(text string) string {
	text = q.dense(line(q.text(text)))
	read := line(html.UnescapeString(text))
	if shown := q.dense(q.text(read)); shown != read {
		return shown
	}
	return text
}

// dense returns a text without what is hidden, whatever blanks and marks are between its characters.
func (q *question) dense(text string) string {
	for _, secret := range q.secrets {
		value, _ := seen(secret)
		if value == "" {
			continue
		}
		var rest strings.Builder
		all, at := seen(text)
		from, end := 0, 0
		for i := strings.Index(all, value); i >= 0; i = strings.Index(all[from:], value) {
			first := from + i
			from = first + len(value)
			rest.WriteString(text[end:at[first]] + hidden)
			end = at[from-1] + 1
		}
		text = rest.String() + text[end:]
	}
	return text
}

// seen returns the characters of a text that take up room, and where each byte of them is in it.
func seen(text string) (string, []int) {
	var all strings.Builder
	var at []int
	for i, r := range text {
		if !unicode.IsPrint(r) || r == ' ' || unicode.In(r, unicode.M, unicode.Other_Default_Ignorable_Code_Point) {
			continue
		}
		for k := range utf8.RuneLen(r) {
			at = append(at, i+k)
		}
		all.WriteRune(r)
	}
	return all.String(), at
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
