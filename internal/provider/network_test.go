// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

func webAt(address string) Ask {
	return Ask{Provider: rolloutsv1beta1.MetricProvider{Web: &rolloutsv1beta1.WebMetric{URL: address}}, Namespace: "shop"}
}

// TestForbiddenAddresses asks by every spelling of an address that leads to the machine itself, or to where clouds tell credentials.
func TestForbiddenAddresses(t *testing.T) {
	t.Parallel()
	reached := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(server.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	c := clients(nil, func(o *Options) { o.Allow = nil })
	for _, host := range []string{
		"127.0.0.1", "127.8.9.10", "localhost", "LocalHost", "[::1]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]", "[64:ff9b::7f00:1]",
		"[2002:7f00:1::1]", "[64:ff9b::169.254.169.254]", "0.0.0.0", "0.1.2.3", "[::]", "2130706433", "0x7f000001", "0x7f.1", "127.1",
		"0177.0.0.1", "127.0.0.1.", "169.254.169.254", "169.254.170.23", "[fe80::1]", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16",
		"[fd20:ce::254]", "192.0.0.192", "224.0.0.1", "[ff02::1]", "255.255.255.255",
	} {
		_, err := c.Measure(t.Context(), webAt("http://"+host+":"+port+"/"))
		fails(t, err, Error{Class: ClassForbiddenAddress})
	}
	if reached {
		t.Error("a server on the loopback interface was reached")
	}
}

// TestAddressesProperty draws addresses: whatever stands for one is as forbidden as it is, and Deny is above Allow.
func TestAddressesProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], rapid.Uint32().Draw(t, "address"))
		addr := netip.AddrFrom4(b)
		p := policy{}
		if rapid.Bool().Draw(t, "allowed") {
			p.allow = []netip.Prefix{netip.PrefixFrom(addr, rapid.IntRange(0, 32).Draw(t, "bits")).Masked()}
		}
		if rapid.Bool().Draw(t, "denied") {
			p.deny = []netip.Prefix{netip.PrefixFrom(addr, rapid.IntRange(0, 32).Draw(t, "bits")).Masked()}
		}
		want := p.permits(addr)
		if want && p.deny != nil {
			t.Fatalf("%v is denied, and permitted", addr)
		}
		if !want && p.deny == nil && p.allow != nil {
			t.Fatalf("%v is allowed, and not permitted", addr)
		}
		if mapped := netip.AddrFrom16(addr.As16()); p.permits(mapped) != want {
			t.Fatalf("%v is not treated as %v", mapped, addr)
		}
		translated := nat64.Addr().As16()
		copy(translated[12:], b[:])
		if !want && p.permits(netip.AddrFrom16(translated)) {
			t.Fatalf("%v is permitted, %v is not", netip.AddrFrom16(translated), addr)
		}
	})
}

func TestPrefixesOfMappedAddresses(t *testing.T) {
	t.Parallel()
	p := policy{deny: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}}
	if p.permits(netip.MustParseAddr("10.1.2.3")) {
		t.Error("a prefix of IPv4-mapped addresses does not deny IPv4 addresses")
	}
}

func TestNoProxyOfTheEnvironment(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	c := clients(nil)
	for name, through := range map[string]*http.Transport{"secure": c.secure, "insecure": c.insecure, "credentials": c.credentials} {
		if through.Proxy != nil {
			t.Errorf("%s requests take a proxy from the environment", name)
		}
	}
}

// TestProxy asks through the proxy that the options name: names are the proxy's to resolve, addresses are checked all the same.
func TestProxy(t *testing.T) {
	t.Parallel()
	proxy := serve(t, func(w http.ResponseWriter, a asked) { _, _ = w.Write([]byte(`"` + a.URL.Host + `"`)) })
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	c := clients(nil, func(o *Options) { o.Proxy = u })
	if got, err := c.Measure(t.Context(), webAt("http://metrics.example/")); err != nil || got != "metrics.example" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, host := range []string{"169.254.169.254", "[::ffff:169.254.169.254]", "2852039166", "[fe80::1]"} {
		_, err := c.Measure(t.Context(), webAt("http://"+host+"/"))
		fails(t, err, Error{Class: ClassForbiddenAddress})
	}
}

func TestRedirectsWithinAHost(t *testing.T) {
	t.Parallel()
	address := serve(t, func(w http.ResponseWriter, a asked) {
		if a.URL.Path != "/ccc" {
			http.Redirect(w, a.Request, a.URL.Path+"c", http.StatusTemporaryRedirect)
			return
		}
		_, _ = w.Write([]byte(`"` + a.Header.Get("X-Key") + `"`))
	})
	ask := webAt(address + "/")
	ask.Provider.Web.Headers = []rolloutsv1beta1.MetricHeader{{Key: "X-Key", Value: "k"}}
	if got, err := clients(nil).Measure(t.Context(), ask); err != nil || got != "k" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestRedirectsOfSchemes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"http://a/", "https://a/", true},
		{"http://a/", "http://A:80/x", true},
		{"https://a/", "http://a/", false},
		{"http://a:8080/", "https://a/", false},
		{"http://a/", "http://a:8080/", false},
		{"http://a/", "http://b/", false},
		{"http://a/", "http://a.b/", false},
	} {
		from := httptest.NewRequest(http.MethodGet, c.from, nil)
		to := httptest.NewRequest(http.MethodGet, c.to, nil)
		to.Response = &http.Response{StatusCode: http.StatusFound}
		if err := redirect(to, []*http.Request{from}); (err == nil) != c.want {
			t.Errorf("%s to %s: %v", c.from, c.to, err)
		}
	}
}

func TestInsecure(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("1")) }))
	t.Cleanup(server.Close)
	ask := webAt(server.URL)
	ask.Provider.Web.Insecure = true
	_, err := clients(nil).Measure(t.Context(), ask)
	fails(t, err, Error{Class: ClassConfig})
	got, err := clients(nil, func(o *Options) { o.AllowInsecure = true }).Measure(t.Context(), ask)
	if err != nil || got != 1.0 {
		t.Errorf("got %v, %v", got, err)
	}
}
