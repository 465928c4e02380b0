// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// syncOwners runs the controllers whose workloads make pods themselves.
func (c *Cluster) syncOwners(ctx context.Context) (next time.Time, err error) {
	var syncs []func() (time.Time, error)
	sets := &appsv1.StatefulSetList{}
	if err := c.Client.List(ctx, sets, client.InNamespace(c.Namespace)); err != nil {
		return next, fmt.Errorf("listing StatefulSets: %w", err)
	}
	for i := range sets.Items {
		syncs = append(syncs, func() (time.Time, error) { return c.SyncStatefulSet(ctx, &sets.Items[i]) })
	}
	daemons := &appsv1.DaemonSetList{}
	if err := c.Client.List(ctx, daemons, client.InNamespace(c.Namespace)); err != nil {
		return next, fmt.Errorf("listing DaemonSets: %w", err)
	}
	for i := range daemons.Items {
		syncs = append(syncs, func() (time.Time, error) { return c.SyncDaemonSet(ctx, &daemons.Items[i]) })
	}
	for _, kind := range KruiseKinds {
		items, err := c.listKruise(ctx, kind)
		if err != nil {
			return next, err
		}
		for i := range items {
			syncs = append(syncs, func() (time.Time, error) { return c.SyncKruise(ctx, &items[i]) })
		}
	}
	for _, sync := range syncs {
		t, err := sync()
		if err != nil {
			return next, err
		}
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next, nil
}
