// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/sim"
	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/internal/agent"
	"kruise.io/rollouts/sandbox/load"
)

const (
	rate = 60 // requests per second of a release
	size = 5  // pods
	// exposed is the share of the first step, in percent: of pods and of requests.
	exposed = 20
	// How long an answer takes: of the stable version nine of ten less than 0.1 s, the least that the gateway tells apart.
	stableLatency = "20ms-110ms"
	slowLatency   = "60ms-330ms"
)

// series begins the names of the gateway's series of a shop; the Service's name follows.
const series = "httproute-{{rollouts.namespace}}-web-gw-.+-svc-{{rollouts.namespace}}"

// template has two metrics of the canary's requests, as the gateway counts them: the share that fails, and how long they take
// compared with those of the stable version.
const template = `
apiVersion: rollouts.kruise.io/v1beta1
kind: AnalysisTemplate
metadata: {name: requests}
spec:
  args:
  - {name: address, value: %q}
  - {name: failures, value: "0"}
  metrics:
  - name: errors
    initialDelay: 5s
    interval: 5s
    count: 3
    failureLimit: "{{args.failures}}"
    consecutiveErrorLimit: 0
    successCondition: result[0] < 0.05
    provider:
      prometheus:
        address: "{{args.address}}"
        query: |
          (sum(rate(traefik_service_requests_total{service=~"%[2]s-web-canary-[0-9]+@kubernetesgateway",code=~"5.."}[10s])) or vector(0))
            / sum(rate(traefik_service_requests_total{service=~"%[2]s-web-canary-[0-9]+@kubernetesgateway"}[10s]))
  - name: latency
    initialDelay: 5s
    interval: 5s
    count: 3
    consecutiveErrorLimit: 0
    successCondition: result[0] < 2
    provider:
      prometheus:
        address: "{{args.address}}"
        query: |
          (sum(rate(traefik_service_request_duration_seconds_sum{service=~"%[2]s-web-canary-[0-9]+@kubernetesgateway"}[10s]))
            / sum(rate(traefik_service_request_duration_seconds_count{service=~"%[2]s-web-canary-[0-9]+@kubernetesgateway"}[10s])))
          / (sum(rate(traefik_service_request_duration_seconds_sum{service=~"%[2]s-web-[0-9]+@kubernetesgateway"}[10s]))
            / sum(rate(traefik_service_request_duration_seconds_count{service=~"%[2]s-web-[0-9]+@kubernetesgateway"}[10s])))
`

// shop is a namespace with a Deployment, a Service, a route, a Rollout, and load.
type shop struct {
	t         *testing.T
	namespace string
	crashes   bool // v2 does: requests that are in it then are lost
	journal   *journal
	loads     []*load.Load
	began     time.Time
	notes     []note
}

// note is what a test has to say of a moment.
type note struct {
	at   time.Time
	text string
}

// newShop makes one at version v1, whose templates ask a Prometheus, and sends load to it. Its steps but the last have an analysis, or
// there is one beside all steps and they are approved by nobody.
func newShop(t *testing.T, asked *sandbox.Prometheus, analysis, background string) *shop {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-"}}
	if err := user.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, namespace: ns.Name}
	// Pods that go serve for longer than the gateway takes to notice: what is lost then is nobody's but ours.
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
      annotations: {%s: 200ms, %s: 3s, %s: %s}
    spec:
      containers:
      - name: main
        image: echoserver
        ports: [{containerPort: 8080}]
        env: [{name: VERSION, value: v1}]
`, size, sim.ReadyAfterAnnotation, sim.DrainAnnotation, agent.LatencyAnnotation, stableLatency)
	s.apply("{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}")
	s.apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: %s, namespace: %s}]
  hostnames: [%s]
  rules: [{backendRefs: [{name: web, port: 80}]}]
`, sandbox.GatewayName, sandbox.GatewayNamespace, s.host())
	s.apply(template, asked.Address, series)
	s.pods("v1")
	s.journal = keepJournal(t, s.namespace)
	gate := "pause: {}"
	if analysis != "" {
		gate = fmt.Sprintf("analysis: {%s, onFailure: abort}, pause: {duration: 0}", analysis)
	}
	s.apply(`
apiVersion: rollouts.kruise.io/v1beta1
kind: Rollout
metadata: {name: web}
spec:
  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  strategy:
    canary:
      enableExtraWorkloadForCanary: true
      analysis: {%s}
      trafficRoutings: [{service: web, gracePeriodSeconds: 1, gateway: {httpRouteName: web}}]
      steps:
      - {replicas: %d%%, traffic: %[2]d%%, %[3]s}
      - {replicas: 60%%, traffic: 60%%, %[3]s}
      - {replicas: 100%%, traffic: 100%%, pause: {duration: 0}}
`, background, exposed, gate)
	s.journal.until(t, "Healthy", func(e entry) bool { return e.status.Phase == v1beta1.PhaseHealthy })
	s.eventually(func(ctx context.Context) error {
		if report := load.Start(ctx, s.load(20, 20, false)).Wait(); report.Failed > 0 || report.Shares["v1"] != 20 {
			return errors.New(report.String())
		}
		return nil
	})
	s.began = time.Now()
	for _, keepAlive := range []bool{true, false} {
		s.loads = append(s.loads, load.Start(t.Context(), s.load(rate/2, 0, keepAlive)))
	}
	return s
}

func (s *shop) host() string { return s.namespace + ".example.com" }

func (s *shop) load(rate, count int, keepAlive bool) load.Options {
	return load.Options{
		Address: gateway.Address, Dial: cluster.Dial, Host: s.host(), Rate: rate, Count: count, KeepAlive: keepAlive, Keep: 10_000,
	}
}

