// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"

	"kruise.io/rollouts/api/v1beta1"
)

// preparing routes requests so that the pods of the step can come. A step that routes none takes everything back first; one
// that does has stable pods alone behind the stable Service before there is any other. Where no stable pod will be left,
// the Service takes all pods in before the last stable ones go. All that comes once the step's webhooks have allowed it.
func (p *rolloutPlanner) preparing() *pending {
	if wait := p.trafficRoutingThere(); wait != nil {
		return wait
	}
	if wait := p.called(v1beta1.WebhookBefore); wait != nil {
		return wait
	}
	t := p.traffic
	switch i := p.sub.CurrentStepIndex; {
	case !t.routed():
	case p.route(i) == nil:
		if wait := t.withdraw(); wait != nil {
			return wait
		}
	case p.emptied(i):
		open := t.selectServices(selection{canary: t.canaryRevision()})
		if wait := run(open, t.endpointsReady, t.endpointsApplied); wait != nil {
			return wait
		}
	default:
		// The order for pods may follow at once: it is written only after the Service was.
		pin := t.selectServices(selection{stable: p.serving(), canary: t.canaryRevision()})
		if wait := pin(); wait != nil && !wait.written {
			return wait
		}
	}
	p.enter(v1beta1.StepUpgrade)
	return nil
}

// routing routes requests as the step says. The pods are there: first the Services, then, once their pods are known to all,
// the routes.
func (p *rolloutPlanner) routing() *pending {
	if wait := p.holdTrafficRouting(); wait != nil { // which routes to pods that there have to be first
		return wait
	}
	t, i := p.traffic, p.sub.CurrentStepIndex
	if route := p.route(i); t.routed() && route != nil {
		stages := []stage{p.stableForgotten}
		if !p.emptied(i) {
			stages = []stage{
				t.able(route), t.selectServices(selection{stable: p.serving(), canary: p.newRevision()}), t.canaryReady(route),
				t.canaryKnown, t.applyRoutes(route), t.routesAccepted, t.gracePeriodElapsed,
			}
		}
		if wait := run(stages...); wait != nil {
			return wait
		}
	}
	p.enter(v1beta1.StepMetricsAnalysis)
	return nil
}

// route is what a step, from 1, asks of routes; nil: nothing.
func (p *rolloutPlanner) route(step int32) *v1beta1.TrafficRoutingStrategy {
	return routeOf(p.Rollout.Spec.Strategy.Steps()[step-1])
}

// stableForgotten waits until gateways have had the time to see that the last stable pods are gone: all requests reach new ones,
// and that is what a step that leaves no stable pod has promised.
func (p *rolloutPlanner) stableForgotten() *pending {
	if since := p.sub.LastUpdateTime; since != nil {
		return p.traffic.endpointsAppliedSince(since.Time)
	}
	return nil
}

// serving is the revision that stable Services are pinned to: the stable one, unless this release took over from one that had most
// requests or all stable pods, and that has more ready pods; "": to none, because the template came back to a version that has most pods.
func (p *rolloutPlanner) serving() string {
	t, stable, updated := p.traffic, p.sub.StableRevision, p.newRevision()
	pinned := t.asked().StableRevision
	if pinned != "" && pinned != updated && t.ready(pinned) > t.ready(stable) {
		return pinned
	}
	if t.answers(stable) {
		return stable
	}
	other := t.answering(updated)
	if pinned != stable && t.answers(updated) && t.ready(updated) >= t.ready(other) {
		return "" // the new version has most pods already, and takes those of others first
	}
	return cmp.Or(other, stable)
}

// keepServing has the version that a release takes over from serve in the stable one's place where most requests are routed to it: of the
// stable version there may be a pod or two.
func (p *rolloutPlanner) keepServing() *pending {
	t := p.traffic
	if !t.routed() || Style(p.Rollout) != v1beta1.PartitionRollingStyle {
		return nil
	}
	asked := t.asked()
	stable, canary := asked.StableRevision, asked.CanaryRevision
	if stable == "" || canary == "" || stable != canary && (!most(asked.Route) || t.ready(canary) <= t.ready(stable)) {
		return nil
	}
	return run(t.selectServices(selection{stable: canary, canary: canary}), t.endpointsReady, t.endpointsApplied)
}

// emptied reports whether a step leaves no stable pod: new ones take their places.
func (p *rolloutPlanner) emptied(step int32) bool {
	if step < 1 || step > p.steps() || Style(p.Rollout) != v1beta1.PartitionRollingStyle {
		return false
	}
	updated := int32(0)
	if c := p.status.CanaryStatus; c != nil {
		updated = c.CanaryReplicas
	}
	size := p.size(step)
	if step == p.sub.CurrentStepIndex && p.sub.CurrentStepState == v1beta1.StepBeforeUpgrade && p.dueHook(v1beta1.WebhookBefore) != nil {
		size = 0 // nothing of the step has begun
	}
	return max(updated, size) >= p.Workload.Replicas
}

// newRevision is the label value of the pods that a release brings.
func (p *rolloutPlanner) newRevision() string {
	if p.Workload.Update != "" {
		return p.Workload.Update
	}
	return p.sub.PodTemplateHash
}

// correctDrift reverts what others changed in Services and routes since they were asked for; the release stays where it is until
// that is done.
func (p *rolloutPlanner) correctDrift() *pending {
	t := p.sub.Traffic
	if !p.traffic.routed() || t == nil || p.superseded() {
		return nil
	}
	stable := t.StableRevision
	if stable != "" {
		stable = p.serving() // the pods of one that a release took over from may have gone
	}
	switch emptied := p.emptied(p.sub.CurrentStepIndex); {
	case emptied:
		stable = "" // scaling has left no pods of it
	case stable == "" && p.reachedRouted() && !p.traffic.rerouted() && p.traffic.answers(p.sub.StableRevision):
		stable = p.sub.StableRevision // they are there again
	}
	wait := run(p.traffic.selectServices(selection{stable: stable, canary: t.CanaryRevision}), p.traffic.applyRoutes(t.Route))
	if err := p.traffic.ofOthers(); stable != "" && err != nil {
		blocked := p.traffic.blocked(err)
		if wait != nil {
			blocked.written, blocked.until = wait.written, wait.until
		}
		return blocked
	}
	return wait
}

// reachedRouted reports whether the current step is reached, and routes some requests to the new version.
func (p *rolloutPlanner) reachedRouted() bool {
	i, state := p.sub.CurrentStepIndex, p.sub.CurrentStepState
	return i >= 1 && i <= p.steps() && !nothing(p.route(i)) && (state == v1beta1.StepPaused || state == v1beta1.StepReady)
}
