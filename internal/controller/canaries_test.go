// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/rollouts/api/v1beta1"
)

// indexed collects indexes for a fake client.
type indexed struct{ *fake.ClientBuilder }

func (b indexed) IndexField(_ context.Context, o client.Object, name string, keys client.IndexerFunc) error {
	b.WithIndex(o, name, keys)
	return nil
}

// beside is a Deployment "web" with a canary Deployment, one that only says so, and an unrelated one; each has a ReplicaSet
// with a pod.
func beside(t *testing.T) (c client.Client, made map[string]client.Object) {
	t.Helper()
	made = map[string]client.Object{}
	add := func(o client.Object, owner client.Object, kind string) {
		o.SetNamespace("default")
		o.SetUID(types.UID(o.GetName()))
		if owner != nil {
			o.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "x/v1", Kind: kind, Name: owner.GetName(), UID: owner.GetUID(), Controller: new(true)}})
		}
		made[o.GetName()] = o
	}
	br := &v1beta1.BatchRelease{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	br.Spec.WorkloadRef = v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
	add(br, nil, "")
	ro := &v1beta1.Rollout{ObjectMeta: metav1.ObjectMeta{Name: "rollout"}}
	ro.Spec.WorkloadRef = br.Spec.WorkloadRef
	add(ro, nil, "")
	for name, owner := range map[string]client.Object{"web": nil, "web-xxxxx": br, "pretender": nil, "other": nil} {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if name == "web-xxxxx" || name == "pretender" {
			d.Labels = map[string]string{v1beta1.LabelCanaryDeployment: "web"}
		}
		add(d, owner, "BatchRelease")
		set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: name + "-set"}}
		add(set, d, "Deployment")
		add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name + "-pod"}}, set, "ReplicaSet")
	}
	builder := fake.NewClientBuilder().WithScheme(Scheme())
	for _, o := range made {
		builder.WithObjects(o)
	}
	if err := Index(t.Context(), indexed{builder}); err != nil {
		t.Fatal(err)
	}
	return builder.Build(), made
}

// TestReferring checks who checks again when something below a Deployment changes.
func TestReferring(t *testing.T) {
	t.Parallel()
	c, made := beside(t)
	releases := referring{reader: c, list: func() client.ObjectList { return &v1beta1.BatchReleaseList{} }}
	rollouts := referring{reader: c, list: func() client.ObjectList { return &v1beta1.RolloutList{} }}
	for name, known := range map[string]bool{"web": true, "web-xxxxx": true, "pretender": false, "other": false} {
		for what, got := range map[string][]reconcile.Request{
			"release of the Deployment": releases.ofDeployment(t.Context(), made[name]),
			"release of its ReplicaSet": releases.ofReplicaSet(t.Context(), made[name+"-set"]),
			"release of its pod":        releases.ofPod(t.Context(), made[name+"-pod"]),
			"rollout of the Deployment": rollouts.ofDeployment(t.Context(), made[name]),
			"rollout of its ReplicaSet": rollouts.ofReplicaSet(t.Context(), made[name+"-set"]),
		} {
			want := "[]"
			if known {
				want = "[default/" + map[bool]string{true: "shop", false: "rollout"}[what[:7] == "release"] + "]"
			}
			if fmt.Sprint(got) != want {
				t.Errorf("%s, %s: %v, want %s", name, what, got, want)
			}
		}
	}
}

// TestObserveCanaries checks that what a BatchRelease has made next to a Deployment is read with it, in canary style and
// although the Deployment is gone; and nothing else.
func TestObserveCanaries(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		style    v1beta1.RollingStyleType
		gone     bool
		canaries []string
		sets     []string
	}{
		"canary":                       {style: v1beta1.CanaryRollingStyle, canaries: []string{"web-xxxxx"}, sets: []string{"web-set", "web-xxxxx-set"}},
		"canary, its workload gone":    {style: v1beta1.CanaryRollingStyle, gone: true, canaries: []string{"web-xxxxx"}, sets: []string{"web-xxxxx-set"}},
		"partition":                    {style: v1beta1.PartitionRollingStyle, sets: []string{"web-set"}},
		"partition, its workload gone": {style: v1beta1.PartitionRollingStyle, gone: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl, made := beside(t)
			if c.gone {
				if err := cl.Delete(t.Context(), made["web"]); err != nil {
					t.Fatal(err)
				}
			}
			ref := v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
			found, err := Workloads{}.observe(t.Context(), cl, "default", ref, c.style)
			o := found.objects
			if err != nil || (o.Workload == nil) != c.gone {
				t.Fatalf("%v %v", o.Workload, err)
			}
			var canaries, sets []string
			for _, d := range o.Canaries {
				canaries = append(canaries, d.Name)
			}
			for _, set := range o.Sets {
				sets = append(sets, set.Name)
			}
			if !slices.Equal(canaries, c.canaries) || !slices.Equal(sets, c.sets) {
				t.Errorf("read %q with %q, want %q with %q", canaries, sets, c.canaries, c.sets)
			}
		})
	}
}
