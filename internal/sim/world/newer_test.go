// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/sim/world"
)

// future is a field that no type of ours has; its value says where it was put.
const future = "futureField"

// grow puts the field at every level of an object: into each map but those whose keys are people's own.
func grow(v any, path string) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if free := []string{"labels", "annotations", "matchLabels", "requests", "limits", "nodeSelector"}; slices.Contains(free, key) || path == "Service.spec" && key == "selector" {
				continue
			}
			grow(value, path+"."+key)
		}
		v[future] = path
	case []any:
		for i, item := range v {
			grow(item, fmt.Sprintf("%s.%d", path, i))
		}
	}
}

// grown are the places of the field in an object, those below a path only.
func grown(v any, below string) map[string]bool {
	places := map[string]bool{}
	switch v := v.(type) {
	case map[string]any:
		if place, ok := v[future].(string); ok && strings.HasPrefix(place, below) {
			places[place] = true
		}
		for _, value := range v {
			maps.Copy(places, grown(value, below))
		}
	case []any:
		for _, item := range v {
			maps.Copy(places, grown(item, below))
		}
	}
	return places
}

// newerStory is a release on a cluster that is newer than our types.
type newerStory struct {
	*stage
	given map[string]map[string]any // what the user has made, by kind
}

const (
	newerTemplate = `{metadata: {labels: {app: web}}, spec: {
		volumes: [{name: data, emptyDir: {}}], tolerations: [{key: a, operator: Exists}],
		initContainers: [{name: init, image: "init:1"}],
		containers: [{name: main, image: "web:1", ports: [{containerPort: 80, protocol: TCP}, {containerPort: 80, protocol: UDP}],
			env: [{name: A, value: "1"}, {name: B, valueFrom: {fieldRef: {fieldPath: metadata.name}}}], volumeMounts: [{name: data, mountPath: /data}],
			readinessProbe: {httpGet: {path: /, port: 80}}}, {name: side, image: "side:1"}]}}`
	newerService = `{apiVersion: v1, kind: Service, metadata: {name: web, namespace: default}, spec: {type: NodePort, selector: {app: web},
		ports: [{name: http, port: 80, protocol: TCP, targetPort: 8080, nodePort: 30080}, {name: dns, port: 53, protocol: UDP, targetPort: 53, nodePort: 30053}]}}`
	newerRoute = `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: web, namespace: default}, spec: {parentRefs: [{name: gw}],
		rules: [{matches: [{path: {type: PathPrefix, value: /}}], backendRefs: [{group: "", kind: Service, name: web, port: 80, weight: 1}]}]}}`
	newerIngress = `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, namespace: default}, spec: {ingressClassName: nginx, tls: [{hosts: [a.b]}],
		rules: [{host: a.b, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}}`
	newerVirtualService = `{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: web, namespace: default}, spec: {hosts: [a.b], gateways: [gw],
		http: [{route: [{destination: {host: web}}], timeout: 5s}]}}`
)

