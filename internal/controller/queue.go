// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Errors back off from the first to the second at most. The default of a quarter of an hour would keep a release waiting for
// as long after whatever was broken has been mended.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// queueOptions are those of all controllers: how many objects they reconcile at a time, and how errors back off.
func queueOptions(workers int) ctrlcontroller.Options {
	return ctrlcontroller.Options{
		MaxConcurrentReconciles: workers,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry),
	}
}
