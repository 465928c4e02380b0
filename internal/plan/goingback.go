// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/rollouts/api/v1beta1"
)

// backInBatches reports whether a roll-back is to go through the steps (docs/wire.md, roll-back in batches). It is a release
// like another then, to the version that is known to work. Requests cannot be led meanwhile: both versions would be the
// stable one.
func (l *look) backInBatches() bool {
	return l.Rollout.Annotations[v1beta1.AnnotationRollbackInBatch] == "true" && len(Routings(l.Rollout)) == 0 &&
		Style(l.Rollout) == v1beta1.PartitionRollingStyle
}

// asRollback tells a BatchRelease whether what it releases is a roll-back.
func (l *look) asRollback(br *v1beta1.BatchRelease) *v1beta1.BatchRelease {
	value := ""
	if l.backInBatches() && l.revision() != "" && l.revision() == l.sub.StableRevision {
		value = "true"
	}
	switch value {
	case br.Annotations[v1beta1.AnnotationRollbackInBatch]:
	case "":
		delete(br.Annotations, v1beta1.AnnotationRollbackInBatch)
	default:
		metav1.SetMetaDataAnnotation(&br.ObjectMeta, v1beta1.AnnotationRollbackInBatch, value)
	}
	return br
}

// aborted: somebody wants the version that is being released gone from pods and requests, while the template stays as it
// is. The annotation names the version, so that it says nothing of the next.
func (l *look) aborted() bool {
	revision := l.Object.Annotations[v1beta1.AnnotationAbort]
	return revision != "" && revision == l.revision() && l.Workload.Update == revision
}

// consumeAbort takes away the annotation by which somebody aborted a release that is over: a request counts for the release
// that it was made for, and a later one may be of the same template.
func (l *look) consumeAbort() { delete(l.Object.Annotations, v1beta1.AnnotationAbort) }

// abort takes requests and then pods back to the stable version, and holds there. Without the annotation the release
// starts over.
func (l *look) abort() {
	l.toggled(v1beta1.ReleaseAborted)
	l.follow()
	n := l.steps()
	if l.sub.CurrentStepIndex != 1 || l.sub.CurrentStepState != v1beta1.StepBeforeUpgrade {
		l.warn("Aborted", "the release is aborted: requests and pods go back to the stable version, and the template stays as it is")
		l.sub.CurrentStepIndex, l.sub.NextStepIndex = 1, natural(1, n)
		l.enter(v1beta1.StepBeforeUpgrade)
	}
	l.status.Message = "Rollout has been aborted, and requests and pods go back to the stable version"
	if wait := run(l.traffic.toStable, l.takeBack, l.traffic.withdraw); wait != nil {
		l.awaitToo(wait)
	} else {
		l.status.Message = "Rollout has been aborted: the stable version is held until the pod template changes, or the release is resumed"
		if left, _ := l.pods(); left > 0 {
			l.status.Message += fmt.Sprintf("; %d pods of the new version stay, because the workload's own controller cannot make old ones", left)
		}
		l.status.Conditions = setCondition(l.status.Conditions, l.Now, v1beta1.RolloutCondition{Type: v1beta1.ConditionSucceeded, Status: metav1.ConditionFalse})
	}
	l.reason(v1beta1.ReasonAborted, l.status.Message)
}

// takeBack orders all pods back, and waits for that.
func (l *look) takeBack() *pending {
	br := l.Release
	switch {
	case br == nil:
		return nil // nothing was released yet
	case br.DeletionTimestamp != nil, br.Spec.ReleasePlan.BatchPartition == nil:
		return explained()
	}
	want := l.ordering(1)
	want.ReleasePlan.Aborted = true
	if changes := diff(br, ordered(br, want, l.Now)); len(changes) > 0 {
		l.Changes = append(l.Changes, changes...)
		return writing()
	}
	if reached(br) == 0 {
		return explained()
	}
	return nil
}
