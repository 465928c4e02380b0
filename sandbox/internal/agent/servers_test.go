// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/internal/sim"
)

func newListeningPod(annotations map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: annotations},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{
			{ContainerPort: 8080}, {ContainerPort: 9090, Protocol: corev1.ProtocolTCP}, {ContainerPort: 53, Protocol: corev1.ProtocolUDP},
		}}}},
	}
}

func TestEchoFailsAndWaitsAsTold(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		annotations map[string]string
		status      int
		atLeast     time.Duration
	}{
		"as is":                  {nil, http.StatusOK, 0},
		"fails":                  {map[string]string{ErrorPercentAnnotation: "100"}, http.StatusInternalServerError, 0},
		"never fails":            {map[string]string{ErrorPercentAnnotation: "0"}, http.StatusOK, 0},
		"takes a time":           {map[string]string{LatencyAnnotation: "50ms"}, http.StatusOK, 50 * time.Millisecond},
		"takes any of two times": {map[string]string{LatencyAnnotation: "50ms-60ms"}, http.StatusOK, 50 * time.Millisecond},
		"half readable":          {map[string]string{LatencyAnnotation: "50ms-long"}, http.StatusOK, 0},
		"unreadable":             {map[string]string{LatencyAnnotation: "long", ErrorPercentAnnotation: "all"}, http.StatusOK, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pod atomic.Pointer[corev1.Pod]
			pod.Store(newListeningPod(test.annotations))
			recorder := httptest.NewRecorder()
			began := time.Now()
			echo{pod: &pod, container: "main"}.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
			if recorder.Code != test.status || time.Since(began) < test.atLeast {
				t.Errorf("answered %d after %s, want %d after %s", recorder.Code, time.Since(began), test.status, test.atLeast)
			}
			if !strings.Contains(recorder.Body.String(), "Hostname: web\n") {
				t.Errorf("answered %q, want it to say who answers", recorder.Body)
			}
		})
	}
}

func TestEchoTellsItsVersion(t *testing.T) {
	t.Parallel()
	var pod atomic.Pointer[corev1.Pod]
	p := newListeningPod(nil)
	p.Labels = map[string]string{"pod-template-hash": "abc"}
	p.Spec.Containers[0].Image = "web:2"
	p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "VERSION", Value: "v2"}}
	pod.Store(p)
	recorder := httptest.NewRecorder()
	echo{pod: &pod, container: "main"}.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	for header, want := range map[string]string{PodHeader: "web", VersionHeader: "v2", ImageHeader: "web:2", RevisionHeader: "abc"} {
		if got := recorder.Header().Get(header); got != want || !strings.Contains(recorder.Body.String(), want) {
			t.Errorf("header %s is %q, want %q, and the same in the body:\n%s", header, got, want, recorder.Body)
		}
	}
}

func TestServersFollowThePod(t *testing.T) {
	t.Parallel()
	opened := map[string]net.Addr{}
	listen := func(address string) (net.Listener, error) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err == nil {
			opened[address] = listener.Addr()
		}
		return listener, err
	}
	var s servers
	pod := newListeningPod(nil)
	for range 2 { // the second time there is nothing left to open
		if err := s.serve(t.Context(), listen, pod, sim.PodRecord{PodIP: "10.244.0.1"}); err != nil {
			t.Fatal(err)
		}
	}
	if len(opened) != 2 || opened["10.244.0.1:8080"] == nil || opened["10.244.0.1:9090"] == nil {
		t.Fatalf("opened %v, want the two TCP ports", opened)
	}
	at := opened["10.244.0.1:8080"].String()
	response, err := http.Get("http://" + at) // leaves an idle connection behind
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	s.close(t.Context(), time.Second)
	if _, err := net.Dial("tcp", at); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after closing: %v, want the connection refused", err)
	}
	s.close(t.Context(), 0) // once more does no harm
}

func TestServersCrashAfterRequests(t *testing.T) {
	t.Parallel()
	var at string
	listen := func(string) (net.Listener, error) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err == nil {
			at = listener.Addr().String()
		}
		return listener, err
	}
	woken := make(chan struct{}, 3)
	s := servers{wake: func() { woken <- struct{}{} }}
	pod := newListeningPod(map[string]string{CrashAfterRequestsAnnotation: "3"})
	for run := 1; run <= 2; run++ {
		if err := s.serve(t.Context(), listen, pod, sim.PodRecord{PodIP: "10.244.0.1"}); err != nil {
			t.Fatal(err)
		}
		for i := 1; i <= 3; i++ {
			response, err := http.Get("http://" + at)
			if (err == nil) != (i < 3) {
				t.Errorf("request %d of run %d: %v, want an answer to all but the third", i, run, err)
			}
			if err == nil {
				_ = response.Body.Close()
			}
		}
		<-woken
		if _, err := net.Dial("tcp", at); !errors.Is(err, syscall.ECONNREFUSED) || len(s.crashed()) != run {
			t.Errorf("after %d crashes: %v, want the connection refused", len(s.crashed()), err)
		}
	}
}
