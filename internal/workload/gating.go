// SPDX-License-Identifier: Apache-2.0

package workload

// gate is what decides how far the native Deployment controller may go on its own.
type gate struct {
	Replicas    int32 // pods asked for
	Surge       int32 // the user's maxSurge, in pods
	Unavailable int32 // the user's maxUnavailable, in pods
	Want        int32 // new pods to reach
	New         int32 // new pods asked for so far
	NewReady    int32 // of those, ready
	Old         int32 // old pods asked for
	Given       int32 // maxUnavailable the native controller has been given in this batch; 0 none yet
}

// open returns maxSurge and maxUnavailable for the next stretch of a batch. New pods never count as available while a
// Deployment moves (their minReadySeconds is infinite), so the native controller stops at surge + unavailable new pods
// and replicas - unavailable old ones. Growing unavailable with new pods that really are ready keeps the release
// within the user's own limits: ready pods >= replicas - Unavailable, all pods <= replicas + Surge, new <= Want.
// Old pods that are gone already stay gone: nothing is ever scaled back up, so the limit does not fall below them. Nor
// does it fall below what was given: the native controller may be using it at this very moment, and surge granted in
// its place would be one new pod too many.
func (g gate) open() (surge, unavailable int32) {
	gone := max(0, g.Replicas-g.Old)
	unavailable = min(g.Want, max(g.NewReady+g.Unavailable, gone, g.Given))
	surge = min(g.Surge, g.Want-unavailable)
	return surge, unavailable
}

// reached reports whether as many pods as wanted were asked for, and as few old ones are left as that allows.
func (g gate) reached() bool { return g.New >= g.Want && g.Old <= g.Replicas-g.Want }
