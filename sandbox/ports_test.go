// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReservedPort shows what the reservation is for: the child can listen, no one else can.
func TestReservedPort(t *testing.T) {
	t.Parallel()
	p, err := reservePort()
	if err != nil {
		t.Fatal(err)
	}
	defer p.release()
	if listener, err := net.Listen("tcp", p.address()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listening as a stranger: %v %v, want %v", listener, err, syscall.EADDRINUSE)
	}
	sharing := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		var err error
		if controlErr := conn.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}); controlErr != nil {
			return controlErr
		}
		return err
	}}
	listener, err := sharing.Listen(t.Context(), "tcp", p.address())
	reached(t, p, listener, err)
}

// TestLentPort: a child that shares no ports can listen, and no one who asks for any port is given this one.
func TestLentPort(t *testing.T) {
	t.Parallel()
	p, err := lendPort()
	if err != nil {
		t.Fatal(err)
	}
	defer p.release()
	other, err := lendPort()
	if err != nil {
		t.Fatal(err)
	}
	defer other.release()
	if p.number == other.number {
		t.Error("one port is lent twice")
	}
	listener, err := net.Listen("tcp", p.address())
	reached(t, p, listener, err)
}

// reached checks that a child could listen on a port, and that it is the one who is reached.
func reached(t *testing.T, p port, listener net.Listener, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("listening as the child does: %v", err)
	}
	defer func() { _ = listener.Close() }()
	conn, err := net.Dial("tcp", p.address())
	if err != nil {
		t.Fatalf("the reservation gets in the way: %v", err)
	}
	_ = conn.Close()
}
