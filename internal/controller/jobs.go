// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// MayCreateJobs asks the API server whether a user may create Jobs in a namespace; "": in all of them.
func MayCreateJobs(ctx context.Context, c client.Client, user authenticationv1.UserInfo, namespace string) (bool, error) {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, Groups: user.Groups, UID: user.UID, Extra: map[string]authorizationv1.ExtraValue{},
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "create", Group: "batch", Version: "v1", Resource: "jobs"},
	}}
	for key, values := range user.Extra {
		review.Spec.Extra[key] = authorizationv1.ExtraValue(values)
	}
	switch err := c.Create(ctx, review); {
	case apierrors.IsForbidden(err):
		return false, fmt.Errorf("the manager may not run Jobs for metrics, nor ask who may; install the chart with rbac.analysisJobs: true (%w)", err)
	case err != nil:
		return false, fmt.Errorf("asking whether %s may create Jobs: %w", user.Username, err)
	}
	return review.Status.Allowed, nil
}
