// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// metadata are the addresses at which clouds tell their machines' credentials, where they are not link-local: of AWS (IMDS and pod
// identity by IPv6), Google (by IPv6), Alibaba, Oracle and Azure, each from its own documentation.
var metadata = []netip.Prefix{
	netip.MustParsePrefix("fd00:ec2::/32"),
	netip.MustParsePrefix("fd20:ce::254/128"),
	netip.MustParsePrefix("100.100.100.200/32"),
	netip.MustParsePrefix("192.0.0.192/32"),
	netip.MustParsePrefix("168.63.129.16/32"),
}

// nat64 and sixToFour are prefixes of IPv6 addresses that stand for an IPv4 address (RFC 6052, RFC 3056).
var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
	thisHost  = netip.MustParsePrefix("0.0.0.0/8")
	broadcast = netip.MustParseAddr("255.255.255.255")
)

// policy is which addresses may be reached.
type policy struct{ allow, deny []netip.Prefix }

// permits reports whether an address may be reached. An address that stands for another has to be permitted as both.
func (p policy) permits(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if inner, ok := embedded(addr); ok && !p.permits(inner) {
		return false
	}
	switch {
	case !addr.IsValid(), within(addr, p.deny):
		return false
	case within(addr, p.allow):
		return true
	}
	return !addr.IsLoopback() && !addr.IsLinkLocalUnicast() && !addr.IsUnspecified() && !addr.IsMulticast() && addr != broadcast &&
		!thisHost.Contains(addr) && !within(addr, metadata)
}

// embedded returns the IPv4 address that an IPv6 address leads to.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	b := addr.As16()
	switch {
	case !addr.Is6():
		return addr, false
	case nat64.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return addr, false
}

func within(addr netip.Addr, prefixes []netip.Prefix) bool {
	for _, prefix := range prefixes {
		if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
		}
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// control refuses a connection when it is about to be made: the address is what DNS gave, so that a name cannot lead elsewhere than
// where a check before had found it to lead.
func (p policy) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	if to, err := netip.ParseAddrPort(address); err != nil || !p.permits(to.Addr()) {
		return &Error{Class: ClassForbiddenAddress, Message: "its address is refused by the manager's network policy"}
	}
	return nil
}

func transport(options Options, insecure bool) *http.Transport {
	rules := policy{options.Allow, options.Deny}
	t := bare(&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, ControlContext: rules.control})
	t.TLSClientConfig.InsecureSkipVerify = insecure
	t.MaxIdleConns, t.MaxIdleConnsPerHost, t.IdleConnTimeout = 64, 4, 90*time.Second
	if options.Proxy != nil {
		t.Proxy = func(r *http.Request) (*url.URL, error) {
			// The proxy makes the connection: what names its address itself can still be checked.
			if addr, err := netip.ParseAddr(r.URL.Hostname()); err == nil && !rules.permits(addr) {
				return nil, rules.control(r.Context(), "", netip.AddrPortFrom(addr, 0).String(), nil)
			}
			return options.Proxy, nil
		}
	}
	return t
}

// credentialsTransport is for the addresses of the environment only, without the policy.
func credentialsTransport() *http.Transport {
	t := bare(&net.Dialer{Timeout: 5 * time.Second})
	t.DisableKeepAlives = true
	return t
}

func bare(dialer *net.Dialer) *http.Transport {
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}
}

// redirect follows to the same host only, as credentials are sent along; and from http to https of it, but not back.
func redirect(r *http.Request, via []*http.Request) error {
	from, to := via[0].URL, r.URL
	upgrade := from.Scheme == "http" && to.Scheme == "https" && port(from) == "80" && port(to) == "443"
	switch {
	case len(via) > 3:
		return &Error{Class: ClassStatus, Code: r.Response.StatusCode, Message: "more than 3 redirects"}
	case !strings.EqualFold(from.Hostname(), to.Hostname()), !upgrade && (from.Scheme != to.Scheme || port(from) != port(to)):
		return &Error{Class: ClassForbiddenAddress, Code: r.Response.StatusCode, Message: "it redirects to another host, which is not followed"}
	}
	return nil
}

func port(u *url.URL) string {
	if u.Port() != "" {
		return u.Port()
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// parsed reads an address that a template or a Secret names. The error does not quote it, as a Secret may be part of it.
func parsed(address string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	switch {
	case err != nil:
		return nil, misconfigured("the address is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, misconfigured("the address has to begin with http:// or https://")
	case u.Hostname() == "":
		return nil, misconfigured("the address names no host")
	case numeric(u.Hostname()):
		return nil, &Error{Class: ClassForbiddenAddress, Host: u.Host, Message: "an IP address has to be written in its usual form"}
	}
	return u, nil
}

// numeric reports whether resolvers may take a name for an IPv4 address that is not written as four decimals, such as 2130706433 or
// 0x7f.1: it ends in a number (WHATWG URL, 3.5). Resolved here such a name is checked like any other, but a proxy resolves it itself.
func numeric(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil || strings.Contains(host, ":") {
		return false
	}
	labels := strings.Split(strings.ToLower(strings.TrimSuffix(host, ".")), ".")
	last := labels[len(labels)-1]
	if rest, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(rest, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}
