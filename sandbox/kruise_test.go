// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// kruised makes a workload of OpenKruise's named web, whose template runs image 1.
type kruised struct {
	*testing.T
	dynamic.ResourceInterface
	namespace string
	began     time.Time
}

func newKruised(t *testing.T, version, kind, spec string) *kruised {
	t.Helper()
	if err := cluster.InstallKruise(t.Context()); err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	k := &kruised{T: t, namespace: newNamespace(t), began: time.Now()}
	k.ResourceInterface = client.Resource(schema.GroupVersionResource{
		Group: "apps.kruise.io", Version: version, Resource: strings.ToLower(kind) + "s",
	}).Namespace(k.namespace)
	manifest := fmt.Sprintf(`{apiVersion: apps.kruise.io/%s, kind: %s, metadata: {name: web}, spec: {selector: {matchLabels: {app: web}},
		template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: "web:1"}]}}, %s}}`, version, kind, spec)
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(strings.ReplaceAll(manifest, "\t", "")), &u.Object); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *kruised) patch(patch string) {
	k.Helper()
	raw, err := yaml.YAMLToJSON([]byte(patch))
	if err != nil {
		k.Fatal(err)
	}
	if _, err := k.Patch(k.Context(), "web", types.MergePatchType, raw, metav1.PatchOptions{}); err != nil {
		k.Fatal(err)
	}
}

// want waits until the status and the pods are so.
func (k *kruised) want(when string, status map[string]int64, images map[string]int) {
	k.Helper()
	eventually(k.T, func() error {
		u, err := k.Get(k.Context(), "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		observed, _, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
		if observed != u.GetGeneration() {
			return fmt.Errorf("%s: generation %d is observed, of %d", when, observed, u.GetGeneration())
		}
		for name, n := range status {
			if got, _, _ := unstructured.NestedInt64(u.Object, "status", name); got != n {
				return fmt.Errorf("%s: status.%s is %d, want %d: %v", when, name, got, n, u.Object["status"])
			}
		}
		pods, err := client.CoreV1().Pods(k.namespace).List(k.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		got := map[string]int{}
		for _, pod := range pods.Items {
			got[strings.TrimPrefix(pod.Spec.Containers[0].Image, "web:")]++
		}
		if fmt.Sprint(got) != fmt.Sprint(images) {
			return fmt.Errorf("%s: the pods are %v, want %v", when, got, images)
		}
		return nil
	})
	k.Logf("%s after %s", when, time.Since(k.began).Round(time.Millisecond))
}

const secondImage = `{spec: {template: {spec: {containers: [{name: main, image: "web:2"}]}}}}`

func TestKruise(t *testing.T) {
	t.Parallel()
	t.Run("CloneSet", func(t *testing.T) {
		t.Parallel()
		k := newKruised(t, "v1alpha1", "CloneSet", "replicas: 200, updateStrategy: {partition: 75%}")
		k.want("made", map[string]int64{"availableReplicas": 200, "updatedReplicas": 200}, map[string]int{"1": 200})
		k.patch(secondImage)
		k.want("a quarter", map[string]int64{"updatedAvailableReplicas": 50, "readyReplicas": 200, "expectedUpdatedReplicas": 50}, map[string]int{"1": 150, "2": 50})
		k.patch("{spec: {minReadySeconds: 100000, updateStrategy: {partition: 0, maxUnavailable: 0, maxSurge: 20}}}")
		k.want("surge", map[string]int64{"updatedReadyReplicas": 70, "replicas": 220}, map[string]int{"1": 150, "2": 70})
		k.patch("{spec: {minReadySeconds: 0}}")
		k.want("all", map[string]int64{"updatedAvailableReplicas": 200, "replicas": 200}, map[string]int{"2": 200})
	})
	t.Run("CloneSet v1beta1", func(t *testing.T) {
		t.Parallel()
		k := newKruised(t, "v1beta1", "CloneSet", "replicas: 4, updateStrategy: {rollingUpdate: {partition: 3}}")
		k.want("made", map[string]int64{"availableReplicas": 4}, map[string]int{"1": 4})
		k.patch(secondImage)
		k.want("one", map[string]int64{"updatedAvailableReplicas": 1}, map[string]int{"1": 3, "2": 1})
	})
	t.Run("StatefulSet", func(t *testing.T) {
		t.Parallel()
		k := newKruised(t, "v1beta1", "StatefulSet", "replicas: 5, updateStrategy: {rollingUpdate: {partition: 3}}")
		k.want("made", map[string]int64{"readyReplicas": 5}, map[string]int{"1": 5})
		k.patch(secondImage)
		k.want("two", map[string]int64{"updatedReadyReplicas": 2, "readyReplicas": 5}, map[string]int{"1": 3, "2": 2})
		k.patch("{spec: {replicas: 7, updateStrategy: {rollingUpdate: {partition: 0}}}}")
		k.want("all", map[string]int64{"updatedAvailableReplicas": 7}, map[string]int{"2": 7})
	})
	t.Run("DaemonSet", func(t *testing.T) {
		t.Parallel()
		k := newKruised(t, "v1alpha1", "DaemonSet", "updateStrategy: {rollingUpdate: {partition: 2}}")
		k.want("made", map[string]int64{"desiredNumberScheduled": 3, "numberAvailable": 3}, map[string]int{"1": 3})
		k.patch(secondImage)
		k.want("one", map[string]int64{"updatedNumberScheduled": 1, "numberReady": 3}, map[string]int{"1": 2, "2": 1})
		k.patch("{spec: {updateStrategy: {rollingUpdate: {partition: 0}}}}")
		k.want("all", map[string]int64{"updatedNumberScheduled": 3, "numberAvailable": 3}, map[string]int{"2": 3})
	})
}
