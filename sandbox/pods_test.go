// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"kruise.io/rollouts/internal/sim"
)

// newNamespace makes a namespace and waits until pods can be created in it.
func newNamespace(t *testing.T) string {
	t.Helper()
	return newNamespaceIn(t, client)
}

func newNamespaceIn(t *testing.T, client *kubernetes.Clientset) string {
	t.Helper()
	namespace, err := client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), namespace.Name, metav1.DeleteOptions{})
	})
	eventually(t, func() error {
		_, err := client.CoreV1().ServiceAccounts(namespace.Name).Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	return namespace.Name
}

func newPodTemplate(image string, annotations map[string]string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}, Annotations: annotations},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Image: image, Ports: []corev1.ContainerPort{{ContainerPort: 8080}},
			Env: []corev1.EnvVar{
				{Name: "VERSION", Value: "version-1"},
				{Name: "NODE_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}},
				{Name: "GREETING", Value: "this is $(VERSION)"},
			},
		}}},
	}
}

func newDeployment(name string, replicas int32, template corev1.PodTemplateSpec) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			Template: template,
		},
	}
}

func create(t *testing.T, namespace string, deployment *appsv1.Deployment) {
	t.Helper()
	if _, err := client.AppsV1().Deployments(namespace).Create(t.Context(), deployment, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func createPod(t *testing.T, namespace, image string, annotations map[string]string) {
	t.Helper()
	template := newPodTemplate(image, annotations)
	template.Name = "web"
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	if _, err := client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// waitForPod waits for a pod that ok accepts.
func waitForPod(t *testing.T, namespace string, ok func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	var found *corev1.Pod
	eventually(t, func() error {
		pods, err := client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		var seen []string
		for _, pod := range pods.Items {
			if ok(&pod) {
				found = &pod
				return nil
			}
			seen = append(seen, fmt.Sprintf("%s %s %+v", pod.Name, pod.Status.Phase, pod.Status.ContainerStatuses))
		}
		return fmt.Errorf("no such pod among %q", seen)
	})
	return found
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func waitingFor(reason string) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool {
		s := pod.Status.ContainerStatuses
		return len(s) == 1 && s[0].State.Waiting != nil && s[0].State.Waiting.Reason == reason
	}
}

func waitForDeployment(t *testing.T, namespace, name string, ok func(*appsv1.Deployment) bool) {
	t.Helper()
	eventually(t, func() error {
		d, err := client.AppsV1().Deployments(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !ok(d) {
			return fmt.Errorf("the deployment is at %+v", d.Status)
		}
		return nil
	})
}

func TestDeploymentBecomesReady(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	watching, err := client.CoreV1().Pods(namespace).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watching.Stop()
	began := time.Now()
	create(t, namespace, newDeployment("web", 5, newPodTemplate("nginx", nil)))
	waitForDeployment(t, namespace, "web", func(d *appsv1.Deployment) bool { return d.Status.AvailableReplicas == 5 })
	t.Logf("5 pods were available after %s", time.Since(began))

	pods, err := client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	addresses := map[string]bool{}
	for _, pod := range pods.Items {
		if !strings.HasPrefix(pod.Status.PodIP, "10.244.") || addresses[pod.Status.PodIP] {
			t.Errorf("pod %s has address %q, want one of its own in 10.244.0.0/16", pod.Name, pod.Status.PodIP)
		}
		addresses[pod.Status.PodIP] = true
	}

	// The budget of the benchmark: a pod is written when it is bound and when it is ready, and not once more.
	changes, ready := map[string]int{}, 0
	for ready < 5 {
		event := <-watching.ResultChan()
		pod, ok := event.Object.(*corev1.Pod)
		if !ok {
			t.Fatalf("the watch ended: %+v", event)
		}
		if event.Type != watch.Modified {
			continue
		}
		if changes[pod.Name]++; isReady(pod) {
			ready++
		}
	}
	for name, n := range changes {
		if n != 2 {
			t.Errorf("pod %s was written %d times until it was ready, want 2", name, n)
		}
	}
}

func TestEndpointSlicesHoldPods(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	create(t, namespace, newDeployment("web", 2, newPodTemplate("nginx", nil)))
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	if _, err := client.CoreV1().Services(namespace).Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		slices, err := client.DiscoveryV1().EndpointSlices(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		ready := 0
		for _, slice := range slices.Items {
			for _, endpoint := range slice.Endpoints {
				if endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready {
					ready++
				}
			}
		}
		if ready != 2 {
			return fmt.Errorf("%d endpoints are ready, want 2", ready)
		}
		return nil
	})
}

func TestBadImageIsReported(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	createPod(t, namespace, "nginx:broken", nil)
	pod := waitForPod(t, namespace, waitingFor("ImagePullBackOff"))
	if pod.Status.Phase != corev1.PodPending || isReady(pod) {
		t.Errorf("the pod is %s, ready %t; want it pending", pod.Status.Phase, isReady(pod))
	}
}

func TestCrashIsReported(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	createPod(t, namespace, "nginx", map[string]string{sim.CrashAnnotation: "1s"})
	waitForPod(t, namespace, isReady)
	pod := waitForPod(t, namespace, waitingFor("CrashLoopBackOff"))
	if pod.Status.ContainerStatuses[0].RestartCount < 1 || isReady(pod) {
		t.Errorf("the pod is %+v; want it restarted and not ready", pod.Status)
	}
}

func TestPodBecomesReadyLate(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	began := time.Now()
	createPod(t, namespace, "nginx", map[string]string{sim.ReadyAfterAnnotation: "1s"})
	waitForPod(t, namespace, func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodRunning && !isReady(pod) })
	waitForPod(t, namespace, isReady)
	if took := time.Since(began); took < time.Second {
		t.Errorf("ready after %s, want at least 1s", took)
	}
}

func TestPodStops(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ drain time.Duration }{
		"at once": {},
		"drained": {drain: 2 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			createPod(t, namespace, "nginx", map[string]string{sim.DrainAnnotation: test.drain.String()})
			waitForPod(t, namespace, isReady)
			began := time.Now()
			if err := client.CoreV1().Pods(namespace).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			if test.drain > 0 {
				waitForPod(t, namespace, func(pod *corev1.Pod) bool { return pod.DeletionTimestamp != nil && isReady(pod) })
			}
			eventually(t, func() error {
				_, err := client.CoreV1().Pods(namespace).Get(t.Context(), "web", metav1.GetOptions{})
				if apierrors.IsNotFound(err) {
					return nil
				}
				return cmp.Or(err, fmt.Errorf("the pod is there"))
			})
			took := time.Since(began)
			t.Logf("gone after %s", took)
			if took < test.drain {
				t.Errorf("gone after %s, want at least %s", took, test.drain)
			}
		})
	}
}
