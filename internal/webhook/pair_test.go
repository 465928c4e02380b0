// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"slices"
	"testing"
	"time"
)

var (
	today = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	names = []string{"admission.ns.svc", "webhook.ns.svc"}
)

func made(t *testing.T, data map[string][]byte, names []string, now time.Time) map[string][]byte {
	t.Helper()
	next, err := renew(data, names, now)
	if err != nil {
		t.Fatal(err)
	}
	if held := read(next, names, now); held.serving == nil || !now.Before(held.renewal()) {
		t.Fatalf("what was made cannot be used at once, or is to be renewed: %+v", held)
	}
	return next
}

// without returns a Secret's data less some keys.
func without(data map[string][]byte, keys ...string) map[string][]byte {
	next := maps.Clone(data)
	for _, k := range keys {
		delete(next, k)
	}
	return next
}

// TestSecrets goes through what may be found in the Secret: is it used, when is it written, and does its CA stay?
func TestSecrets(t *testing.T) {
	t.Parallel()
	ours, foreign, old := made(t, nil, names, today), made(t, nil, names, today), made(t, nil, names[1:], today)
	mixed := maps.Clone(ours)
	mixed["tls.crt"], mixed["tls.key"] = foreign["tls.crt"], foreign["tls.key"]
	strange := maps.Clone(ours)
	strange["ca.key"] = foreign["ca.key"]
	former := map[string][]byte{"ca-cert.pem": ours["ca.crt"], "ca-key.pem": ours["ca.key"], "tls.crt": old["tls.crt"], "cert.pem": []byte("x")}
	garbage := map[string][]byte{"tls.crt": []byte("x"), "tls.key": []byte("y"), "ca.crt": []byte("z"), "ca.key": nil, "mine": []byte("stays")}
	for name, c := range map[string]struct {
		data      map[string][]byte
		at        time.Time
		used, due bool
		sameCA    bool
	}{
		"ours":                             {ours, today.AddDate(0, 6, 0), true, false, true},
		"ours, to be renewed":              {ours, today.AddDate(0, 10, 0), true, true, true},
		"ours, expired":                    {ours, today.AddDate(1, 1, 0), false, true, true},
		"ours, the CA ends soon":           {ours, today.AddDate(9, 11, 0), false, true, false},
		"ours, the CA has ended":           {ours, today.AddDate(11, 0, 0), false, true, false},
		"ours, not valid yet":              {ours, today.AddDate(-1, 0, 0), false, true, false},
		"for a name less":                  {old, today, false, true, true},
		"empty":                            {nil, today, false, true, false},
		"garbage":                          {garbage, today, false, true, false},
		"the certificate is of another CA": {mixed, today, false, true, true},
		"the key is of another CA":         {strange, today.AddDate(0, 10, 0), true, false, false},
		"somebody else's":                  {without(foreign, "ca.key"), today.AddDate(0, 11, 0), true, false, false},
		"somebody else's, expired":         {without(foreign, "ca.key"), today.AddDate(1, 1, 0), false, true, false},
		"no CA":                            {without(ours, "ca.crt", "ca.key"), today, false, true, false},
		"of the first implementation":      {former, today, false, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			held := read(c.data, names, c.at)
			if used := held.serving != nil; used != c.used {
				t.Errorf("used is %v", used)
			}
			if due := !c.at.Before(held.renewal()); due != c.due {
				t.Errorf("due is %v: %v", due, held.renewal())
			}
			next := made(t, c.data, names, c.at)
			before := c.data["ca.crt"]
			if before == nil {
				before = c.data["ca-cert.pem"]
			}
			if same := bytes.Equal(before, next["ca.crt"]); same != c.sameCA {
				t.Errorf("the CA stays: %v", same)
			}
			for k, v := range c.data {
				if !slices.Contains([]string{"ca.crt", "ca.key", "tls.crt", "tls.key"}, k) && !bytes.Equal(v, next[k]) {
					t.Errorf("%s is gone", k)
				}
			}
		})
	}
}

// TestNamesAreKept checks that two versions that know different names do not renew one another's certificate in turns.
func TestNamesAreKept(t *testing.T) {
	t.Parallel()
	first := made(t, nil, []string{"one.ns.svc"}, today)
	second := made(t, first, []string{"two.ns.svc"}, today)
	for _, name := range []string{"one.ns.svc", "two.ns.svc"} {
		if held := read(second, []string{name}, today); held.serving == nil || !today.Before(held.renewal()) {
			t.Errorf("whoever goes by %s would renew it", name)
		}
	}
}

// TestBundles checks whom the API server is asked to trust: a former CA too, until every replica has stopped using it.
func TestBundles(t *testing.T) {
	t.Parallel()
	former, ours := made(t, nil, names, today.AddDate(-1, 0, 0))["ca.crt"], made(t, nil, names, today)["ca.crt"]
	both := slices.Concat(ours, former)
	long := today.Add(overlap)
	indented := append(pem.EncodeToMemory(pemOf(t, ours)), '\n')
	for name, c := range map[string]struct {
		trusted, want []byte
		at            time.Time
		settled       bool
	}{
		"nothing yet":               {nil, ours, today, true},
		"garbage":                   {[]byte("x"), ours, today, true},
		"ours already":              {ours, ours, today, true},
		"ours, written otherwise":   {indented, indented, long, true},
		"a former one":              {former, both, today, false},
		"both, as written":          {both, both, today, false},
		"both, in the other order":  {slices.Concat(former, ours), slices.Concat(former, ours), today, false},
		"both, long enough":         {both, ours, long, true},
		"a former one, long ago":    {former, ours, long, true},
		"a former one that expired": {expired(t), ours, today, true},
	} {
		next, settled := bundle(c.trusted, ours, c.at)
		if !bytes.Equal(next, c.want) {
			t.Errorf("%s: %d certificates, want %d", name, len(certificatesIn(next)), len(certificatesIn(c.want)))
		}
		if settled.IsZero() != c.settled {
			t.Errorf("%s: to be looked at again: %v", name, settled)
		}
	}
}

func expired(t *testing.T) []byte {
	t.Helper()
	ca, err := newAuthority(today.AddDate(-11, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Leaf.Raw})
}

func pemOf(t *testing.T, data []byte) *pem.Block {
	t.Helper()
	block, _ := pem.Decode(data)
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		t.Fatal(err)
	}
	return block
}
