// SPDX-License-Identifier: Apache-2.0

package workload

// gate is what decides how far the native Deployment controller may go on its own.
type gate struct {
	Replicas    int32 // pods asked for
	Surge       int32 // the user's maxSurge, in pods
	Unavailable int32 // the user's maxUnavailable, in pods
	Want        int32 // new pods to reach
	NewReady    int32 // new pods that are ready
	Old         int32 // old pods asked for
}

// open returns maxSurge and maxUnavailable for the next stretch of a batch. New pods never count as available while a
// Deployment moves (their minReadySeconds is infinite), so the native controller stops at surge + unavailable new pods
// and replicas - unavailable old ones. Growing unavailable with new pods that really are ready keeps the release
// within the user's own limits: ready pods >= replicas - Unavailable, all pods <= replicas + Surge, new <= Want.
// Old pods that are gone already stay gone: nothing is ever scaled back up, so the limit does not fall below them.
func (g gate) open() (surge, unavailable int32) {
	gone := max(0, g.Replicas-g.Old)
	unavailable = min(g.Want, max(g.NewReady+g.Unavailable, gone))
	surge = min(g.Surge, g.Want-unavailable)
	return surge, unavailable
}
