// SPDX-License-Identifier: Apache-2.0

// Package netns gives the sandbox a network namespace of its own, in which every address of the pod network is local.
package netns

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// self is the namespace of the calling thread; the process's may be another.
const self = "/proc/thread-self/ns/net"

// Namespace is a network namespace. It lives as long as this process, or until it is closed and no one is left inside.
type Namespace struct {
	inside, outside *os.File
}

// New makes a namespace whose loopback interface answers for all of the given networks.
func New(networks ...string) (*Namespace, error) {
	outside, err := os.Open(self)
	if err != nil {
		return nil, fmt.Errorf("opening the host's network namespace: %w", err)
	}
	ns := &Namespace{outside: outside}
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making a network namespace: %w", err)
		}
		defer ns.leave()
		if ns.inside, err = os.Open(self); err != nil {
			return fmt.Errorf("opening the network namespace: %w", err)
		}
		return setUp(networks)
	})
	if err != nil {
		_ = ns.Close() // the error at hand says more
		return nil, err
	}
	return ns, nil
}

func setUp(networks []string) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding the loopback interface: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("setting the loopback interface up: %w", err)
	}
	for _, network := range networks {
		dst, err := netlink.ParseIPNet(network)
		if err != nil {
			return fmt.Errorf("parsing network %s: %w", network, err)
		}
		route := netlink.Route{
			LinkIndex: lo.Attrs().Index, Dst: dst, Table: unix.RT_TABLE_LOCAL,
			Type: unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST,
		}
		if err := netlink.RouteAdd(&route); err != nil {
			return fmt.Errorf("routing %s to the loopback interface: %w", network, err)
		}
	}
	return nil
}

// Path is where another process finds the namespace.
func (ns *Namespace) Path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.inside.Fd())
}

// Do runs f on a thread inside the namespace. Sockets stay where they were made: f may hand them out.
func (ns *Namespace) Do(f func() error) error {
	return onThread(func() error { return ns.DoHere(f) })
}

// DoHere takes the calling thread, which the caller has locked, into the namespace while f runs.
func (ns *Namespace) DoHere(f func() error) error {
	if err := unix.Setns(int(ns.inside.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering the network namespace: %w", err)
	}
	defer ns.leave()
	return f()
}

// Listen opens a TCP listener inside.
func (ns *Namespace) Listen(address string) (net.Listener, error) {
	var listener net.Listener
	err := ns.Do(func() error {
		var err error
		listener, err = net.Listen("tcp", address)
		return err
	})
	return listener, err
}

// Close releases the namespace.
func (ns *Namespace) Close() error {
	var errs []error
	for _, f := range []*os.File{ns.inside, ns.outside} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// leave takes the thread back to the host's namespace. A thread that cannot go back must never run anything else: it stays
// locked to its goroutine and ends with it.
func (ns *Namespace) leave() {
	if unix.Setns(int(ns.outside.Fd()), unix.CLONE_NEWNET) != nil {
		runtime.LockOSThread()
	}
}

// onThread runs f in a goroutine that has a thread for itself.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- f()
	}()
	return <-done
}
