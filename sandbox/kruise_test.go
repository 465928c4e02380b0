// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/sandbox"
)

// kruised makes a workload of OpenKruise's named web, whose template runs image 1.
type kruised struct {
	*testing.T
	dynamic.ResourceInterface
	client    *kubernetes.Clientset
	namespace string
	began     time.Time
}

func newKruised(t *testing.T, c *sandbox.Cluster, version, kind, spec string) *kruised {
	t.Helper()
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	custom, err := dynamic.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	k := &kruised{T: t, client: client, namespace: newNamespaceIn(t, client), began: time.Now()}
	k.ResourceInterface = custom.Resource(schema.GroupVersionResource{
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
		pods, err := k.client.CoreV1().Pods(k.namespace).List(k.Context(), metav1.ListOptions{})
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

// drop deletes all pods of a version.
func (k *kruised) drop(image string) {
	k.Helper()
	pods, err := k.client.CoreV1().Pods(k.namespace).List(k.Context(), metav1.ListOptions{})
	if err != nil {
		k.Fatal(err)
	}
	for _, pod := range pods.Items {
		if pod.Spec.Containers[0].Image != "web:"+image {
			continue
		}
		if err := k.client.CoreV1().Pods(k.namespace).Delete(k.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
			k.Fatal(err)
		}
	}
}

const secondImage = `{spec: {template: {spec: {containers: [{name: main, image: "web:2"}]}}}}`

// TestKruise holds the sandbox's own controllers to OpenKruise's: the same objects come to the same ends.
func TestKruise(t *testing.T) {
	t.Parallel()
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		if err := cluster.InstallKruise(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := cluster.PlayKruise(t.Context()); err == nil {
			t.Error("a sandbox takes both")
		}
		conform(t, cluster, true)
	})
	t.Run("played", func(t *testing.T) {
		t.Parallel()
		played, err := sandbox.Start(t.Context(), sandbox.Options{Dir: filepath.Join(t.TempDir(), "played"), NoAudit: true, Log: os.Stderr})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := played.Stop(); err != nil {
				t.Error(err)
			}
		})
		if err := played.PlayKruise(t.Context()); err != nil {
			t.Fatal(err)
		}
		conform(t, played, false)
		t.Run("CloneSet v1beta1", func(t *testing.T) { // this version of OpenKruise does not serve it
			t.Parallel()
			k := newKruised(t, played, "v1beta1", "CloneSet", "replicas: 4, updateStrategy: {rollingUpdate: {partition: 3}}")
			k.want("made", map[string]int64{"availableReplicas": 4}, map[string]int{"1": 4})
			k.patch(secondImage)
			k.want("one", map[string]int64{"updatedAvailableReplicas": 1}, map[string]int{"1": 3, "2": 1})
		})
	})
}