func (s *shop) note(format string, args ...any) {
	s.notes = append(s.notes, note{time.Now(), fmt.Sprintf(format, args...)})
}

// apply applies an object in YAML, as a user does.
func (s *shop) apply(format string, args ...any) {
	s.t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(fmt.Appendf(nil, format, args...), &object.Object); err != nil {
		s.t.Fatal(err)
	}
	object.SetNamespace(s.namespace)
	err := user.Apply(s.t.Context(), client.ApplyConfigurationFromUnstructured(object), client.ForceOwnership, client.FieldOwner("test"))
	if err != nil {
		s.t.Fatal(err)
	}
}

// release releases v2, with pods that behave as their annotations say.
func (s *shop) release(annotations string) {
	s.t.Helper()
	s.note("> v2 %s", annotations)
	patch := fmt.Sprintf(`{"spec": {"template": {"metadata": {"annotations": %s}, "spec": {"containers": [{"name": "main", "env": [{"name": "VERSION", "value": "v2"}]}]}}}}`, annotations)
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "web"}}
	if err := user.Patch(s.t.Context(), d, client.RawPatch(types.StrategicMergePatchType, []byte(patch))); err != nil {
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

// pods waits until there are all pods of a version, and no others.
func (s *shop) pods(version string) {
	s.t.Helper()
	s.eventually(func(ctx context.Context) error {
		pods := &corev1.PodList{}
		if err := user.List(ctx, pods, client.InNamespace(s.namespace)); err != nil {
			return err
		}
		count := map[string]int{}
		for _, p := range pods.Items {
			ready := slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
			})
			count[fmt.Sprintf("%s ready=%t going=%t", p.Spec.Containers[0].Env[0].Value, ready, p.DeletionTimestamp != nil)]++
		}
		if len(count) != 1 || count[version+" ready=true going=false"] != size {
			return fmt.Errorf("the pods are %v", count)
		}
		return nil
	})
}

// asked is how many requests there were since a moment, and how many of them came to v2, or may have.
func (s *shop) asked(since time.Time) (all, new int) {
	for _, l := range s.loads {
		for _, r := range l.Requests(since) {
			all++
			if r.Version != "v1" {
				new++
			}
		}
	}
	return all, new
}

// check stops the load, says what happened when, and complains about every request that no pod has answered. Where v2 crashes, it
// is v2 that loses those that the gateway answers until all requests go to v1; but of v1's the gateway must not have counted any.
func (s *shop) check() {
	s.t.Helper()
	sum, asked, lost, crashed := 0, 0, 0, 0
	for _, l := range s.loads {
		report := l.Stop()
		sum += report.Total
		for _, f := range report.Failures {
			what := "LOST "
			switch {
			case f.Version == "v2":
				asked++
				continue
			case s.crashes && s.withdrawn(f.Sent):
				crashed++
				what = "CRASHED WITH "
			default:
				lost++
			}
			s.notes = append(s.notes, note{f.Sent, what + f.Reason})
		}
		if report.Failed > len(report.Failures) {
			s.t.Errorf("%d failures are not kept", report.Failed-len(report.Failures))
		}
	}
	for _, e := range s.journal.since(s.began) {
		s.notes = append(s.notes, note{e.at, e.String()})
	}
	slices.SortStableFunc(s.notes, func(a, b note) int { return a.at.Compare(b.at) })
	var text strings.Builder
	fmt.Fprintf(&text, "%d requests, %d answered with an error by v2, %d lost by its crashes, %d lost, %s",
		sum, asked, crashed, lost, time.Since(s.began).Round(100*time.Millisecond))
	for _, n := range s.notes {
		fmt.Fprintf(&text, "\n  %6.2fs  %s", n.at.Sub(s.began).Seconds(), n.text)
	}
	s.t.Log(text.String())
	if lost > 0 {
		s.t.Errorf("%d requests were lost", lost)
	}
	if n := s.failed(); n > 0 {
		s.t.Errorf("%d requests that the gateway had sent to v1 were lost", n)
	}
}

// withdrawn reports whether v2 had no ready pod at about a time, so that the release has led all requests to v1.
func (s *shop) withdrawn(at time.Time) bool {
	const late = 2 * time.Second // the gateway takes up both that the pod is gone and that the route is another
	return slices.ContainsFunc(s.journal.since(s.began), func(e entry) bool {
		return strings.Contains(e.status.Message, "all traffic is routed to the stable version") && at.Sub(e.at).Abs() < late
	})
}

// failed is how many requests that the gateway had sent to v1 were answered with a 5xx, as it counts them itself.
func (s *shop) failed() int {
	s.t.Helper()
	begins := strings.ReplaceAll(series, "{{rollouts.namespace}}", s.namespace)
	at := time.Now()
	var failed float64
	s.eventually(func(ctx context.Context) error {
		read, err := s.ask(ctx, `timestamp(up{job="gateway"} == 1)`)
		if err == nil && read <= float64(at.Unix()) {
			err = errors.New("the gateway's metrics are old")
		}
		if err == nil {
			failed, err = s.ask(ctx, fmt.Sprintf(`sum(max_over_time(traefik_service_requests_total{service=~"%s-web-[0-9]+@kubernetesgateway",code=~"5.."}[1h])) or vector(0)`, begins))
		}
		return err
	})
	return int(failed)
}

// ask asks Prometheus for a number.
func (s *shop) ask(ctx context.Context, query string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, prometheus.Address+"/api/v1/query?"+url.Values{"query": {query}}.Encode(), http.NoBody)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	var said struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		return 0, err
	}
	if len(said.Data.Result) != 1 {
		return 0, fmt.Errorf("%s: %v", query, said)
	}
	text, _ := said.Data.Result[0].Value[1].(string)
	return strconv.ParseFloat(text, 64)
}
