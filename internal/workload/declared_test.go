// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// TestDeclared: an edit to the value that the release holds at the moment is there when the release is over, whichever way of
// applying has said it; the object as it was read says nothing.
func TestDeclared(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		gvk            schema.GroupVersionKind
		driver         func(schema.GroupVersionKind) Driver
		user, declared map[string]any // specs, but for what all have
		later          string         // what is reported
	}{
		"Deployment, paused": {gvkOf(appsv1.SchemeGroupVersion, "Deployment"), nil, nil, map[string]any{"paused": true}, "be paused"},
		"Deployment, maxSurge 0": {
			gvkOf(appsv1.SchemeGroupVersion, "Deployment"), nil,
			map[string]any{"strategy": map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"maxSurge": int64(3), "maxUnavailable": int64(1)}}},
			map[string]any{"strategy": map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{"maxSurge": int64(0), "maxUnavailable": int64(1)}}},
			"",
		},
		"Deployment, rolling again": {
			gvkOf(appsv1.SchemeGroupVersion, "Deployment"), nil,
			map[string]any{"strategy": map[string]any{"type": "Recreate"}},
			map[string]any{"strategy": map[string]any{"type": "RollingUpdate"}},
			"",
		},
		"DaemonSet, OnDelete": {
			gvkOf(appsv1.SchemeGroupVersion, "DaemonSet"), newDaemonSet,
			map[string]any{"updateStrategy": map[string]any{"type": "RollingUpdate"}},
			map[string]any{"updateStrategy": map[string]any{"type": "OnDelete"}},
			`have "type: OnDelete"`,
		},
		"StatefulSet, rolling": {
			gvkOf(appsv1.SchemeGroupVersion, "StatefulSet"), newStatefulSet,
			map[string]any{"updateStrategy": map[string]any{"type": "OnDelete"}},
			map[string]any{"updateStrategy": map[string]any{"type": "RollingUpdate"}},
			"",
		},
		"CloneSet, partition": {
			gvkOf(schema.GroupVersion{Group: kruiseGroup, Version: "v1alpha1"}, "CloneSet"), newCloneSet,
			nil,
			map[string]any{"updateStrategy": map[string]any{"partition": "100%"}},
			`have "partition: 100%"`,
		},
	} {
		driver := Driver(deployment{})
		if c.driver != nil {
			driver = c.driver(c.gvk)
		}
		for how, declare := range map[string]func(w *unstructured.Unstructured, spec map[string]any){
			"kubectl apply": lastApplied, "server-side apply": applied, "read and written": func(*unstructured.Unstructured, map[string]any) {},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				spec := map[string]any{"replicas": int64(10), "template": map[string]any{"metadata": map[string]any{}, "spec": map[string]any{}}}
				maps.Copy(spec, c.user)
				user := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
				user.SetGroupVersionKind(c.gvk)
				if how == "kubectl apply" { // the first one to apply on the server owns nothing before
					declare(user, c.user)
				}
				stored := held(t, driver, user, "v2")

				edited := stored.DeepCopy()
				declare(edited, c.declared)
				kept := driver.Keep(typed(t, driver, edited), typed(t, driver, stored))
				u := asUnstructured(t, kept)
				if !equality.Semantic.DeepEqual(u.Object["spec"], stored.Object["spec"]) {
					t.Errorf("the release lost what it holds: %v, was %v", u.Object["spec"], stored.Object["spec"])
				}
				want := c.declared
				if how == "read and written" {
					want = c.user
				}
				u.SetAnnotations(withoutKey(u.GetAnnotations(), v1beta1.AnnotationControlInfo))
				freed := asUnstructured(t, driver.Free(Objects{Workload: typed(t, driver, u)}))
				for field := range c.declared {
					spec, _ := freed.Object["spec"].(map[string]any)
					if got, want := plain(spec[field]), plain(want[field]); got != want {
						t.Errorf("the user gets %s: %s, want %s", field, got, want)
					}
				}
				told := c.later
				if how == "read and written" {
					told = ""
				}
				if got := strings.Join(Postponed(typed(t, driver, edited), kept, typed(t, driver, stored)), " and "); got != told {
					t.Errorf("it says that it will %q, want %q", got, told)
				}
			})
		}
	}
}

func gvkOf(gv schema.GroupVersion, kind string) schema.GroupVersionKind { return gv.WithKind(kind) }

// held is a workload whose template was changed, and is held.
func held(t *testing.T, driver Driver, user *unstructured.Unstructured, version string) *unstructured.Unstructured {
	t.Helper()
	edited := user.DeepCopy()
	_ = unstructured.SetNestedField(edited.Object, version, "spec", "template", "metadata", "labels", "version")
	w := driver.Hold(Objects{Workload: typed(t, driver, edited), Sets: []*appsv1.ReplicaSet{newSet("v1", 10, "1")}}, typed(t, driver, user), "demo", "")
	return asUnstructured(t, w)
}

func lastApplied(w *unstructured.Unstructured, spec map[string]any) {
	text, _ := json.Marshal(map[string]any{"spec": spec})
	set(w.GetAnnotations, w.SetAnnotations, corev1.LastAppliedConfigAnnotation, string(text))
}

func applied(w *unstructured.Unstructured, spec map[string]any) {
	text, _ := json.Marshal(map[string]any{"f:spec": owned(spec)})
	w.SetManagedFields([]metav1.ManagedFieldsEntry{{
		Manager: "helm", Operation: metav1.ManagedFieldsOperationApply, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(string(text)),
	}})
}

func owned(of map[string]any) map[string]any {
	fields := map[string]any{}
	for key, value := range of {
		below, _ := value.(map[string]any)
		fields["f:"+key] = owned(below)
	}
	return fields
}

func typed(t *testing.T, driver Driver, u *unstructured.Unstructured) client.Object {
	t.Helper()
	w := driver.New()
	text, err := json.Marshal(u)
	if err == nil {
		err = json.Unmarshal(text, w)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func asUnstructured(t *testing.T, w client.Object) *unstructured.Unstructured {
	t.Helper()
	text, err := json.Marshal(w)
	u := &unstructured.Unstructured{}
	if err == nil {
		err = json.Unmarshal(text, &u.Object)
	}
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func withoutKey(m map[string]string, key string) map[string]string {
	delete(m, key)
	return m
}

// plain is a value as text, without what is empty.
func plain(v any) string {
	if m, is := v.(map[string]any); is {
		full := map[string]any{}
		for key, value := range m {
			if below, is := value.(map[string]any); !is || len(below) > 0 {
				full[key] = value
			}
		}
		v = full
	}
	text, _ := json.Marshal(v)
	return string(text)
}