// TestNothingUnknownIsLost: a cluster that is newer than our types has fields that they lack. The user's objects have one at every
// level, and keep all of them whatever is released, rolled back or undone; what is made like them has them, too. The simulated
// store is typed and would lose them by itself: objects are kept as JSON next to it (see Newer). Admission is asked without its
// webhook there, which TestNewerFields of internal/webhook makes up for, and so does TestUndoKeepsWhatWeDoNotKnow of internal/cli
// for the plugin.
func TestNothingUnknownIsLost(t *testing.T) {
	t.Parallel()
	const routed = `{service: web, gateway: {httpRouteName: web}, gracePeriodSeconds: 0}`
	batches := `{canary: {steps: [{replicas: 1}, {replicas: 100%}]}}`
	for name, c := range map[string]struct {
		version, kind, spec, strategy string
		routes                        []string
		copies                        []string // kinds that are there twice in the middle of a release
	}{
		"Deployment in batches": {
			"apps/v1", "Deployment", `{replicas: 5, strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 1}}}`,
			`{canary: {trafficRoutings: [` + routed + `], steps: [{replicas: 1, traffic: 20%}, {replicas: 100%}]}}`,
			[]string{newerService, newerRoute},
			[]string{"Service"},
		},
		"Deployment in batches, by header": {
			"apps/v1", "Deployment", `{replicas: 5}`,
			`{canary: {trafficRoutings: [` + routed + `], steps: [{replicas: 1, matches: [{headers: [{name: a, value: b}]}]}, {replicas: 100%}]}}`,
			[]string{newerService, newerRoute},
			[]string{"Service"},
		},
		"Deployment with pods beside it": {
			"apps/v1", "Deployment", `{replicas: 5}`,
			`{canary: {enableExtraWorkloadForCanary: true, patchPodTemplateMetadata: {labels: {track: canary}},
				trafficRoutings: [{service: web, ingress: {name: web, classType: nginx}, gracePeriodSeconds: 0}], steps: [{replicas: 1, traffic: 20%}, {replicas: 100%}]}}`,
			[]string{newerService, newerIngress},
			[]string{"Deployment", "Service", "Ingress"},
		},
		"Deployment in blue and green": {
			"apps/v1", "Deployment", `{replicas: 5}`,
			`{blueGreen: {trafficRoutings: [{service: web, customNetworkRefs: [{apiVersion: networking.istio.io/v1, kind: VirtualService, name: web}], gracePeriodSeconds: 0}],
				steps: [{replicas: 100%, traffic: 0%}, {replicas: 100%, traffic: 100%}]}}`,
			[]string{newerService, newerVirtualService},
			[]string{"Service"},
		},
		"Deployment, Recreate":   {version: "apps/v1", kind: "Deployment", spec: `{replicas: 5, strategy: {type: Recreate}}`, strategy: batches},
		"ReplicaSet":             {version: "apps/v1", kind: "ReplicaSet", spec: `{replicas: 5}`, strategy: batches},
		"StatefulSet":            {version: "apps/v1", kind: "StatefulSet", spec: `{replicas: 5, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 0}}}`, strategy: batches},
		"DaemonSet":              {version: "apps/v1", kind: "DaemonSet", spec: `{updateStrategy: ` + rolls + `}`, strategy: batches},
		"CloneSet":               {version: alpha, kind: "CloneSet", spec: `{replicas: 5, updateStrategy: {partition: 0}}`, strategy: batches},
		"CloneSet/v1beta1":       {version: beta, kind: "CloneSet", spec: `{replicas: 5}`, strategy: batches},
		"CloneSet, blue, green":  {version: alpha, kind: "CloneSet", spec: `{replicas: 5}`, strategy: `{blueGreen: {steps: [{replicas: 100%}, {replicas: 100%}]}}`},
		"advanced StatefulSet":   {version: beta, kind: "StatefulSet", spec: `{replicas: 5, updateStrategy: {rollingUpdate: {partition: 0}}}`, strategy: batches},
		"advanced DaemonSet":     {version: alpha, kind: "DaemonSet", spec: `{updateStrategy: {rollingUpdate: {partition: 0}}}`, strategy: batches},
		"StatefulSet, on delete": {version: "apps/v1", kind: "StatefulSet", spec: `{replicas: 5, updateStrategy: {type: OnDelete}}`, strategy: batches},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newNewerStory(t, c.version, c.kind, c.spec)
			for _, route := range c.routes {
				s.create(route)
			}
			s.create(fmt.Sprintf(`{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web, namespace: default},
				spec: {workloadRef: {apiVersion: %s, kind: %s, name: web}, strategy: %s}}`, c.version, c.kind, c.strategy))
			s.pass(time.Minute)
			s.kept("before")
			first := s.template()

			s.release("2")
			s.at("step 1", 1)
			s.kept("in step 1")
			if r := s.rollout().Status.Release; r == nil || c.kind != "ReplicaSet" && !slices.Equal(r.Change, []string{"spec.containers[main].image: web:1 -> web:2"}) {
				t.Errorf("it tells the change as %+v", r)
			}
			s.copied("in step 1", c.copies...)
			s.ports(c.routes)
			s.kept("with other ports")
			s.copied("with other ports", c.copies...)

			s.write(types.JSONPatchType, []map[string]any{{"op": "replace", "path": "/spec/template", "value": first}}) // as kubectl kruise rollout undo does
			s.pass(2 * time.Minute)
			s.kept("undone")
			s.copied("undone")

			s.release("3")
			s.at("once more", 1)
			s.approve()
			s.pass(2 * time.Minute)
			if s.rollout().Status.CurrentStepState == v1beta1.StepPaused {
				s.approve()
			}
			s.pass(2 * time.Minute)
			if phase := s.rollout().Status.Phase; phase != v1beta1.PhaseHealthy || s.images() == "" || strings.Contains(s.images(), "1:") {
				t.Errorf("the Rollout is %s, the pods are %s: %s", phase, s.images(), s.rollout().Status.Message)
			}
			s.kept("at the end")
			s.copied("at the end")
			s.recorded("at the end")
		})
	}
}

