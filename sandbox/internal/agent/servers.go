// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/rollouts/internal/sim"
)

// ListenFunc opens a TCP listener at an address of a pod.
type ListenFunc func(address string) (net.Listener, error)

// servers are the listeners of one pod, one for each container port.
type servers struct {
	wake func() // has the agent handle the pod

	mu      sync.Mutex
	open    map[string]*http.Server
	pod     atomic.Pointer[corev1.Pod]
	asked   int         // requests since the containers have started
	crashes []time.Time // when they have exited for having been asked too often
}

// count counts a request. At the last that the containers stand they exit, with all that is in flight.
func (s *servers) count(limit int) bool {
	s.mu.Lock()
	s.asked++
	crash := s.asked == limit
	if crash {
		s.asked, s.crashes = 0, append(s.crashes, time.Now())
	}
	s.mu.Unlock()
	if crash {
		s.close(context.Background(), 0) //nolint:forbidigo // nothing is waited for
		s.wake()
	}
	return crash
}

// crashed is when the containers have exited so.
func (s *servers) crashed() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.crashes)
}

// serve opens what is not open yet, and lets what is open answer for the pod as it is now.
func (s *servers) serve(ctx context.Context, listen ListenFunc, pod *corev1.Pod, record sim.PodRecord) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pod.Store(pod)
	if s.open == nil {
		s.open = map[string]*http.Server{}
	}
	for _, c := range pod.Spec.Containers {
		for _, port := range c.Ports {
			address := net.JoinHostPort(record.PodIP, strconv.Itoa(int(port.ContainerPort)))
			if s.open[address] != nil || (port.Protocol != "" && port.Protocol != corev1.ProtocolTCP) {
				continue
			}
			listener, err := listen(address)
			if err != nil {
				return fmt.Errorf("opening the port of container %s: %w", c.Name, err)
			}
			server := &http.Server{
				Handler:           echo{pod: &s.pod, container: c.Name, podIP: record.PodIP, hostIP: record.HostIP, crash: s.count},
				ReadHeaderTimeout: time.Minute,
				BaseContext:       func(net.Listener) context.Context { return ctx },
			}
			s.open[address] = server
			go func() { _ = server.Serve(listener) }() // returns when closed
		}
	}
	return nil
}

// close closes all listeners at once, and the connections in flight after the given time.
func (s *servers) close(ctx context.Context, patience time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var closing sync.WaitGroup
	for _, server := range s.open {
		closing.Go(func() {
			if patience > 0 {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience) // also when all is being stopped
				defer cancel()
				if err := server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
					return
				}
			}
			_ = server.Close()
		})
	}
	closing.Wait()
	s.open = nil
}
