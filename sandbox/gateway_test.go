// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/internal/sim"
	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/load"
)

// requests is how many each weight is measured with.
const requests = 2000

// shop is a namespace with two versions of an application, behind the Services v1 and v2.
type shop struct {
	t         *testing.T
	namespace string
	client    ctrlclient.Client
}

// newShop makes one, of pods that serve for so long after they were deleted.
func newShop(t *testing.T, drain time.Duration) *shop {
	t.Helper()
	needListeners(t)
	c, err := ctrlclient.New(cluster.Config(), ctrlclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, namespace: newNamespace(t), client: c}
	for _, version := range []string{"v1", "v2"} {
		s.deploy(version, drain)
		s.service(version, version)
	}
	for _, version := range []string{"v1", "v2"} {
		waitForDeployment(t, s.namespace, version, func(d *appsv1.Deployment) bool { return d.Status.AvailableReplicas == 2 })
	}
	return s
}

func (s *shop) deploy(version string, drain time.Duration) {
	s.t.Helper()
	s.apply(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}, annotations: {%[2]s: %[3]s}}
    spec:
      containers:
      - name: main
        image: echoserver
        ports: [{containerPort: 8080}]
        env: [{name: VERSION, value: %[1]s}]
`, version, sim.DrainAnnotation, drain)
}

func (s *shop) service(name, version string) {
	s.t.Helper()
	s.apply("{apiVersion: v1, kind: Service, metadata: {name: %s}, spec: {selector: {app: %s}, ports: [{port: 80, targetPort: 8080}]}}", name, version)
}

// apply applies an object in YAML.
func (s *shop) apply(format string, args ...any) {
	s.t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(fmt.Appendf(nil, format, args...), &object.Object); err != nil {
		s.t.Fatal(err)
	}
	object.SetNamespace(s.namespace)
	if err := s.client.Apply(s.t.Context(), ctrlclient.ApplyConfigurationFromUnstructured(object), ctrlclient.ForceOwnership, ctrlclient.FieldOwner("test")); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) host() string { return s.namespace + ".example.com" }

// route applies an HTTPRoute with rules in YAML.
func (s *shop) route(rules string) {
	s.t.Helper()
	s.apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: %s, namespace: %s}]
  hostnames: [%s]
  rules: %s
`, sandbox.GatewayName, sandbox.GatewayNamespace, s.host(), rules)
}

