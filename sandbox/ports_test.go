// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReservedPort shows what the reservation is for: the child can listen, nobody else can.
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
