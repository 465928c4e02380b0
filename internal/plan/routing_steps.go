// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
)

// preparing routes requests so that the pods of the step can come. A step that leads none takes everything back first; one
// that does has stable pods alone behind the stable Service before there is any other. Where no stable pod will be left,
// the Service takes all pods in before the last stable ones go.
func (l *look) preparing() bool {
	if !l.holding() {
		return false
	}
	switch i := l.sub.CurrentStepIndex; {
	case !l.routed():
	case routeOf(Steps(l.Rollout)[i-1]) == nil:
		if !l.withdrawn() {
			return false
		}
	case l.emptied(i):
		if !l.serve("", l.canary()) || !l.shown() || !l.known() {
			return false
		}
	default:
		// The order for pods may follow at once: it is written only after the Service was.
		before := len(l.Changes)
		if !l.serve(l.sub.StableRevision, l.canary()) && len(l.Changes) == before {
			return false
		}
	}
	return l.enter(v1beta1.StepUpgrade)
}

// routing routes requests as the step says. The pods are there: first the Services, then, once their pods are known to all,
// the routes.
func (l *look) routing() bool {
	i := l.sub.CurrentStepIndex
	route := routeOf(Steps(l.Rollout)[i-1])
	switch {
	case !l.routed(), route == nil:
		return l.enter(v1beta1.StepMetricsAnalysis)
	case l.emptied(i):
		return l.forgotten() && l.enter(v1beta1.StepMetricsAnalysis)
	}
	if err := able(l.Routings, route); err != nil {
		return l.blocked(err)
	}
	if !l.serve(l.sub.StableRevision, l.newRevision()) || !l.canaryShown(route) {
		return false
	}
	if first := l.asked().Route == nil; first && !l.fallsBack() && !l.known() {
		return false
	}
	if !l.lead(route) || !l.accepted() || !l.settled() {
		return false
	}
	return l.enter(v1beta1.StepMetricsAnalysis)
}

// forgotten waits until gateways have had the time to see that the last stable pods are gone: all requests reach new ones, and
// that is what a step that leaves no stable pod has promised.
func (l *look) forgotten() bool {
	since := l.sub.LastUpdateTime
	if since == nil || l.past(since.Time, ofEndpoints) {
		return true
	}
	l.tell("waiting for gateways to pick up the new endpoints")
	return false
}

// emptied reports whether a step leaves no stable pod: new ones take their places.
func (l *look) emptied(step int32) bool {
	if step < 1 || step > l.steps() || Style(l.Rollout) != v1beta1.PartitionRollingStyle {
		return false
	}
	updated := int32(0)
	if c := l.status.CanaryStatus; c != nil {
		updated = c.CanaryReplicas
	}
	return max(updated, l.size(step)) >= l.Workload.Replicas
}

// newRevision is the label value of the pods that a release brings.
func (l *look) newRevision() string {
	if l.Workload.Update != "" {
		return l.Workload.Update
	}
	return l.sub.PodTemplateHash
}

// cleared routes all requests to the stable version: what follows takes the new pods away.
func (l *look) cleared() bool {
	return l.lead(nil) && l.settled()
}

// abandoned takes everything back at once: there are no pods that requests could miss.
func (l *look) abandoned() bool {
	return l.untouched() || l.serve("", l.canary()) && l.lead(nil) && l.serve("", "") && l.unled()
}

// fallsBack reports whether all gateways fall back to the stable pods as long as they know no others.
func (l *look) fallsBack() bool {
	for _, r := range l.Routings {
		if !traffic.FallsBack(r.Ref) {
			return false
		}
	}
	return true
}
