// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// SyncAdvancedDaemonSet does what OpenKruise's DaemonSet controller is documented to do, and returns when the next pod becomes
// available. Updates in place are played as updates by deletion. A pod that somebody deletes comes back as the newest, whatever
// the partition: nothing is documented but how many stay when pods are updated.
func (c *Cluster) SyncAdvancedDaemonSet(ctx context.Context, u *unstructured.Unstructured) (next time.Time, err error) {
	w, err := c.readWorkload(u)
	if err != nil {
		return next, err
	}
	w.short, w.hashes = true, true
	partition := limitOf(strategyField(u, "partition"), "0")
	d := &daemons{
		workload:       w,
		rolling:        textAt(u, "spec", "updateStrategy", "type") != string(appsv1.OnDeleteDaemonSetStrategyType),
		paused:         strategyField(u, "paused") == true,
		partition:      func(nodes int) int { return scaled(partition, nodes) },
		maxUnavailable: limitOf(strategyField(u, "maxUnavailable"), "1"),
		maxSurge:       limitOf(strategyField(u, "maxSurge"), "0"),
	}
	if err := d.place(ctx); err != nil {
		return next, err
	}
	n := d.countNodes()
	status := map[string]any{
		"observedGeneration": u.GetGeneration(), "desiredNumberScheduled": len(d.nodes), "currentNumberScheduled": n.all,
		"numberReady": n.ready, "numberAvailable": n.available, "numberUnavailable": len(d.nodes) - n.available,
		"numberMisscheduled": 0, "updatedNumberScheduled": n.updated,
		"daemonSetHash":  d.update.hash(), // v1alpha1
		"updateRevision": d.update.hash(), // v1beta1
	}
	if u.GetDeletionTimestamp() == nil {
		if err := d.sync(ctx); err != nil {
			return d.next, err
		}
	}
	return d.next, c.writeStatus(ctx, u, status)
}
