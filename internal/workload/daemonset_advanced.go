// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"cmp"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// advancedDaemonSet drives OpenKruise's DaemonSet by its partition. How many pods it has, the nodes say; and its status
// knows no other revision than that of the template.
type advancedDaemonSet struct{ partitioned }

func newAdvancedDaemonSet(gvk schema.GroupVersionKind) Driver {
	return advancedDaemonSet{partitioned{
		gvk:         gvk,
		fields:      strategyFields("partition", "paused"),
		held:        values{"partition": holdsAll, "paused": false, "type": rollingUpdate},
		replicas:    func(u *unstructured.Unstructured) int32 { return status(u, "desiredNumberScheduled") },
		revisions:   daemonRevisions,
		partition:   daemonPartition,
		updated:     "updatedNumberScheduled",
		unavailable: maxUnavailable,
		minReady:    []string{"spec", "minReadySeconds"},
	}}
}

// daemonRevisions: the version every pod has is the one a release will start from.
func daemonRevisions(u *unstructured.Unstructured) (stable, update string) {
	update = hashOf(cmp.Or(text(u, "status", "updateRevision"), text(u, "status", "daemonSetHash")))
	if status(u, "updatedNumberScheduled") >= status(u, "desiredNumberScheduled") {
		stable = update
	}
	return stable, update
}

// daemonPartition is a number, but where the user has a percentage: older versions know numbers only.
func daemonPartition(u *unstructured.Unstructured, s State, t Target) any {
	own, _ := strategyFields("partition").originals(u)
	if _, percent := own["partition"].(string); percent {
		return cloneSetPartition(u, s, t)
	}
	return int64(max(0, s.Replicas-t.Updated))
}

func (d advancedDaemonSet) State(o Objects, now time.Time) State {
	s := d.partitioned.State(o, now)
	s.KeepsNew = true // a pod of a DaemonSet that is deleted comes back with the template
	u, _ := o.Workload.(*unstructured.Unstructured)
	if s.Stale {
		return s
	}
	updated := status(u, "updatedNumberScheduled")
	if o.Pods == nil {
		s.Updated, s.Others = updated, max(0, status(u, "currentNumberScheduled")-updated)
	}
	old := kept(d.fields.of(u)["partition"], s.Replicas)
	s.Complete = d.fields.of(u).stays() || updated >= s.Replicas-old && status(u, "numberAvailable") >= s.Replicas
	return s
}

// Starts: one that rolls by itself is at no single version, and yet its next template is a release.
func (d advancedDaemonSet) Starts(o Objects, old client.Object) bool {
	edited, _ := o.Workload.(*unstructured.Unstructured)
	before, _ := old.(*unstructured.Unstructured)
	_, was := d.revisions(before)
	return d.replicas(edited) > 0 && !alikeTemplates(edited, before) &&
		(was != "" || before.GetAnnotations()[v1beta1.AnnotationInProgressing] != "")
}
