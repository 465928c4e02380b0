// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/sandbox/product"
	"kruise.io/rollouts/test/scenario"
)

// complaints are what the managers have logged that they should not have had to.
func (d *daemon) complaints() error {
	var all []error
	for _, name := range d.logs {
		file, err := os.Open(filepath.Clean(name))
		if err != nil {
			return fmt.Errorf("reading what a manager has logged: %w", err)
		}
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			line := strings.ToLower(lines.Text())
			if strings.Contains(line, "forbidden") || strings.Contains(line, "panic") {
				all = append(all, errors.New(lines.Text()))
			}
		}
		_ = file.Close()
	}
	return errors.Join(all...)
}

// heard collects warnings.
type heard struct {
	mu   sync.Mutex
	text string
}

// HandleWarningHeaderWithContext takes a warning.
func (h *heard) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text += text + "\n"
}

// object reads YAML.
func object(t *testing.T, namespace, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	o.SetNamespace(namespace)
	return o
}

// TestWarning checks that who changes a managed workload gets a warning about it.
func TestWarning(t *testing.T) {
	t.Parallel()
	root, err := product.Root()
	if err != nil {
		t.Fatal(err)
	}
	s, dir := newStage(t), filepath.Join(root, "test", "scenarios")
	p, err := scenario.Start(t.Context(), s, &scenario.Story{Steps: []scenario.Step{{Until: &scenario.Until{Phase: "Healthy"}}}}, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := &heard{}
	c, err := s.newUser(h)
	if err != nil {
		t.Fatal(err)
	}
	d := object(t, s.namespace, "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}}")
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"template":{"metadata":{"annotations":{"a":"b"}}}}}`))
	if err := c.Patch(t.Context(), d, patch); err != nil {
		t.Fatal(err)
	}
	if paused, _, _ := unstructured.NestedBool(d.Object, "spec", "paused"); !paused {
		t.Error("the answer to the update does not show that it is held")
	}
	if want := `Deployment "web" is managed by Rollout "web": the change is held and released in 3 steps`; !strings.Contains(h.text, want) {
		t.Errorf("warned %q, want %q", h.text, want)
	}
}

// TestValidation checks that both versions of the API refuse what is wrong, and say what to write instead.
func TestValidation(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const head = "{apiVersion: rollouts.kruise.io/%s, kind: Rollout, metadata: {name: x}, spec: %s}"
	for name, c := range map[string]struct{ version, spec, want string }{
		"v1beta1, no steps":        {"v1beta1", "{workloadRef: {apiVersion: apps/v1, kind: Deployment, name: x}, strategy: {canary: {steps: []}}}", "Steps"},
		"v1beta1, no strategy":     {"v1beta1", "{workloadRef: {apiVersion: apps/v1, kind: Deployment, name: x}, strategy: {}}", "Strategy"},
		"v1beta1, falling sizes":   {"v1beta1", "{workloadRef: {apiVersion: apps/v1, kind: Deployment, name: x}, strategy: {canary: {steps: [{replicas: 5}, {replicas: 1}]}}}", "non decreasing"},
		"v1beta1, unknown percent": {"v1beta1", "{workloadRef: {apiVersion: apps/v1, kind: Deployment, name: x}, strategy: {canary: {steps: [{replicas: many}]}}}", "replicas"},
		"v1alpha1, no workloadRef": {"v1alpha1", "{objectRef: {}, strategy: {canary: {steps: [{replicas: 1}]}}}", "WorkloadRef is required"},
		"v1alpha1, falling sizes":  {"v1alpha1", "{objectRef: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: x}}, strategy: {canary: {steps: [{replicas: 5}, {replicas: 1}]}}}", "non decreasing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := object(t, s.namespace, fmt.Sprintf(head, c.version, c.spec))
			if c.version == "v1alpha1" {
				o.SetAnnotations(map[string]string{v1beta1.AnnotationRollingStyle: "partition"})
			}
			err := s.user.Create(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), c.want) || !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) && !apierrors.IsBadRequest(err) {
				t.Errorf("refused with %v, want something about %q", err, c.want)
			}
		})
	}
}

// TestUndecodable checks that no one can store what our types do not hold: no client could list its kind any more, in any namespace.
func TestUndecodable(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const meta, ref = "metadata: {name: %s}", "{apiVersion: apps/v1, kind: Deployment, name: nobody}"
	create := func(text string) error {
		return s.user.Create(t.Context(), object(t, s.namespace, "{apiVersion: rollouts.kruise.io/"+text+"}"))
	}
	for _, text := range []string{
		"v1beta1, kind: Rollout, metadata: {name: r}, spec: {workloadRef: " + ref + ", strategy: {canary: {steps: [{replicas: 1}]}}}",
		"v1beta1, kind: BatchRelease, metadata: {name: b}, spec: {workloadRef: " + ref + ", releasePlan: {enableExtraWorkloadForCanary: false, batches: [{canaryReplicas: 1}]}}",
		"v1alpha1, kind: TrafficRouting, metadata: {name: t}, spec: {objectRef: [{service: nothing, gateway: {httpRouteName: nothing}}], strategy: {matches: [{headers: [{name: a, value: b}]}], requestHeaderModifier: {set: [{name: a, value: b}]}}}",
	} {
		if err := create(text); err != nil {
			t.Fatal(err)
		}
	}
	write := func(kind, name, status string) func() error {
		return func() error {
			o := object(t, s.namespace, "{apiVersion: rollouts.kruise.io/"+kind+", "+fmt.Sprintf(meta, name)+"}")
			return s.user.Status().Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(`{"status":`+status+`}`)))
		}
	}
	for what, try := range map[string]func() error{
		"a huge batch": func() error {
			return create("v1beta1, kind: BatchRelease, metadata: {name: huge}, spec: {workloadRef: " + ref + ", releasePlan: {enableExtraWorkloadForCanary: false, batches: [{canaryReplicas: 99999999999}]}}")
		},
		"a record of odd times": func() error {
			return create(`v1alpha1, kind: RolloutHistory, metadata: {name: odd}, spec: {release: {number: 1, from: a, to: b, startTime: "2026-01-01t00:00:00z"}}`)
		},
		"odd times":           write("v1beta1, kind: Rollout", "r", `{"canaryStatus":{"lastUpdateTime":"2026-01-01t00:00:00z"}}`),
		"odd times, v1alpha1": write("v1alpha1, kind: Rollout", "r", `{"canaryStatus":{"lastUpdateTime":"2026-01-01T00:00:00x9Z"}}`),
		"odd clock":           write("v1beta1, kind: Rollout", "r", `{"canaryStatus":{"traffic":{"lastChangeTime":"2026-01-01T00:00:00Z"}}}`),
		"odd routings":        write("v1beta1, kind: Rollout", "r", `{"canaryStatus":{"traffic":{"routedWith":{"routings":"boom"}}}}`),
		"odd route":           write("v1beta1, kind: Rollout", "r", `{"canaryStatus":{"traffic":{"route":{"matches":"boom"}}}}`),
		"odd conditions":      write("v1beta1, kind: BatchRelease", "b", `{"conditions":[{"type":"x","status":"True","lastUpdateTime":"2026-01-01t00:00:00z"}]}`),
		"huge largest batch":  write("v1beta1, kind: BatchRelease", "b", `{"canaryStatus":{"largestBatch":99999999999}}`),
		"odd TrafficRouting":  write("v1alpha1, kind: TrafficRouting", "t", `{"routedWith":{"routings":"boom"}}`),
	} {
		err := try()
		t.Logf("%s: %v", what, err)
		for kind, list := range map[string]client.ObjectList{
			"Rollouts": &v1beta1.RolloutList{}, "BatchReleases": &v1beta1.BatchReleaseList{}, "TrafficRoutings": &v1alpha1.TrafficRoutingList{},
			"RolloutHistories": &v1alpha1.RolloutHistoryList{}, "Rollouts v1alpha1": &v1alpha1.RolloutList{}, "BatchReleases v1alpha1": &v1alpha1.BatchReleaseList{},
		} {
			if err := s.user.List(t.Context(), list, client.InNamespace(s.namespace)); err != nil {
				t.Fatalf("after %s was written (%v), %s cannot be listed: %v", what, try(), kind, err)
			}
		}
	}
	ro := &v1beta1.Rollout{}
	if err := s.user.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "r"}, ro); err != nil {
		t.Fatal(err)
	}
	if ro.Status.CanaryStatus != nil && ro.Status.CanaryStatus.Traffic != nil {
		t.Errorf("traffic on record: %+v", ro.Status.CanaryStatus.Traffic)
	}
}

// TestConversion checks that the API server serves what was stored in one version in the other, and back.
func TestConversion(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	old := object(t, s.namespace, `
apiVersion: rollouts.kruise.io/v1alpha1
kind: Rollout
metadata: {name: converted, annotations: {rollouts.kruise.io/rolling-style: partition}}
spec:
  objectRef: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: nobody}}
  strategy: {canary: {steps: [{replicas: 1, pause: {duration: 7}}, {weight: 50, pause: {}}, {replicas: 100%}]}}
`)
	if err := s.user.Create(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	key := client.ObjectKeyFromObject(old)
	hub := &v1beta1.Rollout{}
	err := eventually(t.Context(), patience, func() bool {
		return s.user.Get(t.Context(), key, hub) == nil && hub.Status.Message == "Workload Not Found"
	})
	if err != nil {
		t.Fatalf("%v: %+v", err, hub.Status)
	}
	steps := hub.Spec.Strategy.Canary.Steps
	if len(steps) != 3 || *steps[0].Pause.Duration != 7 || steps[1].Replicas.String() != "50%" || hub.Spec.WorkloadRef.Name != "nobody" {
		t.Errorf("in v1beta1: %+v", hub.Spec)
	}
	again := object(t, s.namespace, "{apiVersion: rollouts.kruise.io/v1alpha1, kind: Rollout}")
	if err := s.user.Get(t.Context(), key, again); err != nil {
		t.Fatal(err)
	}
	if message, _, _ := unstructured.NestedString(again.Object, "status", "message"); message != "Workload Not Found" {
		t.Errorf("the status in v1alpha1 says %q", message)
	}
}