func conform(t *testing.T, c *sandbox.Cluster, keepsPaused bool) {
	t.Run("CloneSet", func(t *testing.T) {
		t.Parallel()
		k := newKruised(t, c, "v1alpha1", "CloneSet", "replicas: 200, updateStrategy: {partition: 75%}")
		k.want("made", map[string]int64{"availableReplicas": 200, "updatedReplicas": 200}, map[string]int{"1": 200})
		k.patch(secondImage)
		k.want("a quarter", map[string]int64{"updatedAvailableReplicas": 50, "readyReplicas": 200, "expectedUpdatedReplicas": 50}, map[string]int{"1": 150, "2": 50})
		k.patch("{spec: {minReadySeconds: 100000, updateStrategy: {partition: 0, maxUnavailable: 0, maxSurge: 20}}}")
		k.want("surge", map[string]int64{"updatedReadyReplicas": 70, "replicas": 220}, map[string]int{"1": 150, "2": 70})
		k.patch("{spec: {minReadySeconds: 0}}")
		k.want("all", map[string]int64{"updatedAvailableReplicas": 200, "replicas": 200}, map[string]int{"2": 200})
	})
	t.Run("CloneSet, both versions", func(t *testing.T) {
		t.Parallel()
		k := newKruised(t, c, "v1alpha1", "CloneSet", "replicas: 5, minReadySeconds: 2147483646, updateStrategy: {partition: 100%, maxUnavailable: 0, maxSurge: 2}")
		k.want("made", map[string]int64{"readyReplicas": 5}, map[string]int{"1": 5})
		k.patch(secondImage)
		k.want("held", map[string]int64{"replicas": 5, "updatedReplicas": 0}, map[string]int{"1": 5})
		k.patch("{spec: {updateStrategy: {partition: 0}}}")
		k.want("two beside", map[string]int64{"updatedReadyReplicas": 2}, map[string]int{"1": 5, "2": 2})
		k.patch("{spec: {updateStrategy: {maxSurge: 100%}}}")
		k.want("no more than are missing", map[string]int64{"updatedReadyReplicas": 3}, map[string]int{"1": 5, "2": 3})
		k.patch("{spec: {updateStrategy: {paused: true}}}")
		k.drop("2")
		k.want("none beside", map[string]int64{"replicas": 5}, map[string]int{"1": 5})
		k.patch("{spec: {updateStrategy: {paused: null}}}")
		k.want("all beside", map[string]int64{"updatedReadyReplicas": 5}, map[string]int{"1": 5, "2": 5})
		if _, err := k.Patch(k.Context(), "web", types.MergePatchType, []byte(`{"spec":{"updateStrategy":{"maxSurge":0}}}`), metav1.PatchOptions{}); err == nil {
			t.Error("neither surge nor unavailable pods, and it is not refused")
		}
		k.patch("{spec: {minReadySeconds: 0}}")
		k.want("old ones go", map[string]int64{"updatedAvailableReplicas": 5, "replicas": 5}, map[string]int{"2": 5})
	})
	for name, play := range scaled {
		t.Run("CloneSet scaled, "+name, func(t *testing.T) {
			t.Parallel()
			k := newKruised(t, c, "v1alpha1", "CloneSet", "replicas: 3")
			k.want("made", map[string]int64{"availableReplicas": 3}, map[string]int{"1": 3})
			play(k)
		})
	}
	for _, version := range []string{"v1alpha1", "v1beta1"} {
		t.Run("StatefulSet "+version, func(t *testing.T) {
			t.Parallel()
			k := newKruised(t, c, version, "StatefulSet", "replicas: 5, updateStrategy: {rollingUpdate: {partition: 3}}")
			k.want("made", map[string]int64{"readyReplicas": 5}, map[string]int{"1": 5})
			k.patch(secondImage)
			k.want("two", map[string]int64{"updatedReplicas": 2, "readyReplicas": 5}, map[string]int{"1": 3, "2": 2})
			k.patch("{spec: {replicas: 7, updateStrategy: {rollingUpdate: {partition: 0}}}}")
			k.want("all", map[string]int64{"updatedReplicas": 7, "availableReplicas": 7}, map[string]int{"2": 7})
		})
	}
	t.Run("DaemonSet", func(t *testing.T) {
		t.Parallel()
		k := newKruised(t, c, "v1alpha1", "DaemonSet", "updateStrategy: {rollingUpdate: {partition: 2}}")
		k.want("made", map[string]int64{"desiredNumberScheduled": 3, "numberAvailable": 3}, map[string]int{"1": 3})
		k.patch(secondImage)
		k.want("one", map[string]int64{"updatedNumberScheduled": 1, "numberReady": 3}, map[string]int{"1": 2, "2": 1})
		k.patch("{spec: {updateStrategy: {rollingUpdate: {partition: 0}}}}")
		k.want("all", map[string]int64{"updatedNumberScheduled": 3, "numberAvailable": 3}, map[string]int{"2": 3})
	})
	t.Run("what is written", func(t *testing.T) {
		t.Parallel()
		written(t, c, keepsPaused)
	})
}

