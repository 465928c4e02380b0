// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	conflict "k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
)

// disowned leaves the fields of a user's object that was just written to its users (plan.FieldOwners). Admission does so within the
// write; this is for where no one asks it: during an ejection, on a cluster older than Kubernetes 1.30, while no manager answers. The
// release does not depend on it, so it fails without a word to its user.
func (l *loop[T, Seen]) disowned(ctx context.Context, written client.Object) client.Object {
	kind, err := l.client.GroupVersionKindFor(written)
	if err != nil || kind.Group == v1beta1.GroupVersion.Group || metav1.GetControllerOf(written) != nil {
		return written // of Rollouts and the like it is a finalizer, which is the product's; and no one applies what a controller makes
	}
	err = conflict.RetryOnConflict(conflict.DefaultRetry, func() error { // the workload's own controller writes its status meanwhile
		owners := plan.FieldOwners(written.GetManagedFields(), written.GetManagedFields())
		if equality.Semantic.DeepEqual(owners, written.GetManagedFields()) {
			return nil
		}
		next, _ := written.DeepCopyObject().(client.Object)
		next.SetManagedFields(owners)
		err := l.client.Patch(ctx, next, locked(written))
		switch {
		case err == nil:
			written = next
		case apierrors.IsConflict(err) && l.live != nil:
			again, _ := written.DeepCopyObject().(client.Object)
			if err := l.live.Get(ctx, client.ObjectKeyFromObject(written), again); err != nil {
				return err
			}
			written = again
		}
		return err
	})
	if err != nil {
		log.FromContext(ctx).V(1).Info("fields of a user's object stay the manager's until its next write", "object", named(written), "error", err.Error())
	}
	return written
}
