// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAddressesAreNotSeenAgainSoon(t *testing.T) {
	t.Parallel()
	var a addresses
	a.reserve("10.244.0.2")
	a.reserve("192.0.2.1") // not ours
	take := func() string {
		t.Helper()
		ip, err := a.next()
		if err != nil {
			t.Fatal(err)
		}
		return ip
	}
	first := take()
	a.release(first)
	if second := take(); first != "10.244.0.3" || second != "10.244.0.4" {
		t.Errorf("after 10.244.0.2 came %s and %s, want the next two", first, second)
	}
}

func TestAddressesRunOutAndComeBack(t *testing.T) {
	t.Parallel()
	var a addresses
	seen := map[string]bool{}
	for {
		ip, err := a.next()
		if err != nil {
			break
		}
		if seen[ip] {
			t.Fatalf("%s was given twice", ip)
		}
		seen[ip] = true
	}
	if len(seen) != 256*254 || seen["10.244.0.0"] || seen["10.244.3.255"] {
		t.Errorf("there were %d addresses, want all of 10.244.0.0/16 but those that end in 0 or 255", len(seen))
	}
	a.release("10.244.7.7")
	if ip, err := a.next(); ip != "10.244.7.7" {
		t.Errorf("the one that was given back: %s, %v", ip, err)
	}
}

func TestHostIP(t *testing.T) {
	t.Parallel()
	for node, want := range map[string]string{"sandbox-1": "10.243.0.1", "sandbox-300": "10.243.1.44", "mine": "10.243.255.254"} {
		if got := hostIP(node); got != want {
			t.Errorf("node %s has address %s, want %s", node, got, want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	from := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Labels: map[string]string{"app/x": "y"}},
		Spec:       corev1.PodSpec{NodeName: "sandbox-1"},
	}
	c := corev1.Container{Env: []corev1.EnvVar{
		{Name: "A", Value: "a"},
		{Name: "B", Value: "$(A)-$$(A)-$(LATER)-$A-$"},
		{Name: "LATER", Value: "l"},
		{Name: "NODE", ValueFrom: from("spec.nodeName")},
		{Name: "LABEL", ValueFrom: from("metadata.labels['app/x']")},
		{Name: "IP", ValueFrom: from("status.podIP")},
		{Name: "UNKNOWN", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{}}},
	}}
	got := environment(pod, c, "10.244.0.1", "10.243.0.1")
	want := map[string]string{
		"HOSTNAME": "web", "A": "a", "B": "a-$(A)-$(LATER)-$A-$", "LATER": "l", "NODE": "sandbox-1", "LABEL": "y", "IP": "10.244.0.1",
	}
	if !maps.Equal(got, want) {
		t.Errorf("the environment is %v, want %v", got, want)
	}
}