// ingress applies an Ingress that routes to a Service.
func (s *shop) ingress(service string, annotations map[string]string) {
	s.t.Helper()
	content, err := yaml.Marshal(annotations)
	if err != nil {
		s.t.Fatal(err)
	}
	s.apply(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: %[1]s
  annotations:
    %[2]s
spec:
  ingressClassName: %[3]s
  rules:
  - host: %[4]s
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: %[1]s, port: {number: 80}}}}]}
`, service, strings.ReplaceAll(string(content), "\n", "\n    "), sandbox.IngressClass, s.host())
}

// ask sends requests through the gateway.
func (s *shop) ask(options load.Options) *load.Load {
	s.t.Helper()
	gateway, err := cluster.Gateway()
	if err != nil {
		s.t.Fatal(err)
	}
	options.Address, options.Dial, options.Host = gateway.Address, cluster.Dial, s.host()
	return load.Start(s.t.Context(), options)
}

// until waits for the gateway to have taken notice of what was applied, as the given versions answer and nothing fails.
func (s *shop) until(header http.Header, versions ...string) {
	s.t.Helper()
	eventually(s.t, func() error {
		report := s.ask(load.Options{Header: header, Rate: 1000, Count: 40}).Wait()
		for _, version := range versions {
			if report.Shares[version] == 0 {
				return fmt.Errorf("not answered by %s: %s", version, report)
			}
		}
		if len(report.Shares) != len(versions) || report.Failed > 0 {
			return fmt.Errorf("not only answered by %v: %s", versions, report)
		}
		return nil
	})
}

// measure checks that no request fails and that v2 has its weight, in percent.
func (s *shop) measure(percent int, options load.Options) {
	s.t.Helper()
	options.Rate, options.Count = 1000, requests
	began := time.Now()
	report := s.ask(options).Wait()
	s.t.Logf("in %s: %s", time.Since(began).Round(time.Millisecond), report)
	want, tolerance := requests*percent/100, requests/100
	if n := report.Shares["v2"]; n < want-tolerance || n > want+tolerance || report.Failed > 0 || report.Total != requests {
		s.t.Errorf("%s\nwant %d by v2, and none failed", report, want)
	}
}

const (
	shared = "[{backendRefs: [{name: v1, port: 80, weight: %d}, {name: v2, port: 80, weight: %d}]}]"
	byUser = "[{matches: [{headers: [{name: User, value: tester}]}], backendRefs: [{name: v2, port: 80}]}, {backendRefs: [{name: v1, port: 80}]}]"
)

func TestGatewayAPI(t *testing.T) {
	s := newShop(t, 0)
	s.route(fmt.Sprintf(shared, 80, 20))
	s.until(nil, "v1", "v2")
	t.Run("weights", func(t *testing.T) { s.on(t).measure(20, load.Options{}) })
	t.Run("weights, keep-alive", func(t *testing.T) { s.on(t).measure(20, load.Options{KeepAlive: true}) })

	t.Run("changes", func(t *testing.T) {
		s := s.on(t)
		all := s.ask(load.Options{Rate: 200, KeepAlive: true})
		defer all.Stop()
		for _, weight := range []int{50, 100, 0, 20} {
			began := time.Now()
			s.route(fmt.Sprintf(shared, 100-weight, weight))
			eventually(t, func() error {
				shares := all.Shares(time.Now().Add(-200 * time.Millisecond))
				sum := shares["v1"] + shares["v2"]
				if off := shares["v2"]*100/max(sum, 1) - weight; sum < 30 || off < -8 || off > 8 {
					return fmt.Errorf("%v", shares)
				}
				return nil
			})
			t.Logf("%d %% after %s", weight, time.Since(began).Round(time.Millisecond))
		}
		if report := all.Stop(); report.Failed > 0 {
			t.Errorf("while weights changed: %s", report)
		}
	})

	t.Run("header", func(t *testing.T) {
		s := s.on(t)
		s.route(byUser)
		tester := http.Header{"User": {"tester"}}
		s.until(tester, "v2")
		s.until(nil, "v1")
		s.measure(100, load.Options{Header: tester})
		s.measure(0, load.Options{Header: http.Header{"User": {"somebody"}}})
	})
}

func TestIngress(t *testing.T) {
	s := newShop(t, 0)
	const annotation = "nginx.ingress.kubernetes.io/"
	s.ingress("v1", nil)
	s.until(nil, "v1")
	t.Run("weight", func(t *testing.T) {
		s := s.on(t)
		s.ingress("v2", map[string]string{annotation + "canary": "true", annotation + "canary-weight": "20"})
		s.until(nil, "v1", "v2")
		s.measure(20, load.Options{})
		s.measure(20, load.Options{KeepAlive: true})
	})
	t.Run("header", func(t *testing.T) {
		s := s.on(t)
		s.ingress("v2", map[string]string{
			annotation + "canary": "true", annotation + "canary-by-header": "User", annotation + "canary-by-header-value": "tester",
		})
		tester := http.Header{"User": {"tester"}}
		s.until(tester, "v2")
		s.until(nil, "v1")
		s.measure(100, load.Options{Header: tester})
		s.measure(0, load.Options{Header: http.Header{"User": {"somebody"}}})
	})
}

// TestPodsGoWithoutLoss has pods that go under load. Those that drain may go at any time, as the gateway hears of it before they
// stop; those that do not may go when no request is sent to them any more.
func TestPodsGoWithoutLoss(t *testing.T) {
	const to = "[{backendRefs: [{name: %s, port: 80}]}]"
	for name, keepAlive := range map[string]bool{"keep-alive": true, "new connections": false} {
		t.Run("drained, "+name, func(t *testing.T) {
			s := newShop(t, 2*time.Second)
			s.route(fmt.Sprintf(to, "v1"))
			s.until(nil, "v1")
			all := s.ask(load.Options{Rate: 200, KeepAlive: keepAlive})
			defer all.Stop()
			s.patch("v1", `{"spec": {"template": {"metadata": {"labels": {"again": "yes"}}}}}`)
			s.onlyPods("again=yes", 2)
			if report := all.Stop(); report.Failed > 0 {
				t.Errorf("while pods were replaced: %s", report)
			}
		})
		t.Run("left before, "+name, func(t *testing.T) {
			s := newShop(t, 0)
			s.route(fmt.Sprintf(to, "v1"))
			s.until(nil, "v1")
			all := s.ask(load.Options{Rate: 200, KeepAlive: keepAlive})
			defer all.Stop()
			s.route(fmt.Sprintf(to, "v2"))
			s.until(nil, "v2")
			s.patch("v1", `{"spec": {"replicas": 0}}`)
			s.onlyPods("none", 0)
			s.measure(100, load.Options{KeepAlive: keepAlive})
			if report := all.Stop(); report.Failed > 0 {
				t.Errorf("while pods that nobody asks went: %s", report)
			}
		})
	}
}

// patch patches a Deployment.
func (s *shop) patch(name, patch string) {
	s.t.Helper()
	_, err := client.AppsV1().Deployments(s.namespace).Patch(s.t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
}

// onlyPods waits until v1 has as many pods with the label, and no others.
func (s *shop) onlyPods(label string, want int) {
	s.t.Helper()
	count := func(selector string) int {
		pods, err := client.CoreV1().Pods(s.namespace).List(s.t.Context(), metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			s.t.Fatal(err)
		}
		return len(pods.Items)
	}
	eventually(s.t, func() error {
		if all, labelled := count("app=v1"), count("app=v1,"+label); all != want || labelled != want {
			return fmt.Errorf("%d of %d pods have label %s", labelled, all, label)
		}
		return nil
	})
}

// on is the shop in a subtest.
func (s *shop) on(t *testing.T) *shop { return &shop{t: t, namespace: s.namespace, client: s.client} }

// TestGatewayWithoutBackends shows what happens where a route leads nowhere, which the order of a release has to avoid. It
// fails when a gateway of another version is kinder.
func TestGatewayWithoutBackends(t *testing.T) {
	s := newShop(t, 0)
	s.service("empty", "nothing")
	s.route("[{backendRefs: [{name: v1, port: 80}]}]")
	s.until(nil, "v1")
	const with = "[{backendRefs: [{name: v1, port: 80, weight: %d}, {name: %s, port: 80, weight: %d}]}]"
	for _, test := range []struct {
		name, service string
		weight        int
		want          string // of half of the requests; empty for no failures
	}{
		{"no pods", "empty", 50, "503"},
		{"no pods, weight 0", "empty", 0, ""},
		{"no Service", "none", 50, "500"},
		{"no Service, weight 0", "none", 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := s.on(t)
			s.route(fmt.Sprintf(with, 100-test.weight, test.service, test.weight))
			if test.want == "" {
				s.until(nil, "v1")
				s.measure(0, load.Options{})
				return
			}
			eventually(t, func() error {
				report := s.ask(load.Options{Rate: 1000, Count: 100}).Wait()
				if report.Failed < 45 || report.Failed > 55 || !strings.HasPrefix(report.Failures[0].Reason, test.want) {
					return errors.New(report.String())
				}
				return nil
			})
		})
	}
}

func TestNamesLeadToTheGateway(t *testing.T) {
	s := newShop(t, 0)
	s.route("[{backendRefs: [{name: v1, port: 80}]}]")
	s.until(nil, "v1")
	if text := get(t, "http://"+s.host()+"/"); !strings.Contains(text, "\tVERSION=v1\n") {
		t.Errorf("http://%s/ answers\n%s", s.host(), text)
	}
	gateway, err := cluster.Gateway()
	if err != nil {
		t.Fatal(err)
	}
	if text := get(t, gateway.Metrics); !strings.Contains(text, "traefik_service_requests_total{") {
		t.Errorf("the gateway's metrics hold no requests:\n%s", text)
	}
}

// TestInstallGatewayAPI does it once more where there is a gateway, which does no harm.
func TestInstallGatewayAPI(t *testing.T) {
	t.Parallel()
	if err := cluster.InstallGatewayAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	served, err := client.Discovery().ServerResourcesForGroupVersion("gateway.networking.k8s.io/v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, resource := range served.APIResources {
		if resource.Name == "httproutes" {
			return
		}
	}
	t.Errorf("served are %v, want httproutes among them", served.APIResources)
}

func TestNoGateway(t *testing.T) {
	t.Parallel()
	if _, err := (&sandbox.Cluster{}).Gateway(); !errors.Is(err, sandbox.ErrNoGateway) {
		t.Errorf("the gateway of a sandbox without one: %v, want %v", err, sandbox.ErrNoGateway)
	}
}