// scaled is what becomes of CloneSets of 3 pods that are scaled, or lose pods, in the middle of an update (docs/workloads.md).
var scaled = map[string]func(*kruised){
	"partition": func(k *kruised) {
		k.patch("{spec: {updateStrategy: {partition: 1}}}")
		k.patch(secondImage)
		k.pods("updated", 1, 2)
		k.scale("in", 1, 1, 0)
		k.scale("back", 3, 1, 2)
		k.scale("out", 5, 1, 4)
		k.loses("2", 1)
		k.pods("lost", 1, 4)
	},
	"partition in percent": func(k *kruised) {
		k.patch("{spec: {updateStrategy: {partition: 34%}}}")
		k.patch(secondImage)
		k.pods("updated", 2, 1)
		k.scale("in", 1, 1, 0)
		k.scale("back", 3, 2, 1)
		k.scale("out", 5, 2, 3)
		k.scale("in again", 2, 1, 1)
	},
	"partition, surge, none available": func(k *kruised) {
		k.patch("{spec: {minReadySeconds: 2147483646, updateStrategy: {partition: 2, maxUnavailable: 0, maxSurge: 1}}}")
		k.patch(secondImage)
		k.pods("updated", 3, 1)
		k.scale("in", 1, 3, 1)
		k.scale("back", 3, 3, 1)
		k.scale("out", 5, 3, 3)
		k.loses("2", 1)
		k.pods("lost", 3, 3)
	},
	"two sets, in": func(k *kruised) { // nobody is available, so no one goes
		k.beside()
		k.scale("in", 1, 3, 3)
		k.scale("to none", 0, 3, 3)
		k.scale("out", 5, 3, 4)
	},
	"two sets, by hand": func(k *kruised) { // what is too many may go, and does not come back
		k.beside()
		k.scale("in", 1, 3, 3)
		k.loses("1", 2)
		k.pods("old ones gone", 1, 3)
		k.loses("2", 2)
		k.pods("new ones gone", 1, 1)
		k.scale("out", 3, 1, 3)
	},
	"two sets, paused": func(k *kruised) {
		k.beside()
		k.patch("{spec: {updateStrategy: {paused: true}}}")
		k.scale("in", 1, 3, 3)
		k.scale("out", 5, 3, 3)
		k.patch("{spec: {updateStrategy: {paused: null}}}")
		k.pods("on", 3, 4)
	},
	"two sets, new pods lost": func(k *kruised) {
		k.beside()
		k.loses("2", 1)
		k.pods("one lost", 3, 2)
		k.loses("2", 1)
		k.pods("one more lost", 3, 2) // of three a set keeps two
		for _, partition := range []string{"1", "0", "100%", "0"} {
			k.patch("{spec: {updateStrategy: {partition: " + partition + "}}}")
			k.pods("partition "+partition, 3, 2)
		}
		k.loses("1", 1)
		k.pods("an old one gone", 2, 2)
		k.loses("1", 1)
		k.pods("two old ones gone", 1, 3)
	},
	"two sets, paused and available": func(k *kruised) { // a pause keeps neither what is too many nor what is lost
		k.beside()
		k.patch("{spec: {minReadySeconds: 0, updateStrategy: {paused: true}}}")
		k.pods("available", 0, 3)
		k.loses("2", 1)
		k.pods("lost", 0, 3)
	},
	"two sets, and a third version": func(k *kruised) {
		k.beside()
		k.patch(`{spec: {template: {spec: {containers: [{name: main, image: "web:3"}]}}}}`)
		k.want("none goes and none comes", map[string]int64{"replicas": 6, "updatedReplicas": 0}, map[string]int{"1": 3, "2": 3})
	},
}

// beside makes a second set of pods, none of which ever counts as available.
func (k *kruised) beside() {
	k.Helper()
	k.patch("{spec: {updateStrategy: {partition: 100%}}}")
	k.patch(secondImage)
	k.pods("held", 3, 0)
	k.patch("{spec: {minReadySeconds: 2147483646, updateStrategy: {partition: 0, maxUnavailable: 0, maxSurge: 100%}}}")
	k.pods("two sets", 3, 3)
}

func (k *kruised) scale(when string, replicas, old, updated int) {
	k.Helper()
	k.patch(fmt.Sprintf("{spec: {replicas: %d}}", replicas))
	k.pods(fmt.Sprintf("%s to %d", when, replicas), old, updated)
}

// pods waits until so many are old and updated, and ready, and sees that they stay.
func (k *kruised) pods(when string, old, updated int) {
	k.Helper()
	images := map[string]int{}
	for image, n := range map[string]int{"1": old, "2": updated} {
		if n > 0 {
			images[image] = n
		}
	}
	status := map[string]int64{"replicas": int64(old + updated), "readyReplicas": int64(old + updated), "updatedReadyReplicas": int64(updated)}
	k.want(when, status, images)
	// A write is a reason to check again, and that pass has nothing to add.
	k.patch(fmt.Sprintf("{spec: {revisionHistoryLimit: %d}}", 20+time.Since(k.began).Milliseconds()))
	k.want(when+", still", status, images)
}

