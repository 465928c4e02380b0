// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Self asks the API server which user it takes c for; "": it does not show, because SelfSubjectReview is there from Kubernetes 1.28
// on only.
func Self(ctx context.Context, c client.Client) (user string, err error) {
	review := &authenticationv1.SelfSubjectReview{}
	if err := c.Create(ctx, review); apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("asking the API server which user this manager is: %w", err)
	}
	return review.Status.UserInfo.Username, nil
}
