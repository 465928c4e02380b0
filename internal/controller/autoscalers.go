// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
)

// observeAutoscalers reads the HorizontalPodAutoscalers that an older version may have renamed the target of: it did so
// for blue-green releases only. Version 1 is served by every API server, and the name is all that is written.
func observeAutoscalers(ctx context.Context, c client.Reader, ro *v1beta1.Rollout) ([]*autoscalingv1.HorizontalPodAutoscaler, error) {
	if plan.Style(ro) != v1beta1.BlueGreenRollingStyle || !leading(ro) && !adopting(ro) {
		return nil, nil
	}
	list := &autoscalingv1.HorizontalPodAutoscalerList{}
	err := inTime(ctx, "listing HorizontalPodAutoscalers", func(ctx context.Context) error {
		return c.List(ctx, list, client.InNamespace(ro.Namespace))
	})
	if err != nil {
		return nil, err
	}
	scalers := make([]*autoscalingv1.HorizontalPodAutoscaler, len(list.Items))
	for i := range list.Items {
		scalers[i] = &list.Items[i]
	}
	return scalers, nil
}
