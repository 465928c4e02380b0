// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"net/netip"
	"sync"
)

// podNetwork holds the pods' addresses. Loopback addresses would not do: the API server refuses them in EndpointSlices.
var podNetwork = netip.MustParsePrefix("10.244.0.0/16")

var errNoAddress = errors.New("every address of " + podNetwork.String() + " is taken: delete some pods")

// addresses gives out pod addresses in turn, so that one that was returned is not seen again soon.
type addresses struct {
	mu    sync.Mutex
	last  netip.Addr
	taken map[netip.Addr]bool
}

func (a *addresses) next() (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.taken == nil {
		a.taken = map[netip.Addr]bool{}
	}
	for range 1 << (32 - podNetwork.Bits()) {
		if a.last = a.last.Next(); !podNetwork.Contains(a.last) {
			a.last = podNetwork.Addr().Next() // not the network's own address
		}
		if end := a.last.As4(); end[3] != 0 && end[3] != 255 && !a.taken[a.last] {
			a.taken[a.last] = true
			return a.last.String(), nil
		}
	}
	return "", errNoAddress
}

func (a *addresses) reserve(ip string) {
	addr, err := netip.ParseAddr(ip)
	if err != nil || !podNetwork.Contains(addr) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.taken == nil {
		a.taken = map[netip.Addr]bool{}
	}
	a.taken[addr] = true
	if !a.last.IsValid() || a.last.Less(addr) {
		a.last = addr
	}
}

func (a *addresses) release(ip string) {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.taken, addr)
}
