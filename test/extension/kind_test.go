// SPDX-License-Identifier: Apache-2.0

// Package extension adds to the product what an extension would, from outside of it: nothing else is touched.
package extension

import (
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan/admission"
	"kruise.io/rollouts/internal/view"
	"kruise.io/rollouts/internal/workload"
)

// fleet drives FleetSets of toys.example.com: they have the strategy of a CloneSet, and say their revisions in fields of their own.
type fleet struct {
	workload.Driver
	gvk schema.GroupVersionKind
}

func newFleet(style v1beta1.RollingStyleType) func(schema.GroupVersionKind) workload.Driver {
	like := workload.DriverFor(v1beta1.ObjectRef{APIVersion: "apps.kruise.io/v1beta1", Kind: "CloneSet"}, style)
	return func(gvk schema.GroupVersionKind) workload.Driver { return fleet{like, gvk} }
}

func (f fleet) New() client.Object {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(f.gvk)
	return u
}

// renamed is a FleetSet with its revisions where a CloneSet has them.
func renamed(o client.Object) client.Object {
	u := o.(*unstructured.Unstructured).DeepCopy()
	for from, to := range map[string]string{"deployedModel": "currentRevision", "nextModel": "updateRevision"} {
		if v, found, _ := unstructured.NestedString(u.Object, "status", from); found {
			_ = unstructured.SetNestedField(u.Object, v, "status", to)
		}
	}
	return u
}

func (f fleet) State(o workload.Objects, now time.Time) workload.State {
	o.Workload = renamed(o.Workload)
	return f.Driver.State(o, now)
}

func (f fleet) Starts(o workload.Objects, old client.Object) bool {
	return f.Driver.Starts(o, renamed(old))
}

func TestMain(m *testing.M) {
	workload.Register(workload.Kind{
		GroupKind: schema.GroupKind{Group: "toys.example.com", Kind: "FleetSet"}, Type: "fleetset", RevisionKey: appsv1.ControllerRevisionHashLabelKey,
		Status: []string{"deployedModel", "nextModel"},
		Styles: map[v1beta1.RollingStyleType]func(schema.GroupVersionKind) workload.Driver{
			v1beta1.PartitionRollingStyle: newFleet(v1beta1.PartitionRollingStyle), v1beta1.BlueGreenRollingStyle: newFleet(v1beta1.BlueGreenRollingStyle),
		},
	})
	registerPoints()
	os.Exit(m.Run())
}

func parsed[T any](t *testing.T, text string, into T) T {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
	return into
}

func fleetSet(t *testing.T, image string) *unstructured.Unstructured {
	t.Helper()
	text, err := yaml.YAMLToJSON([]byte(`{apiVersion: toys.example.com/v1, kind: FleetSet, metadata: {name: cars, namespace: default, generation: 1, labels: {rollouts.kruise.io/workload-type: fleetset}},
	  spec: {replicas: 10, template: {spec: {containers: [{name: main, image: "` + image + `"}]}}},
	  status: {observedGeneration: 1, replicas: 10, updatedReplicas: 10, availableReplicas: 10, deployedModel: cars-1, nextModel: cars-1}}`))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	return u
}

const rollout = `{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: cars, namespace: default}, spec: {
  workloadRef: {apiVersion: toys.example.com/v1, kind: KIND, name: cars}, strategy: {STYLE: {steps: [{replicas: 20%, pause: {}}, {replicas: 100%}]}}}}`

func written(kind, style string) string {
	return strings.NewReplacer("KIND", kind, "STYLE", style).Replace(rollout)
}

// A kind that is registered is released, held at admission, listed in messages and counted, without another line anywhere.
func TestKind(t *testing.T) {
	for _, style := range []string{"canary", "blueGreen"} {
		ro := parsed(t, written("FleetSet", style), &v1beta1.Rollout{})
		limits := admission.Limits{FilterWorkloadType: true, Supports: workload.Supports}
		if errs := admission.ValidateRollout(ro, nil, nil, limits); len(errs) > 0 {
			t.Errorf("%s: %v", style, errs)
		}
		other := parsed(t, written("CarSet", style), &v1beta1.Rollout{})
		if errs := admission.ValidateRollout(other, nil, nil, limits); len(errs) == 0 || !strings.Contains(errs.ToAggregate().Error(), "toys.example.com FleetSet (Partition, BlueGreen)") {
			t.Errorf("%s: an unknown kind is answered by %v", style, errs)
		}
		driver := admission.DriverOf(ro, "toys.example.com/v1", "FleetSet")
		if _, ours := driver.(fleet); !ours {
			t.Fatalf("%s: the driver is %T", style, driver)
		}
		stored, warnings := admission.Admit(admission.Edit{
			Rollout: ro, Driver: driver, Kind: "FleetSet", User: "me", Old: fleetSet(t, "cars:1"), New: workload.Objects{Workload: fleetSet(t, "cars:2")},
		})
		u, _ := stored.(*unstructured.Unstructured)
		if stored.GetAnnotations()[v1beta1.AnnotationInProgressing] == "" || len(warnings) == 0 {
			t.Errorf("%s: a changed template is not held: %v %v", style, stored.GetAnnotations(), warnings)
		}
		if image, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers"); len(image) != 1 {
			t.Errorf("%s: the template is %v", style, u.Object)
		}
		tree := view.Of(view.Seen{Now: time.Now(), Rollout: ro, Workload: fleetSet(t, "cars:1")}).Tree(view.Style{})
		if !strings.Contains(tree, "20% = 2 pods") || !strings.Contains(tree, "FleetSet/cars  0/10 ready") {
			t.Errorf("%s: it is shown as\n%s", style, tree)
		}
	}
}
