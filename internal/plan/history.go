// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// kept is how many releases of a Rollout are recorded: as many as the templates that a Deployment keeps by default, so
// that what is recorded of a template is there for as long as the template is. Release n is written over release n-kept: a
// record costs one write for ever, and none has to be deleted.
const kept = 10

// Past is what records are made from. It is checked while a release is under way only.
type Past struct {
	Histories []*v1alpha1.RolloutHistory   // of Rollouts of this name; only their metadata is read
	Revisions []*appsv1.ControllerRevision // of the workload, where it has no ReplicaSets
	Pods      []*corev1.Pod                // of the workload; nil where no one looked
}

// record puts a release on record: how it ended, and the objects as they are. Nothing waits for it, and where it cannot be
// written a release ends all the same. It is done before the changes that end the release, so that it is not
// forgotten if the process is.
func (p *rolloutPlanner) record(outcome v1beta1.ReleaseOutcome) {
	r := p.status.Release
	if p.Past == nil || r == nil || p.Objects.Workload == nil {
		return
	}
	if (outcome == v1beta1.OutcomeSuperseded || outcome == v1beta1.OutcomeRolledBack) && endedAborted(r) {
		outcome = v1beta1.OutcomeAborted
	}
	if r.Outcome != outcome {
		if outcome == v1beta1.OutcomeCompleted {
			// Pods next to the workload may have had metadata, and so a revision, of their own.
			r.To = cmp.Or(workload.OwnRevision(p.Objects), p.Workload.Update, r.To)
		}
		now := stamp(p.Now)
		r.Outcome, r.CompletionTime = outcome, &now
	} else if p.recorded(r.Number) {
		return
	}
	h := p.history()
	c := Change{To: h, Like: p.Objects.Workload}
	for _, have := range p.Past.Histories {
		if have.Name == h.Name {
			h.UID, h.ResourceVersion = have.UID, have.ResourceVersion
			c.From = have
		}
	}
	p.Records = append(p.Records, c)
}

// recorded reports whether a release is recorded.
func (p *rolloutPlanner) recorded(number int64) bool {
	for _, h := range p.Past.Histories {
		if numberOf(h) == number {
			return true
		}
	}
	return false
}

// nextNumber is that of a release that begins. It goes on from what is recorded, so that a Rollout made anew under its
// old name writes over nothing but the oldest.
func (p *rolloutPlanner) nextNumber() int64 {
	n := int64(0)
	if r := p.status.Release; r != nil {
		n = r.Number
	}
	for _, h := range p.Past.Histories {
		n = max(n, numberOf(h))
	}
	return n + 1
}

// numberOf is the number of a recorded release; 0: another version of the manager recorded it.
func numberOf(h *v1alpha1.RolloutHistory) int64 {
	n, _ := strconv.ParseInt(h.Annotations[v1beta1.AnnotationReleaseNumber], 10, 64)
	return n
}

// historyName is a Rollout's name and six characters, as clients know it. The last of them is the place among those kept; the
// others distinguish names of which, too long with seven characters more, only the beginning is there.
func historyName(rollout string, number int64) string {
	const letters = 5
	sum := sha256.Sum256([]byte(rollout))
	text := new(big.Int).SetBytes(sum[:]).Text(36)
	begins := rollout[:min(len(rollout), validation.DNS1123SubdomainMaxLength-letters-2)]
	return fmt.Sprintf("%s-%s%d", strings.TrimRight(begins, "-."), text[:letters], number%kept)
}

