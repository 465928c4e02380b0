// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"kruise.io/rollouts/api/v1beta1"
)

// preparing routes requests so that the pods of the step can come. A step that routes none takes everything back first; one
// that does has stable pods alone behind the stable Service before there is any other. Where no stable pod will be left,
// the Service takes all pods in before the last stable ones go.
func (l *look) preparing() *pending {
	if wait := l.holdTrafficRouting(); wait != nil {
		return wait
	}
	t := l.traffic
	switch i := l.sub.CurrentStepIndex; {
	case !t.routed():
	case l.route(i) == nil:
		if wait := t.withdraw(); wait != nil {
			return wait
		}
	case l.emptied(i):
		open := t.selectServices(selection{canary: t.canaryRevision()})
		if wait := run(open, t.endpointsReady, t.endpointsApplied); wait != nil {
			return wait
		}
	default:
		// The order for pods may follow at once: it is written only after the Service was.
		pin := t.selectServices(selection{stable: l.sub.StableRevision, canary: t.canaryRevision()})
		if wait := pin(); wait != nil && !wait.written {
			return wait
		}
	}
	l.enter(v1beta1.StepUpgrade)
	return nil
}

// routing routes requests as the step says. The pods are there: first the Services, then, once their pods are known to all,
// the routes.
func (l *look) routing() *pending {
	t, i := l.traffic, l.sub.CurrentStepIndex
	if route := l.route(i); t.routed() && route != nil {
		stages := []stage{l.stableForgotten}
		if !l.emptied(i) {
			stages = []stage{
				t.able(route), t.selectServices(selection{stable: l.sub.StableRevision, canary: l.newRevision()}), t.canaryReady(route),
				t.canaryKnown, t.applyRoutes(route), t.routesAccepted, t.gracePeriodElapsed,
			}
		}
		if wait := run(stages...); wait != nil {
			return wait
		}
	}
	l.enter(v1beta1.StepMetricsAnalysis)
	return nil
}

// route is what a step, from 1, asks of routes; nil: nothing.
func (l *look) route(step int32) *v1beta1.TrafficRoutingStrategy {
	return routeOf(Steps(l.Rollout)[step-1])
}

// stableForgotten waits until gateways have had the time to see that the last stable pods are gone: all requests reach new ones,
// and that is what a step that leaves no stable pod has promised.
func (l *look) stableForgotten() *pending {
	if since := l.sub.LastUpdateTime; since != nil {
		return l.traffic.endpointsAppliedSince(since.Time)
	}
	return nil
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

// correctDrift reverts what others changed in Services and routes since they were asked for; the release stays where it is until
// that is done.
func (l *look) correctDrift() *pending {
	t := l.sub.Traffic
	if !l.traffic.routed() || t == nil || l.superseded() {
		return nil
	}
	stable := t.StableRevision
	switch emptied := l.emptied(l.sub.CurrentStepIndex); {
	case emptied:
		stable = "" // scaling has left no pods of it
	case stable == "" && l.reachedRouted() && !l.traffic.rerouted() && l.traffic.answers(l.sub.StableRevision):
		stable = l.sub.StableRevision // they are there again
	}
	return run(l.traffic.selectServices(selection{stable: stable, canary: t.CanaryRevision}), l.traffic.applyRoutes(t.Route))
}

// reachedRouted reports whether the current step is reached, and routes some requests to the new version.
func (l *look) reachedRouted() bool {
	i, state := l.sub.CurrentStepIndex, l.sub.CurrentStepState
	return i >= 1 && i <= l.steps() && !nothing(l.route(i)) && (state == v1beta1.StepPaused || state == v1beta1.StepReady)
}