func newNewerStory(t *testing.T, version, kind, spec string) *newerStory {
	t.Helper()
	w, err := world.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.Newer(func(kind string, o map[string]any) {
		if kind == "Pod" {
			grow(o, kind)
		}
	})
	w.Watch = func(write world.Write) {
		if trouble := w.Trespass(write); trouble != "" {
			t.Error(trouble)
		}
	}
	s := &newerStory{stage: &stage{t, w, schema.FromAPIVersionAndKind(version, kind)}, given: map[string]map[string]any{}}
	if kind == "DaemonSet" {
		s.must(w.AddNodes(t.Context(), 5))
	}
	fields := map[string]any{}
	s.must(yaml.Unmarshal([]byte(spec), &fields))
	template := map[string]any{}
	s.must(yaml.Unmarshal([]byte(newerTemplate), &template))
	fields["template"], fields["selector"] = template, map[string]any{"matchLabels": map[string]any{"app": "web"}}
	whole, err := json.Marshal(map[string]any{
		"apiVersion": version, "kind": kind, "spec": fields, "metadata": map[string]any{"name": "web", "namespace": world.Namespace, "labels": map[string]any{"app": "web"}},
	})
	s.must(err)
	s.create(string(whole))
	return s
}

// create makes an object as a user of a newer cluster does.
func (s *newerStory) create(text string) {
	s.Helper()
	o := map[string]any{}
	s.must(yaml.Unmarshal([]byte(text), &o))
	kind, _ := o["kind"].(string)
	grow(o, kind)
	s.given[kind] = runtime.DeepCopyJSON(o)
	s.must(s.User.Create(s.Context(), &unstructured.Unstructured{Object: o}))
}

// write patches the workload.
func (s *newerStory) write(kind types.PatchType, patch any) {
	s.Helper()
	data, err := json.Marshal(patch)
	s.must(err)
	s.must(s.User.Patch(s.Context(), s.named(), client.RawPatch(kind, data)))
}

// release sets an image as tools do that write what has changed, and no more.
func (s *newerStory) release(tag string) {
	s.Helper()
	s.write(types.JSONPatchType, []map[string]any{{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "web:" + tag}})
	s.pass(2 * time.Minute)
}

// template is the workload's, as it is stored.
func (s *newerStory) template() any {
	s.Helper()
	template, _, _ := unstructured.NestedFieldNoCopy(s.Raw(s.kind.Kind, "web"), "spec", "template")
	return template
}