// history is the record of the release that ends. It belongs to the workload and not to the Rollout: it outlives the
// Rollout, because who deleted that is a question people have, and goes with the templates it speaks of.
func (p *rolloutPlanner) history() *v1alpha1.RolloutHistory {
	w, r := p.Objects.Workload, p.status.Release
	h := &v1alpha1.RolloutHistory{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Rollout.Namespace, Name: historyName(p.Rollout.Name, r.Number),
			Labels:      map[string]string{v1beta1.LabelRolloutName: v1beta1.RolloutNameLabel(p.Rollout.Name), v1beta1.LabelRolloutID: p.sub.ObservedRolloutID},
			Annotations: map[string]string{v1beta1.AnnotationReleaseNumber: strconv.FormatInt(r.Number, 10)},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: p.Rollout.Spec.WorkloadRef.APIVersion, Kind: p.Rollout.Spec.WorkloadRef.Kind, Name: w.GetName(), UID: w.GetUID(),
			}},
		},
		Status: v1alpha1.RolloutHistoryStatus{Phase: v1alpha1.PhaseCompleted, CanarySteps: p.podsByStep()},
	}
	version := workload.VersionOf(p.Objects, p.Past.Revisions, r.To)
	release := &v1alpha1.ReleaseInfo{ReleaseStatus: *r.DeepCopy(), Revision: version.Number}
	if now := workload.Template(w); version.Template != nil && len(differences("", version.Template, now)) > 0 {
		release.Template = &runtime.RawExtension{Raw: encoded(version.Template)}
	}
	h.Spec = v1alpha1.RolloutHistorySpec{
		Release:  release,
		Rollout:  v1alpha1.RolloutInfo{RolloutID: p.sub.ObservedRolloutID, NameAndSpecData: v1alpha1.NameAndSpecData{Name: p.Rollout.Name, Data: p.rolloutSpec()}},
		Workload: v1alpha1.WorkloadInfo{APIVersion: p.Rollout.Spec.WorkloadRef.APIVersion, Kind: p.Rollout.Spec.WorkloadRef.Kind, NameAndSpecData: specOf(w)},
	}
	p.routesInto(&h.Spec)
	return h
}

// rolloutSpec is the Rollout's spec as v1alpha1 says it, which readers of these records expect; what that cannot say is
// as v1beta1 says it.
func (p *rolloutPlanner) rolloutSpec() runtime.RawExtension {
	old := &v1alpha1.Rollout{}
	if p.Rollout.Spec.Strategy.BlueGreen == nil && old.ConvertFrom(p.Rollout) == nil {
		return runtime.RawExtension{Raw: encoded(old.Spec)}
	}
	return runtime.RawExtension{Raw: encoded(p.Rollout.Spec)}
}

// specOf is an object's name and its spec.
func specOf(o client.Object) v1alpha1.NameAndSpecData {
	u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return v1alpha1.NameAndSpecData{Name: o.GetName()}
	}
	return v1alpha1.NameAndSpecData{Name: o.GetName(), Data: runtime.RawExtension{Raw: encoded(u["spec"])}}
}

func encoded(v any) []byte {
	raw, _ := json.Marshal(v)
	return raw
}

// routesInto puts in what routed requests to the workload: a record has room for one of each.
func (p *rolloutPlanner) routesInto(h *v1alpha1.RolloutHistorySpec) {
	for _, r := range p.Routings {
		if s := r.Services.Stable; s != nil && h.Service.Name == "" {
			h.Service.NameAndSpecData = specOf(s)
		}
		for _, route := range r.Routes {
			switch {
			case route == nil || r.Ref.Ingress != nil && route.GetName() != r.Ref.Ingress.Name:
			case route.GetKind() == "Ingress":
				h.TrafficRouting.Ingress = &v1alpha1.IngressInfo{NameAndSpecData: specOf(route)}
			case route.GetKind() == "HTTPRoute":
				h.TrafficRouting.HTTPRoute = &v1alpha1.HTTPRouteInfo{NameAndSpecData: specOf(route)}
			}
		}
	}
}

// podsByStep are the pods that were updated in each step, by their labels.
func (p *rolloutPlanner) podsByStep() []v1alpha1.CanaryStepInfo {
	all := make([]v1alpha1.CanaryStepInfo, p.steps())
	for i := range all {
		all[i].CanaryStepIndex = int32(i + 1) //nolint:gosec // at most 50
	}
	for _, pod := range p.Past.Pods {
		step, err := strconv.Atoi(pod.Labels[v1beta1.LabelBatchID])
		if err != nil || step < 1 || step > len(all) || pod.DeletionTimestamp != nil || pod.Labels[v1beta1.LabelRolloutID] != p.sub.ObservedRolloutID {
			continue
		}
		all[step-1].Pods = append(all[step-1].Pods, v1alpha1.Pod{Name: pod.Name, IP: pod.Status.PodIP, NodeName: pod.Spec.NodeName})
	}
	return all
}
