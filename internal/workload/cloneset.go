// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// newCloneSet drives OpenKruise's CloneSet by its partition.
func newCloneSet(gvk schema.GroupVersionKind) Driver { return cloneSet(gvk) }

func cloneSet(gvk schema.GroupVersionKind) partitioned {
	f := cloneSetFields(gvk)
	return partitioned{
		gvk:      gvk,
		fields:   fields{"partition": f["partition"], "paused": f["paused"]},
		held:     values{"partition": "100%", "paused": false},
		replicas: specReplicas,
		revisions: func(u *unstructured.Unstructured) (stable, update string) {
			return hashOf(text(u, "status", "currentRevision")), hashOf(text(u, "status", "updateRevision"))
		},
		partition: cloneSetPartition,
		excess:    mostExpendable,
		unavailable: func(u *unstructured.Unstructured, replicas int32) int32 {
			v, _, _ := unstructured.NestedFieldNoCopy(u.Object, f["maxUnavailable"]...)
			return allowed(v, "20%", replicas)
		},
		drains:   true,
		minReady: []string{"spec", "minReadySeconds"},
	}
}

// cloneSetFields are where a version of CloneSet has its strategy: v1beta1 has moved it below rollingUpdate.
func cloneSetFields(gvk schema.GroupVersionKind) fields {
	f := fields{"minReadySeconds": {"spec", "minReadySeconds"}}
	for _, name := range []string{"partition", "paused", "maxSurge", "maxUnavailable"} {
		if gvk.Version == "v1alpha1" {
			f[name] = []string{"spec", "updateStrategy", name}
		} else {
			f[name] = []string{"spec", "updateStrategy", "rollingUpdate", name}
		}
	}
	return f
}

// cloneSetPartition is a percentage where the batch is one, so that it holds while the workload is scaled, too. Where no
// whole percentage keeps just as many pods, the number is said: one pod too many is one too many (docs/wire.md, writes
// per workload, where the reference rounds it).
func cloneSetPartition(_ *unstructured.Unstructured, s State, t Target) any {
	old := max(0, s.Replicas-t.Updated)
	if t.Batch.Type == intstr.Int || s.Replicas == 0 {
		return int64(old)
	}
	percent := fmt.Sprintf("%d%%", 100*old/s.Replicas)
	if kept(percent, s.Replicas) == old {
		return percent
	}
	return int64(old)
}
