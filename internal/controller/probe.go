// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// ProbeManager is the field manager of the dry run by which we find out whether admission is asked.
const ProbeManager = FieldManager + "-probe"

// Prober shows why a change of a workload's template would not be held by admission; nil: it would be.
type Prober func(ctx context.Context, w client.Object) error

// Probe tries a change of a workload's template in a dry run. Admission answers it with the mark of a release.
func Probe(c client.Client) Prober {
	return func(ctx context.Context, w client.Object) error {
		patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"uid":%q},"spec":{"template":{"metadata":{"annotations":{%q:%q}}}}}`,
			w.GetUID(), v1beta1.AnnotationInProgressing, ProbeManager))
		change, _ := w.DeepCopyObject().(client.Object)
		if err := c.Patch(ctx, change, patch, client.DryRunAll, client.FieldOwner(ProbeManager)); err != nil {
			return fmt.Errorf("trying a change of the pod template: %w", err)
		}
		if change.GetAnnotations()[v1beta1.AnnotationInProgressing] == "" {
			return errors.New("a dry run of a change was not held; check that the MutatingWebhookConfiguration " +
				"kruise-rollout-mutating-webhook-configuration is installed and that its objectSelector matches the workload")
		}
		return nil
	}
}