// ports gives the user's Service a port more, and another number to one.
func (s *newerStory) ports(routes []string) {
	s.Helper()
	if len(routes) == 0 {
		return
	}
	port := map[string]any{"name": "more", "port": 81, "protocol": "TCP", "targetPort": 81, future: "Service.spec.ports.2"}
	data, err := json.Marshal([]map[string]any{
		{"op": "add", "path": "/spec/ports/0", "value": port}, {"op": "replace", "path": "/spec/ports/1/port", "value": 8080},
	})
	s.must(err)
	service := &unstructured.Unstructured{Object: map[string]any{}}
	service.SetAPIVersion("v1")
	service.SetKind("Service")
	service.SetNamespace(world.Namespace)
	service.SetName("web")
	s.must(s.User.Patch(s.Context(), service, client.RawPatch(types.JSONPatchType, data)))
	s.pass(time.Minute)
	s.given["Service"] = s.Raw("Service", "web")
	if n := len(s.portsOf("web-canary")); n != 3 {
		s.Errorf("the canary Service has %d ports", n)
	}
}

func (s *newerStory) portsOf(service string) []any {
	ports, _, _ := unstructured.NestedSlice(s.Raw("Service", service), "spec", "ports")
	return ports
}

// kept checks that what the user has made has all that it had; and that pods have.
func (s *newerStory) kept(when string) {
	s.Helper()
	for kind, o := range s.given {
		s.has(when, kind+" web", grown(s.Raw(kind, "web"), kind), grown(o, kind))
	}
	for name, pod := range s.RawAll("Pod") {
		s.has(when, "Pod "+name, grown(pod, "Pod"), map[string]bool{"Pod": true, "Pod.metadata": true, "Pod.spec": true, "Pod.spec.containers.0": true, "Pod.spec.containers.0.env.0": true})
	}
}

// copied checks that there are copies of kinds, and none of others, and that they have all that the spec of the original has.
func (s *newerStory) copied(when string, kinds ...string) {
	s.Helper()
	for kind, o := range s.given {
		all := s.RawAll(kind)
		delete(all, "web")
		if kind != "ReplicaSet" && (len(all) > 0) != slices.Contains(kinds, kind) {
			s.Errorf("%s: there are %d copies of the %s", when, len(all), kind)
		}
		for name, c := range all {
			s.has(when, kind+" "+name, grown(c, kind+".spec"), grown(o, kind+".spec"))
		}
	}
}

// recorded checks that what is recorded of the last release can be put back as it was.
func (s *newerStory) recorded(when string) {
	s.Helper()
	last := map[string]any(nil)
	for _, h := range s.RawAll("RolloutHistory") {
		if outcome, _, _ := unstructured.NestedString(h, "spec", "release", "outcome"); outcome == string(v1beta1.OutcomeCompleted) {
			last = h
		}
	}
	s.has(when, "the record", grown(last, s.kind.Kind+".spec"), grown(s.given[s.kind.Kind], s.kind.Kind+".spec"))
}

func (s *newerStory) has(when, what string, have, want map[string]bool) {
	s.Helper()
	for place := range want {
		if !have[place] {
			s.Errorf("%s: %s has lost %s.%s", when, what, place, future)
		}
	}
	if len(want) == 0 {
		s.Errorf("%s: %s never had any", when, what)
	}
}

// at checks that the release waits in a step.
func (s *newerStory) at(when string, step int32) {
	s.Helper()
	if ro := s.rollout(); ro.Status.CurrentStepIndex != step || ro.Status.CurrentStepState != v1beta1.StepPaused {
		s.Fatalf("%s: it is in step %d, %s: %s; the pods are %s", when, ro.Status.CurrentStepIndex, ro.Status.CurrentStepState, ro.Status.Message, s.images())
	}
}

func (s *newerStory) rollout() *v1beta1.Rollout { return (&release{stage: s.stage}).rollout() }
func (s *newerStory) approve()                  { (&release{stage: s.stage}).approve() }