// loses deletes some pods of a version by hand, one after another.
func (k *kruised) loses(image string, n int) {
	k.Helper()
	pods, err := k.client.CoreV1().Pods(k.namespace).List(k.Context(), metav1.ListOptions{})
	if err != nil {
		k.Fatal(err)
	}
	for _, pod := range pods.Items {
		if n > 0 && pod.Spec.Containers[0].Image == "web:"+image {
			n--
			if err := k.client.CoreV1().Pods(k.namespace).Delete(k.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
				k.Fatal(err)
			}
		}
	}
}

// written: what admission makes of what is written is the same. Version 1.8 keeps "paused: false" where it changes nothing else;
// later ones always drop it, and so do the sandbox's own.
func written(t *testing.T, c *sandbox.Cluster, keepsPaused bool) {
	unpaused := ""
	if keepsPaused {
		unpaused = `"paused":false,`
	}
	const (
		clones  = `{"maxSurge":0,"maxUnavailable":"20%","partition":0,"type":"ReCreate"}`
		ordered = `{"rollingUpdate":{"maxUnavailable":1,"minReadySeconds":0,"partition":0,"podUpdatePolicy":"ReCreate"},"type":"RollingUpdate"}`
		daemons = `{"rollingUpdate":{"maxSurge":0,"maxUnavailable":1,"rollingUpdateType":"Standard"},"type":"RollingUpdate"}`
	)
	for _, w := range []struct{ version, kind, spec, patch, made, patched string }{
		{
			"v1alpha1", "CloneSet", "replicas: 1", "{spec: {updateStrategy: {paused: false}}}",
			clones, `{"maxSurge":0,"maxUnavailable":"20%","partition":0,` + unpaused + `"type":"ReCreate"}`,
		},
		{"v1alpha1", "CloneSet", "replicas: 1, updateStrategy: {paused: false}", "{spec: {updateStrategy: {paused: false, partition: null}}}", clones, clones},
		{
			"v1alpha1", "CloneSet", "replicas: 1, updateStrategy: {paused: true}", "{spec: {updateStrategy: {partition: null, maxSurge: null}}}",
			`{"maxSurge":0,"maxUnavailable":"20%","partition":0,"paused":true,"type":"ReCreate"}`,
			`{"maxSurge":0,"maxUnavailable":"20%","partition":0,"paused":true,"type":"ReCreate"}`,
		},
		{
			"v1beta1", "StatefulSet", "replicas: 1", "{spec: {updateStrategy: {rollingUpdate: {paused: false}}}}", ordered,
			`{"rollingUpdate":{"maxUnavailable":1,"minReadySeconds":0,"partition":0,` + unpaused + `"podUpdatePolicy":"ReCreate"},"type":"RollingUpdate"}`,
		},
		{
			"v1beta1", "StatefulSet", "replicas: 1, updateStrategy: {type: OnDelete}", "{spec: {updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 32767}}}}",
			`{"type":"OnDelete"}`,
			`{"rollingUpdate":{"maxUnavailable":1,"minReadySeconds":0,"partition":32767,"podUpdatePolicy":"ReCreate"},"type":"RollingUpdate"}`,
		},
		{
			"v1alpha1", "DaemonSet", "minReadySeconds: 1", "{spec: {updateStrategy: {rollingUpdate: {paused: false, partition: 32767}}}}", daemons,
			`{"rollingUpdate":{"maxSurge":0,"maxUnavailable":1,"partition":32767,` + unpaused + `"rollingUpdateType":"Standard"},"type":"RollingUpdate"}`,
		},
		{"v1alpha1", "DaemonSet", "updateStrategy: {type: OnDelete}", "{spec: {updateStrategy: {type: RollingUpdate}}}", `{"type":"OnDelete"}`, daemons},
	} {
		k := newKruised(t, c, w.version, w.kind, w.spec)
		k.strategy(w.kind+", "+w.spec, w.made)
		k.patch(w.patch)
		k.strategy(w.kind+", "+w.patch, w.patched)
	}
}

func (k *kruised) strategy(when, want string) {
	k.Helper()
	u, err := k.Get(k.Context(), "web", metav1.GetOptions{})
	if err != nil {
		k.Fatal(err)
	}
	strategy, _, _ := unstructured.NestedMap(u.Object, "spec", "updateStrategy")
	if got, _ := json.Marshal(strategy); string(got) != want {
		k.Errorf("%s: the strategy is\n%s, want\n%s", when, got, want)
	}
}
