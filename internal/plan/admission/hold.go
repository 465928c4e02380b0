// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"strings"
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
	User    string // who edits it; "": no one knows
	Old     client.Object
	New     workload.Objects // the workload as edited, and what is below it
}

// DriverOf returns the driver of a workload that a Rollout manages, for the version it is written in; nil: none.
func DriverOf(ro *v1beta1.Rollout, apiVersion, kind string) workload.Driver {
	return workload.DriverFor(v1beta1.ObjectRef{APIVersion: apiVersion, Kind: kind}, plan.Style(ro))
}

// Admit returns a workload as it has to be stored, and what to show the one who changed it. It holds a change of the
// template, and in the middle of a release it keeps what the release holds.
func Admit(e Edit) (stored client.Object, warnings []string) {
	if e.Driver.Starts(e.New, e.Old) {
		stable := ""
		if sub := e.Rollout.Status.Common(); sub != nil {
			stable = sub.StableRevision
		}
		stored, o := signed(e.Driver.Hold(e.New, e.Old, e.Rollout.Name, stable), e.User), e.New
		o.Workload = stored
		if goesBack(e, o) && e.Rollout.Annotations[v1beta1.AnnotationRollbackInBatch] != "true" {
			return stored, []string{rolledBack(e)}
		}
		return stored, []string{held(e)}
	}
	if e.Old.GetAnnotations()[v1beta1.AnnotationInProgressing] == "" {
		if clean, marks := workload.WithoutMarks(e.Driver, e.New, e.Old); clean != nil {
			return clean, []string{exported(e, marks)}
		}
		return e.New.Workload, nil
	}
	stored = e.Driver.Keep(e.New.Workload, e.Old)
	if later := workload.Postponed(e.New.Workload, stored, e.Old); len(later) > 0 {
		warnings = append(warnings, postponed(e, later))
	}
	return stored, warnings
}

// goesBack reports whether the template is the one again that the release in progress started from. A driver whose workload's
// status names the revisions says so by the templates: the status is older than the request.
func goesBack(e Edit, o workload.Objects) bool {
	if d, ok := e.Driver.(interface {
		GoesBack(edited, old client.Object) bool
	}); ok {
		return d.GoesBack(e.New.Workload, e.Old)
	}
	s := e.Driver.State(o, time.Time{})
	return s.Update != "" && s.Update == s.Stable
}

// held shows a user where the change went, and what to do next.
func held(e Edit) string {
	ro := e.Rollout
	return fmt.Sprintf("%s %q is managed by Rollout %q: the change is held and released in %d steps; "+
		"see \"kubectl kruise rollout status rollout/%s -n %s\", undo with \"kubectl kruise rollout undo rollout/%s -n %s\"",
		e.Kind, e.Old.GetName(), ro.Name, len(ro.Spec.Strategy.Steps()), ro.Name, ro.Namespace, ro.Name, ro.Namespace)
}

// exported shows a user that marks of a release are not taken from a manifest.
func exported(e Edit, marks []string) string {
	return fmt.Sprintf("%s %q is managed by Rollout %q: the manifest was exported during a release; the fields of that release are ignored: %s",
		e.Kind, e.Old.GetName(), e.Rollout.Name, strings.Join(marks, ", "))
}

// postponed shows a user who stops a workload's pods by its own strategy what that comes to, and how to stop the release.
func postponed(e Edit, later []string) string {
	ro := e.Rollout
	return fmt.Sprintf("%s %q is managed by Rollout %q: it will %s when the release is over; stop the release itself with \"kubectl kruise rollout pause rollout/%s -n %s\"",
		e.Kind, e.Old.GetName(), ro.Name, strings.Join(later, " and "), ro.Name, ro.Namespace)
}

// rolledBack shows a user who went back to the stable version that nothing has to be approved.
func rolledBack(e Edit) string {
	ro := e.Rollout
	return fmt.Sprintf("%s %q is managed by Rollout %q: the pod template is the stable one again, so the release is canceled and all pods are rolled back at once; "+
		"see \"kubectl kruise rollout status rollout/%s -n %s\"", e.Kind, e.Old.GetName(), ro.Name, ro.Name, ro.Namespace)
}
