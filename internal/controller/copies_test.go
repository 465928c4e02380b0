// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/internal/plan"
)

// newer answers with an object of a cluster that is newer than our libraries.
type newer struct {
	client.Reader
	t    *testing.T
	text string
}

func (n newer) Get(_ context.Context, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	if n.text == "" {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "things"}, "web")
	}
	u, _ := o.(*unstructured.Unstructured)
	raw, err := yaml.YAMLToJSON([]byte(n.text))
	if err != nil {
		n.t.Fatal(err)
	}
	return u.UnmarshalJSON(raw)
}

// TestCopiesKeepWhatWeDoNotKnow: a copy has every field of what it is a copy of, those that our types lack, too, but for what is
// made otherwise on purpose.
func TestCopiesKeepWhatWeDoNotKnow(t *testing.T) {
	t.Parallel()
	const deployment = `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: default, uid: "1", generation: 3}, spec: {replicas: 5, paused: true, newSpec: {a: 1},
		selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, newTemplate: x, spec: {newPod: q, containers: [{name: main, image: v2, newContainer: z}]}}}}`
	const service = `{apiVersion: v1, kind: Service, newTop: t, metadata: {name: web, namespace: default, uid: "1"}, spec: {clusterIP: 10.0.0.1, newSpec: x, selector: {app: web}, ports: [{port: 80, nodePort: 30080, newPort: q}]}}`
	for name, c := range map[string]struct {
		text string
		like client.Object
		edit func(o client.Object)
		want []string
		not  []string
	}{
		"a canary Deployment": {deployment, &appsv1.Deployment{}, func(o client.Object) {
			d, _ := o.(*appsv1.Deployment)
			d.Name, d.Spec.Replicas, d.Spec.Paused = "web-canary", new(int32(1)), false
			d.Spec.Template.Labels["track"] = "canary"
		}, []string{`"newSpec":{"a":1}`, `"newTemplate":"x"`, `"newPod":"q"`, `"newContainer":"z"`, `"replicas":1`, `"track":"canary"`, `"name":"web-canary"`}, []string{"paused", `"replicas":5`}},
		"a canary Service": {service, &corev1.Service{}, func(o client.Object) {
			s, _ := o.(*corev1.Service)
			s.Name, s.Spec.ClusterIP, s.Spec.Ports[0].NodePort = "web-canary", "", 0
			s.Spec.Selector["pod-template-hash"] = "2"
		}, []string{`"newTop":"t"`, `"newSpec":"x"`, `"newPort":"q"`, `"pod-template-hash":"2"`, `"name":"web-canary"`}, []string{"clusterIP", "nodePort"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := yaml.Unmarshal([]byte(c.text), c.like); err != nil {
				t.Fatal(err)
			}
			to, _ := c.like.DeepCopyObject().(client.Object)
			to.SetUID("")
			c.edit(to)
			to.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{}) // as drivers make them
			made, err := copied(t.Context(), newer{t: t, text: c.text}, plan.Change{To: to, Like: c.like})
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := json.Marshal(made)
			for _, want := range c.want {
				if !strings.Contains(string(raw), want) {
					t.Errorf("%s is not in\n%s", want, raw)
				}
			}
			for _, not := range c.not {
				if strings.Contains(string(raw), not) {
					t.Errorf("%s is in\n%s", not, raw)
				}
			}
			if made.GetObjectKind().GroupVersionKind().Kind == "" {
				t.Error("it has no kind")
			}
			if _, typed := typedAs(made, to).(*unstructured.Unstructured); typed {
				t.Error("it is known by another name than it is read by")
			}
			older := strings.Replace(c.text, `uid: "1"`, `uid: "2"`, 1)
			if _, err := copied(t.Context(), newer{t: t, text: older}, plan.Change{To: to, Like: c.like}); !errors.Is(err, errLagging) {
				t.Errorf("an object that was made anew is copied (%v)", err)
			}
			if _, err := copied(t.Context(), newer{t: t}, plan.Change{To: to, Like: c.like}); !errors.Is(err, errLagging) {
				t.Errorf("an object that was deleted meanwhile is an error: %v", err)
			}
		})
	}
}
