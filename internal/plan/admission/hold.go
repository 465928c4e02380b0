// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
	"kruise.io/rollouts/internal/workload"
)

// Edit is an update of a workload that asks for admission.
type Edit struct {
	Rollout *v1beta1.Rollout // that manages the workload
	Driver  workload.Driver  // of the workload, in the version it was written in
	Kind    string
	User    string // who edits it; "": nobody knows
	Old     client.Object
	New     workload.Objects // the workload as edited, and what is below it
}

// DriverOf returns the driver of a workload that a Rollout manages, for the version it is written in; nil: there is none.
func DriverOf(ro *v1beta1.Rollout, apiVersion, kind string) workload.Driver {
	return workload.DriverFor(v1beta1.ObjectRef{APIVersion: apiVersion, Kind: kind}, plan.Style(ro))
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
	if e.Driver.Starts(e.New, e.Old) {
		stable := ""
		if sub := plan.Progress(&e.Rollout.Status); sub != nil {
			stable = sub.StableRevision
		}
		stored, o := signed(e.Driver.Hold(e.New, e.Old, e.Rollout.Name, stable), e.User), e.New
		o.Workload = stored
		if s := e.Driver.State(o, time.Time{}); s.Update != "" && s.Update == s.Stable && e.Rollout.Annotations[v1beta1.AnnotationRollbackInBatch] != "true" {
			return stored, []string{rolledBack(e)}
		}
		return stored, []string{held(e)}
	}
	if e.Old.GetAnnotations()[v1beta1.AnnotationInProgressing] == "" {
		return e.New.Workload, nil
	}
	return e.Driver.Keep(e.New.Workload, e.Old), nil
}

// held tells a user where the change went, and what to do next.
func held(e Edit) string {
	ro := e.Rollout
	return fmt.Sprintf("%s %q is managed by Rollout %q: the change is held and released in %d steps; "+
		"see \"kubectl kruise rollout status rollout/%s -n %s\", undo with \"kubectl kruise rollout undo rollout/%s -n %s\"",
		e.Kind, e.Old.GetName(), ro.Name, len(plan.Steps(ro)), ro.Name, ro.Namespace, ro.Name, ro.Namespace)
}

// rolledBack tells a user who went back to the stable version that nothing has to be approved.
func rolledBack(e Edit) string {
	ro := e.Rollout
	return fmt.Sprintf("%s %q is managed by Rollout %q: the template is the stable one again, so the release is canceled and every pod goes back at once; "+
		"see \"kubectl kruise rollout status rollout/%s -n %s\"", e.Kind, e.Old.GetName(), ro.Name, ro.Name, ro.Namespace)
}
