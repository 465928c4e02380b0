// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/sim"
	"kruise.io/rollouts/sandbox"
)

// patience is how long tests wait for the next thing to happen.
const patience = 2 * time.Minute

// kind is what is released, and how.
type kind struct {
	style string // partition or canary
	route string // HTTPRoute or Ingress
	drain time.Duration
	grace int // gracePeriodSeconds
	few   int // pods; 0: five
}

// size is how many pods are released.
func (k kind) size() int {
	if k.few > 0 {
		return k.few
	}
	return 5
}

func (k kind) String() string { return fmt.Sprintf("%s, %s, drain %s", k.style, k.route, k.drain) }

// shop is a namespace with a Deployment of five pods, a Service and a route that routes to it.
type shop struct {
	kind
	*site
	t         *testing.T
	namespace string
}

// newShop makes one, at version v1.
func newShop(t *testing.T, at *site, k kind) *shop {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-"}}
	if err := at.user.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	s := &shop{kind: k, site: at, t: t, namespace: ns.Name}
	s.apply(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations: {%s: 200ms, %s: %s}
    spec:
      containers:
      - name: main
        image: echoserver
        ports: [{containerPort: 8080}]
        env: [{name: VERSION, value: v1}]
`, k.size(), sim.ReadyAfterAnnotation, sim.DrainAnnotation, k.drain)
	s.apply("{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}")
	if k.route == "Ingress" {
		s.apply(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  ingressClassName: %s
  rules:
  - host: %s
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
`, sandbox.IngressClass, s.host())
		return s
	}
	s.apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: %s, namespace: %s}]
  hostnames: [%s]
  rules: [{backendRefs: [{name: web, port: 80}]}]
`, sandbox.GatewayName, sandbox.GatewayNamespace, s.host())
	return s
}

func (s *shop) host() string { return s.namespace + ".example.com" }

// apply applies an object in YAML, as a user does.
func (s *shop) apply(format string, args ...any) {
	s.t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(fmt.Appendf(nil, format, args...), &object.Object); err != nil {
		s.t.Fatal(err)
	}
	object.SetNamespace(s.namespace)
	err := s.user.Apply(s.t.Context(), client.ApplyConfigurationFromUnstructured(object), client.ForceOwnership, client.FieldOwner("test"))
	if err != nil {
		s.t.Fatal(err)
	}
}

// rollout applies a Rollout with steps in YAML.
func (s *shop) rollout(steps []string) {
	s.t.Helper()
	ref := "gateway: {httpRouteName: web}"
	if s.route == "Ingress" {
		ref = "ingress: {name: web}"
	}
	s.apply(`
apiVersion: rollouts.kruise.io/v1beta1
kind: Rollout
metadata: {name: web}
spec:
  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  strategy:
    canary:
      enableExtraWorkloadForCanary: %t
      trafficRoutings: [{service: web, gracePeriodSeconds: %d, %s}]
      steps:
      - %s
`, s.style == "canary", s.grace, ref, strings.Join(steps, "\n      - "))
}

// release has the Deployment be of a version.
func (s *shop) release(version string) {
	s.t.Helper()
	d := &unstructured.Unstructured{}
	d.SetAPIVersion("apps/v1")
	d.SetKind("Deployment")
	s.patch(d, fmt.Sprintf(`{"spec": {"template": {"spec": {"containers": [{"name": "main", "env": [{"name": "VERSION", "value": %q}]}]}}}}`, version))
}

func (s *shop) patch(object *unstructured.Unstructured, patch string) {
	s.t.Helper()
	object.SetNamespace(s.namespace)
	object.SetName("web")
	s.mu.Lock() // users come back when admission is there
	defer s.mu.Unlock()
	if err := s.user.Patch(s.t.Context(), object, client.RawPatch(types.StrategicMergePatchType, []byte(patch))); err != nil {
		s.t.Fatal(err)
	}
}

// approve lets a release go on to its next step.
func (s *shop) approve() {
	s.t.Helper()
	ro := &v1beta1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "web"}}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"status": {"canaryStatus": {"currentStepState": "StepReady"}}}`))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.user.Status().Patch(s.t.Context(), ro, patch); err != nil {
		s.t.Fatal(err)
	}
}

// leave deletes the Rollout.
func (s *shop) leave() {
	s.t.Helper()
	if err := s.user.Delete(s.t.Context(), &v1beta1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "web"}}); err != nil {
		s.t.Fatal(err)
	}
}

// eventually tries until there is no error.
func (s *shop) eventually(try func(context.Context) error) {
	s.t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(s.t.Context(), 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		last = try(ctx)
		return last == nil, nil
	})
	if err != nil {
		s.t.Fatalf("%v: %v", err, last)
	}
}

// pods waits until there are all pods of a version, all of them ready, and no others.
func (s *shop) pods(version string) {
	s.t.Helper()
	s.eventually(func(ctx context.Context) error {
		pods := &corev1.PodList{}
		if err := s.user.List(ctx, pods, client.InNamespace(s.namespace)); err != nil {
			return err
		}
		count := map[string]int{}
		for _, p := range pods.Items {
			if p.Labels["app"] == "web" {
				count[described(p)]++
			}
		}
		if len(count) != 1 || count[version] != s.size() {
			return fmt.Errorf("the pods are %v", count)
		}
		return nil
	})
}

func described(p corev1.Pod) string {
	version := p.Spec.Containers[0].Env[0].Value
	if p.DeletionTimestamp != nil {
		return version + " terminating"
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return version
		}
	}
	return version + " unready"
}

// tidy checks that nothing is left of how requests were routed.
func (s *shop) tidy() {
	s.t.Helper()
	services, ingresses := &corev1.ServiceList{}, &networkingv1.IngressList{}
	err := errors.Join(s.user.List(s.t.Context(), services, client.InNamespace(s.namespace)), s.user.List(s.t.Context(), ingresses, client.InNamespace(s.namespace)))
	if err != nil {
		s.t.Fatal(err)
	}
	if len(services.Items) != 1 || len(services.Items[0].Spec.Selector) != 1 || len(ingresses.Items) > 1 {
		s.t.Errorf("there are %d Services, the first selects %v, and %d Ingresses", len(services.Items), services.Items[0].Spec.Selector, len(ingresses.Items))
	}
}
