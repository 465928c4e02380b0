// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
	"kruise.io/rollouts/internal/workload"
)

// Edit is an update of a workload that asks for admission.
type Edit struct {
	Kind     string
	Old, New client.Object
	Sets     []*appsv1.ReplicaSet
	Rollouts []v1beta1.Rollout // that refer to the workload, by the cache
}

// Managing returns the Rollout that manages a workload among those that refer to it; nil: none does. One that is being
// deleted or is disabled does not (docs/wire.md, matching Rollout).
func Managing(rollouts []v1beta1.Rollout) *v1beta1.Rollout {
	slices.SortFunc(rollouts, func(a, b v1beta1.Rollout) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	for i := range rollouts {
		ro := &rollouts[i]
		enabled := ro.Status.Phase != v1beta1.PhaseDisabled || !ro.Spec.Disabled
		if ro.DeletionTimestamp == nil && enabled && (ro.Spec.Strategy.Canary != nil || ro.Spec.Strategy.BlueGreen != nil) {
			return ro
		}
	}
	return nil
}

// Admit returns a workload as it has to be stored, and what to tell whoever changed it. It holds a change of the
// template, and in the middle of a release it keeps what the release holds.
func Admit(e Edit) (stored client.Object, warnings []string) {
	ro := Managing(e.Rollouts)
	if ro == nil {
		return e.New, nil
	}
	driver := workload.DriverFor(ro.Spec.WorkloadRef, plan.Style(ro))
	if driver == nil {
		return e.New, nil
	}
	o := workload.Objects{Workload: e.New, Sets: e.Sets}
	if driver.Starts(o, e.Old) {
		stable := ""
		if sub := plan.Progress(&ro.Status); sub != nil {
			stable = sub.StableRevision
		}
		stored := driver.Hold(o, e.Old, ro.Name, stable)
		if s := driver.State(workload.Objects{Workload: stored, Sets: e.Sets}, time.Time{}); s.Update != "" && s.Update == s.Stable {
			return stored, []string{rolledBack(e, ro)}
		}
		return stored, []string{held(e, ro)}
	}
	if e.Old.GetAnnotations()[v1beta1.AnnotationInProgressing] == "" {
		return e.New, nil
	}
	return driver.Keep(e.New, e.Old), nil
}

// held tells a user where the change went, and what to do next.
func held(e Edit, ro *v1beta1.Rollout) string {
	return fmt.Sprintf("%s %q is managed by Rollout %q: the change is held and released in %d steps; "+
		"see \"kubectl kruise rollout status rollout/%s -n %s\", undo with \"kubectl kruise rollout undo rollout/%s -n %s\"",
		e.Kind, e.New.GetName(), ro.Name, len(plan.Steps(ro)), ro.Name, ro.Namespace, ro.Name, ro.Namespace)
}

// rolledBack tells a user who went back to the stable version that nothing has to be approved.
func rolledBack(e Edit, ro *v1beta1.Rollout) string {
	return fmt.Sprintf("%s %q is managed by Rollout %q: the template is the stable one again, so the release is canceled and every pod goes back at once; "+
		"see \"kubectl kruise rollout status rollout/%s -n %s\"", e.Kind, e.New.GetName(), ro.Name, ro.Name, ro.Namespace)
}
