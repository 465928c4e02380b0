// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"net"
	"os"
	"testing"
)

func TestNamespaceIsApart(t *testing.T) {
	t.Parallel()
	before, err := os.Readlink(self)
	if err != nil {
		t.Fatal(err)
	}
	ns, err := New("10.244.0.0/16")
	if err != nil {
		t.Skipf("a network namespace cannot be made here, run this as root: %v", err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	listener, err := ns.Listen("10.244.17.4:8080") // an address that no one added
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	if err := ns.Do(func() error {
		conn, err := net.Dial("tcp", "10.244.17.4:8080")
		if err != nil {
			return err
		}
		return conn.Close()
	}); err != nil {
		t.Errorf("connecting inside: %v", err)
	}
	if err := ns.Do(func() error {
		inside, err := os.Readlink(self)
		if inside == before {
			t.Errorf("inside is the namespace of the host, %s", inside)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if after, err := os.Readlink(self); err != nil || after != before {
		t.Errorf("the test is in %s (%v) now, want %s", after, err, before)
	}
	for range 50 { // whichever threads were inside, they are back
		if err := onThread(func() error {
			if here, err := os.Readlink(self); err != nil || here != before {
				t.Errorf("a thread is in %s (%v), want %s", here, err, before)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}
