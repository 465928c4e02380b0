// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// SyncAdvancedStatefulSet does what OpenKruise's StatefulSet controller is documented to do, and returns when the next pod becomes
// available. Updates in place are played as updates by deletion. maxUnavailable rounds up, as that of the native kind.
func (c *Cluster) SyncAdvancedStatefulSet(ctx context.Context, u *unstructured.Unstructured) (next time.Time, err error) {
	w, err := c.readWorkload(u)
	if err != nil {
		return next, err
	}
	o := &ordered{
		workload:  w,
		ordinals:  ordinalsOf(u),
		parallel:  textAt(u, "spec", "podManagementPolicy") == string(appsv1.ParallelPodManagement),
		rolling:   textAt(u, "spec", "updateStrategy", "type") != string(appsv1.OnDeleteStatefulSetStrategyType),
		paused:    strategyField(u, "paused") == true,
		unordered: strategyField(u, "unorderedUpdate") != nil,
		advanced:  true,
	}
	o.partition = scaled(limitOf(strategyField(u, "partition"), "0"), len(o.ordinals))
	o.maxUnavailable = max(1, scaled(limitOf(strategyField(u, "maxUnavailable"), "1"), len(o.ordinals)))
	if s := numberAt(u, 0, "spec", "updateStrategy", "rollingUpdate", "minReadySeconds"); s > 0 {
		w.minReady = time.Duration(s) * time.Second
	}
	if err := o.load(ctx, textAt(u, "status", "currentRevision")); err != nil {
		return next, err
	}
	n := o.count()
	status := map[string]any{
		"observedGeneration": u.GetGeneration(), "replicas": n.all, "readyReplicas": n.ready, "availableReplicas": n.available,
		"currentReplicas": n.current, "updatedReplicas": n.updated, "updatedReadyReplicas": n.updatedReady,
		"updatedAvailableReplicas": n.updatedAvailable, "currentRevision": o.currentName(n), "updateRevision": o.update.Name,
		"labelSelector": selectorText(u),
	}
	if status["currentRevision"] == status["updateRevision"] {
		status["currentReplicas"] = n.updated
	}
	if u.GetDeletionTimestamp() == nil {
		if err := o.sync(ctx); err != nil {
			return o.next, err
		}
	}
	return o.next, c.writeStatus(ctx, u, status)
}

// ordinalsOf are the ordinals that an Advanced StatefulSet is to have: as many as replicas, without the reserved ones.
func ordinalsOf(u *unstructured.Unstructured) []int {
	reserved := map[int]bool{}
	list, _ := fieldAt(u, "spec", "reserveOrdinals").([]any)
	for _, v := range list {
		if n, ok := v.(int64); ok {
			reserved[int(n)] = true
		}
	}
	var ordinals []int
	replicas := numberAt(u, 1, "spec", "replicas")
	for n := numberAt(u, 0, "spec", "ordinals", "start"); len(ordinals) < replicas; n++ {
		if !reserved[n] {
			ordinals = append(ordinals, n)
		}
	}
	return ordinals
}
