// SPDX-License-Identifier: Apache-2.0

package product

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/sandbox"
)

// leftBehind are releases in all styles, each in the middle of a step when the manager dies.
var leftBehind = map[string]v1beta1.RolloutStrategy{
	"partition": {Canary: &v1beta1.CanaryStrategy{Steps: stepOf("40%"), TrafficRoutings: routings}},
	"canary":    {Canary: &v1beta1.CanaryStrategy{Steps: stepOf("40%"), EnableExtraWorkloadForCanary: true, TrafficRoutings: routings}},
	"bluegreen": {BlueGreen: &v1beta1.BlueGreenStrategy{Steps: stepOf("100%"), TrafficRoutings: routings}},
}

var routings = []v1beta1.TrafficRoutingRef{{Service: "web", Ingress: &v1beta1.IngressTrafficRouting{Name: "web"}}}

func stepOf(replicas string) []v1beta1.CanaryStep {
	s := v1beta1.CanaryStep{Replicas: new(intstr.FromString(replicas))}
	s.Traffic = new("40%")
	return []v1beta1.CanaryStep{s, {Replicas: new(intstr.FromString("100%"))}}
}

// TestEject: the manager dies in the middle of releases and never comes back. "manager eject" restores everything, and
// nothing is in the way of anybody then; asked again it finds nothing to do.
func TestEject(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c, err := sandbox.Start(ctx, sandbox.Options{Log: testLog{t}})
	must(t, err)
	t.Cleanup(func() { must(t, c.Stop()) })
	binaries := t.TempDir()
	must(t, Build(ctx, binaries, testLog{t}, "manager"))
	kubeconfig, err := Install(ctx, c)
	must(t, err)
	user, err := client.New(c.Config(), client.Options{Scheme: controller.Scheme()})
	must(t, err)
	manager := replica(ctx, t, binaries, kubeconfig)
	originals := map[string]*appsv1.Deployment{}
	for name, strategy := range leftBehind {
		originals[name] = release(ctx, t, user, name, strategy)
	}
	manager.Kill()

	for range 2 {
		out, err := exec.CommandContext(ctx, filepath.Join(binaries, "manager"), "eject", "--kubeconfig", kubeconfig).CombinedOutput()
		t.Logf("manager eject:\n%s", out)
		must(t, err)
		if !strings.Contains(string(out), "every workload is restored") {
			t.Fatal("it does not say that it is done")
		}
	}
	for name, original := range originals {
		left(ctx, t, user, name, original)
	}
	for _, kind := range []string{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: kind + "List"})
		if must(t, user.List(ctx, list)); len(list.Items) > 0 {
			t.Errorf("%d %ss are left", len(list.Items), kind)
		}
	}
}

// release leaves a Deployment in the middle of a release, in a namespace of its own, and returns it as it was before.
func release(ctx context.Context, t *testing.T, user client.Client, name string, strategy v1beta1.RolloutStrategy) *appsv1.Deployment {
	t.Helper()
	labels := map[string]string{"app": "web"}
	meta := metav1.ObjectMeta{Namespace: name, Name: "web"}
	d := &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Replicas: new(int32(5)), Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example/web:v1"}}}},
	}}
	ingress := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": map[string]any{"namespace": name, "name": "web"},
		"spec": map[string]any{"ingressClassName": "nginx", "rules": []any{map[string]any{"http": map[string]any{"paths": []any{map[string]any{
			"path": "/", "pathType": "Prefix", "backend": map[string]any{"service": map[string]any{"name": "web", "port": map[string]any{"number": int64(80)}}},
		}}}}}},
	}}
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, d, ingress,
		&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80}}}},
		&v1beta1.Rollout{ObjectMeta: meta, Spec: v1beta1.RolloutSpec{
			WorkloadRef: v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}, Strategy: strategy,
		}},
	} {
		must(t, user.Create(ctx, o))
	}
	reach := func(phase v1beta1.RolloutPhase, state v1beta1.CanaryStepState) {
		t.Helper()
		ro := &v1beta1.Rollout{}
		err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			err := user.Get(ctx, client.ObjectKey{Namespace: name, Name: "web"}, ro)
			return ro.Status.Phase == phase && ro.Status.CurrentStepState == state, err
		})
		if err != nil {
			t.Fatalf("%s is %s %s: %s", name, ro.Status.Phase, ro.Status.CurrentStepState, ro.Status.Message)
		}
	}
	reach(v1beta1.PhaseHealthy, v1beta1.StepCompleted)
	must(t, user.Get(ctx, client.ObjectKeyFromObject(d), d))
	original := d.DeepCopy()
	patch := client.RawPatch("application/strategic-merge-patch+json", []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"example/web:v2"}]}}}}`))
	must(t, user.Patch(ctx, d, patch))
	reach(v1beta1.PhaseProgressing, v1beta1.StepPaused)
	return original
}

// left looks what is left of a release.
func left(ctx context.Context, t *testing.T, user client.Client, name string, original *appsv1.Deployment) {
	t.Helper()
	d := &appsv1.Deployment{}
	must(t, user.Get(ctx, client.ObjectKeyFromObject(original), d))
	want := original.Spec.DeepCopy()
	want.Template = d.Spec.Template
	if !equality.Semantic.DeepEqual(*want, d.Spec) {
		t.Errorf("%s: the spec is %+v, was %+v", name, d.Spec, *want)
	}
	for key := range d.Annotations {
		if strings.Contains(key, "kruise.io") {
			t.Errorf("%s: annotation %s is left", name, key)
		}
	}
	if len(d.Labels) > 0 {
		t.Errorf("%s: labels %v are left", name, d.Labels)
	}
	service := &corev1.Service{}
	if must(t, user.Get(ctx, client.ObjectKeyFromObject(original), service)); len(service.Spec.Selector) != 1 {
		t.Errorf("%s: the Service selects %v", name, service.Spec.Selector)
	}
	for _, o := range []client.Object{d, service} { // no admission was asked any more
		for _, e := range o.GetManagedFields() {
			if e.Manager == v1beta1.FieldManager && strings.Contains(e.FieldsV1.GetRawString(), "f:spec") {
				t.Errorf("%s: the manager owns %s of %T", name, e.FieldsV1.GetRawString(), o)
			}
		}
	}
	if err := user.Get(ctx, client.ObjectKey{Namespace: name, Name: "web-canary"}, service); !apierrors.IsNotFound(err) {
		t.Errorf("%s: the canary Service is left: %v", name, err)
	}
	must(t, user.Patch(ctx, d, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"labels":{"a":%q}}}`, name))))
	ro := &v1beta1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "web"}}
	must(t, user.Delete(ctx, ro))
	if err := user.Get(ctx, client.ObjectKeyFromObject(ro), ro); !apierrors.IsNotFound(err) {
		t.Errorf("%s: the Rollout stays, with finalizers %v: %v", name, ro.Finalizers, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
