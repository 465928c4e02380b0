// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/internal/sim"
	"kruise.io/rollouts/sandbox"
)

func needListeners(t *testing.T) {
	t.Helper()
	if deaf != nil {
		t.Skipf("pods cannot listen here, run this as root: %v", deaf)
	}
}

// address is where the pod listens.
func address(pod *corev1.Pod) string { return net.JoinHostPort(pod.Status.PodIP, "8080") }

func TestPodAnswers(t *testing.T) {
	t.Parallel()
	needListeners(t)
	namespace := newNamespace(t)
	createPod(t, namespace, "echoserver", nil)
	pod := waitForPod(t, namespace, isReady)

	proxy, err := url.Parse(cluster.Proxy())
	if err != nil {
		t.Fatal(err)
	}
	for name, transport := range map[string]*http.Transport{
		"dialing": {DialContext: cluster.Dial},
		"proxy":   {Proxy: http.ProxyURL(proxy)},
	} {
		t.Run(name, func(t *testing.T) {
			defer transport.CloseIdleConnections()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address(pod)+"/some/path?q=1", strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Accept", "application/json")
			request.Header.Set("X-Canary", "always")
			response, err := (&http.Client{Transport: transport}).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			var answer struct {
				Pod, Node, Method, Path, Query, Body string
				Env                                  map[string]string
				Headers                              http.Header
			}
			if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprint(answer.Pod, answer.Node, answer.Method, answer.Path, answer.Query, answer.Body,
				answer.Env["VERSION"], answer.Env["NODE_NAME"], answer.Env["GREETING"], answer.Headers.Get("X-Canary"))
			want := fmt.Sprint("web", pod.Spec.NodeName, "POST", "/some/path", "q=1", "hello",
				"version-1", pod.Spec.NodeName, "this is version-1", "always")
			if got != want {
				t.Errorf("the answer is %s, want %s", got, want)
			}
		})
	}

	text := get(t, "http://"+address(pod)+"/")
	for _, want := range []string{"Hostname: web\n", "\tnode name:\t" + pod.Spec.NodeName + "\n", "\tVERSION=version-1\n", "\tmethod=GET\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
}

// get asks a pod over a connection of its own.
func get(t *testing.T, address string) string {
	t.Helper()
	text, err := tryGet(t, address)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func tryGet(t *testing.T, address string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", err
	}
	response, err := (&http.Client{Transport: &http.Transport{DialContext: cluster.Dial, DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestPodDoesNotListenBeforeItRuns(t *testing.T) {
	t.Parallel()
	needListeners(t)
	namespace := newNamespace(t)
	createPod(t, namespace, "echoserver:broken", nil)
	pod := waitForPod(t, namespace, waitingFor("ImagePullBackOff"))
	if _, err := cluster.Dial(t.Context(), "tcp", address(pod)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting to a pod without an image: %v, want it refused", err)
	}
}

func TestPodServesUntilItIsDrained(t *testing.T) {
	t.Parallel()
	needListeners(t)
	namespace := newNamespace(t)
	const drain = 2 * time.Second
	createPod(t, namespace, "echoserver", map[string]string{sim.DrainAnnotation: drain.String()})
	pod := waitForPod(t, namespace, isReady)
	began := time.Now()
	if err := client.CoreV1().Pods(namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	answers := 0
	eventually(t, func() error {
		if _, err := tryGet(t, "http://"+address(pod)+"/"); err == nil {
			answers++
			return errors.New("it answers")
		}
		return nil
	})
	if took := time.Since(began); took < drain || answers == 0 {
		t.Errorf("the pod answered %d times in %s, want it to answer for %s", answers, took, drain)
	}
	eventually(t, func() error {
		if _, err := client.CoreV1().Pods(namespace).Get(t.Context(), pod.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the pod is there: %w", err)
		}
		return nil
	})
}

func TestCommandInside(t *testing.T) {
	t.Parallel()
	needListeners(t)
	var out strings.Builder
	cmd := exec.CommandContext(t.Context(), filepath.Join(cluster.Bin(), "kubectl"), "--kubeconfig="+cluster.Kubeconfig(), "get", "--raw=/readyz")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cluster.StartInside(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || out.String() != "ok" {
		t.Errorf("kubectl in the pods' network says %q (%v), want ok", out.String(), err)
	}
}

func TestDialWithoutListeners(t *testing.T) {
	t.Parallel()
	other := &sandbox.Cluster{}
	if _, err := other.Dial(t.Context(), "tcp", "10.244.0.1:80"); !errors.Is(err, sandbox.ErrNoListeners) {
		t.Errorf("dialing: %v, want %v", err, sandbox.ErrNoListeners)
	}
}
