// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Class is what kind of failure an Error is.
type Class string

// The classes of errors.
const (
	// ClassRefused is a connection that was not accepted, or broke before there was an answer.
	ClassRefused Class = "refused"
	// ClassTimeout is an answer that did not come in time, or that nobody waits for any more.
	ClassTimeout Class = "timeout"
	// ClassDNS is a host that was not found.
	ClassDNS Class = "dns"
	// ClassTLS is a certificate that is not accepted, or a server that does not speak TLS.
	ClassTLS Class = "tls"
	// ClassStatus is an answer whose status is not 2xx; Code is its status.
	ClassStatus Class = "status"
	// ClassAnswer is an answer that cannot be read, broke off, or says itself that it is an error.
	ClassAnswer Class = "answer"
	// ClassTooLarge is an answer of more than 1 MiB, or of more pages than are read.
	ClassTooLarge Class = "tooLarge"
	// ClassForbiddenAddress is an address that the network policy refuses.
	ClassForbiddenAddress Class = "forbiddenAddress"
	// ClassSecret is a Secret, or a key of it, that lacks or may not be read.
	ClassSecret Class = "secret"
	// ClassConfig is a provider whose fields cannot be asked for.
	ClassConfig Class = "config"
)

// Error is why there is no result. Its text has neither the answer's body, which would make the manager an oracle for what only it
// can reach, nor a Secret; for both it wraps no error of a library, whose texts quote addresses and answers.
type Error struct {
	Class Class
	// Host that was asked, with its port if one was named. Empty: none was asked.
	Host string
	// Code is the status of an answer. 0: there was none.
	Code int
	// RetryAfter is for how long the provider does not want to be asked, an hour at most. 0: it did not say.
	RetryAfter time.Duration
	// Message says more. Empty: there is no more to say.
	Message string

	// over is the error of the context that ended the question.
	over error
}

// Error returns the text of the error.
func (e *Error) Error() string {
	text := string(e.Class)
	if e.Code != 0 {
		text += " " + strconv.Itoa(e.Code)
	}
	if e.Host != "" {
		text += " from " + e.Host
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// Unwrap returns the context's error where the caller's context ended the question.
func (e *Error) Unwrap() error { return e.over }

func misconfigured(message string) *Error { return &Error{Class: ClassConfig, Message: message} }

func unreadable(host, message string) *Error {
	return &Error{Class: ClassAnswer, Host: host, Message: message}
}

// ended marks an error that came because the caller does not wait any more, which says nothing about the provider.
func ended(ctx context.Context, err error) error {
	e, ok := errors.AsType[*Error](err)
	if ctx.Err() == nil || !ok {
		return err
	}
	over := *e
	over.over = ctx.Err()
	return &over
}

// classified returns an error of the network as an Error.
func classified(err error, host string) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		e := *known
		e.Host = cmp.Or(e.Host, host)
		return &e
	}
	return &Error{Class: class(err), Host: host}
}

func class(err error) Class {
	var (
		dns     *net.DNSError
		timeout net.Error
		op      *net.OpError
		errno   syscall.Errno
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return ClassTimeout
	case errors.As(err, &dns):
		return ClassDNS
	case errors.As(err, &timeout) && timeout.Timeout():
		return ClassTimeout
	case aboutTLS(err):
		return ClassTLS
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.As(err, &op), errors.As(err, &errno):
		return ClassRefused
	}
	return ClassAnswer
}

func aboutTLS(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		record       tls.RecordHeaderError
		alert        tls.AlertError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
	)
	return errors.As(err, &verification) || errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &authority) ||
		errors.As(err, &hostname) || errors.As(err, &invalid) || errors.Is(err, http.ErrSchemeMismatch)
}

// retryAfter reads the header of that name: seconds or a date (RFC 9110, 10.2.3).
func retryAfter(header http.Header, now time.Time) time.Duration {
	const most = time.Hour // an answer is not trusted to silence a metric for longer
	text := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 63); err == nil {
		return time.Duration(min(seconds, uint64(most/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return min(max(0, date.Sub(now)), most)
	}
	return 0
}
