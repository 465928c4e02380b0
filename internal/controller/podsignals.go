// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
	"kruise.io/rollouts/internal/plan"
	"kruise.io/rollouts/internal/workload"
)

// podsOfRollout reads the pods of a Rollout's workload, new and old ones, for what they say of their version. It is not a part of any
// pass: a Rollout is told only what comes of it.
func podsOfRollout(c client.Reader, workloads Workloads) func(context.Context, types.NamespacedName) ([]analysis.Pod, error) {
	return func(ctx context.Context, name types.NamespacedName) ([]analysis.Pod, error) {
		ro := &v1beta1.Rollout{}
		if err := c.Get(ctx, name, ro); err != nil {
			return nil, err
		}
		f, err := workloads.observe(ctx, c, ro.Namespace, ro.Spec.WorkloadRef, plan.Style(ro))
		if err != nil || f.objects.Workload == nil {
			return nil, err
		}
		if err := observePods(ctx, c, f.driver, &f.objects); err != nil {
			return nil, err
		}
		sub := ro.Status.Common()
		if sub == nil {
			return nil, nil
		}
		var pods []analysis.Pod
		for _, p := range f.objects.Pods {
			pods = append(pods, analysis.PodOf(p, workload.AtRevision(p, sub.PodTemplateHash), true)) // which nodes are ready is not ours to read
		}
		return pods, nil
	}
}
