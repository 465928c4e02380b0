// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// port is a TCP port of the loopback interface that is kept for a child. A socket of ours stays bound to it, without
// listening, and shares it (SO_REUSEPORT) with the child only: no other process can take it in between.
type port struct {
	number int
	socket int
}

func reservePort() (port, error) { return reserve(unix.SO_REUSEPORT) }

// lendPort is for a child that shares no ports. Its listening socket may have the address of one that does not listen, as
// every listener of Go's says (SO_REUSEADDR); and a port that is bound so is given to no one who asks for any.
func lendPort() (port, error) { return reserve(unix.SO_REUSEADDR) }

func reserve(option int) (port, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return port{}, fmt.Errorf("opening a socket: %w", err)
	}
	p := port{socket: socket}
	err = unix.SetsockoptInt(socket, unix.SOL_SOCKET, option, 1)
	if err == nil {
		err = unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		p.release()
		return port{}, fmt.Errorf("reserving a port: %w", err)
	}
	address, err := unix.Getsockname(socket)
	if err != nil {
		p.release()
		return port{}, fmt.Errorf("reading the reserved port: %w", err)
	}
	p.number = address.(*unix.SockaddrInet4).Port
	return p, nil
}

// release gives the port back.
func (p port) release() { _ = unix.Close(p.socket) }

// address is what to connect to.
func (p port) address() string { return fmt.Sprintf("127.0.0.1:%d", p.number) }
