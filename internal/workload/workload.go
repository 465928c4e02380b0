// SPDX-License-Identifier: Apache-2.0

// Package workload speaks for kinds of workloads: one driver per kind and style of release reads what a workload
// is, and renders what it should be. It is pure: objects in, objects out. It neither reads nor writes the cluster, and
// it decides nothing about steps or batches; package plan does.
package workload

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// Objects are a workload and the objects below it.
type Objects struct {
	Workload  client.Object
	Canaries  []*appsv1.Deployment         // that BatchReleases have made next to it
	Sets      []*appsv1.ReplicaSet         // owned by it or by a canary
	Revisions []*appsv1.ControllerRevision // owned by it, where the driver needs them
	Pods      []*corev1.Pod                // of all revisions; nil where no one looked
}

// Needs says what a driver checks next to the workload, and the pods.
type Needs struct {
	Sets      bool // its ReplicaSets; else the workload owns its pods itself
	Canaries  bool // Deployments that BatchReleases make next to it, and their ReplicaSets
	Revisions bool // its ControllerRevisions
}

// State is all that the planners know of a workload.
type State struct {
	Generation int64  // of its spec
	Stale      bool   // its own controller has not seen the latest spec yet
	Blind      bool   // and so no one can know its revisions: a decision has to wait
	Replicas   int32  // pods asked for
	RolloutID  string // the user's id of this release, a label; "" none
	Type       string // its label rollouts.kruise.io/workload-type; "" none

	Stable       string // revision a release started from; "" unknown
	Update       string // revision of the pod template; "" while no pod was ever made from it
	Updated      int32  // pods at Update
	UpdatedReady int32  // of those, ready for the workload's minReadySeconds
	Others       int32  // pods asked for at other revisions
	Beside       bool   // updated pods stand next to the others and take no one's place
	KeepsNew     bool   // its own controller makes no pods of another version than the template's
	NewcomersNew bool   // pods that scaling brings have the new version, and none of them can be taken back without harm
	Ceiling      int32  // pods at Update that its own controller makes at most while the others stand; 0: as many as are asked for
	Lifted       int32  // replicas at which the ceiling would be as many as are asked for now
	KeepsOne     bool   // a percentage below 100 leaves at least one pod at another revision (docs/wire.md, batch size)
	Complete     bool   // every pod is at Update and available
	Changing     bool   // admission has stamped a release
	Left         bool   // it was left where its release was, by the feature gate KeepWorkloadPausedOnRolloutDeletion
	Held         bool   // nothing moves by itself
	Engaged      bool   // the spec differs from the user's own: it has to be restored
	Claim        types.UID
	ReadyAt      time.Time // when the next updated pod will have been ready for long enough; zero: none
	Trouble      []string  // pods that cannot become ready by themselves, and why
	Blocked      []Blocked // what keeps pods at Update from being ready, or from being created; by the pods' names
	UpdatedPods  []*corev1.Pod
}

// stateOfAny reads what workloads of all kinds have; observed is the generation that its own controller has seen.
func stateOfAny(w client.Object, observed int64) State {
	return State{
		Generation: w.GetGeneration(),
		Stale:      observed < w.GetGeneration(),
		RolloutID:  w.GetLabels()[v1beta1.LabelRolloutID],
		Type:       w.GetLabels()[v1beta1.LabelWorkloadType],
		Stable:     w.GetLabels()[v1beta1.LabelStableRevision],
		Changing:   w.GetAnnotations()[v1beta1.AnnotationInProgressing] != "",
		Claim:      claimed(w),
		Left:       leftBehind(w),
	}
}

// Target is what a BatchRelease wants of a workload.
type Target struct {
	Claim   string                            // control-info of the BatchRelease
	Stable  string                            // the revision the release started from
	Updated int32                             // pods at the update revision; fewer than there are changes nothing
	Batch   intstr.IntOrString                // what Updated was asked for as, for kinds that scale it themselves
	Limit   *int32                            // pods at the update revision that were ordered at most; more were made by scaling, and go back. nil: none
	Most    int32                             // pods that a batch from here on asks for, at most
	Had     int32                             // pods at the update revision before the release began: a roll-back in batches
	Rest    bool                              // hold: the batch is done, and the next is not due
	Back    bool                              // all pods back to the other revisions, with the template as it is
	Owner   metav1.OwnerReference             // of what is made next to the workload: the BatchRelease
	Patch   *v1beta1.PatchPodTemplateMetadata // on top of the template of what is made next to it; nil: nothing
}

// A Driver speaks for one kind of workload in one style of release.
type Driver interface {
	// New returns an empty object of the kind.
	New() client.Object
	// Needs says what to check.
	Needs() Needs
	// State reads the workload.
	State(o Objects, now time.Time) State
	// Starts reports whether a user's edit of old is a release: the template changed, and pods run.
	Starts(o Objects, old client.Object) bool
	// Hold returns the edited workload as it has to be stored so that nothing moves: rollout is the name of the Rollout
	// that manages it, stable the revision it recorded last, old the workload as it is stored now.
	Hold(o Objects, old client.Object, rollout, stable string) client.Object
	// Keep returns the workload changed by a user in the middle of a release with what the release holds kept: what
	// the user wanted of it instead is remembered and restored at the end.
	Keep(edited, old client.Object) client.Object
	// Move returns the objects as they have to be next on the way to t, s being their State.
	Move(o Objects, s State, t Target) Objects
	// Free returns the workload as the user had it, but for the template, or as it has to be on the way there.
	Free(o Objects) client.Object
	// Leave returns the workload with what the user had of it at hand, and its pods as they are until the user resumes it.
	Leave(o Objects) client.Object
	// Disown returns the workload without the claim of a BatchRelease, and otherwise as it is.
	Disown(w client.Object) client.Object
}

// An Unsticker is a Driver of a kind whose own controller may get into a corner.
type Unsticker interface {
	// Unstick returns the objects as they have to be for the workload's own controller to go on at the end of a release, or
	// for the release to end where that controller does nothing by itself and, by the policy, somebody waits for it.
	Unstick(o Objects, s State, policy v1beta1.FinalizingPolicyType) Objects
}

// Unstamped returns w without admission's mark of a release, and with goodbye without the label that makes admission intercept
// its updates: no one manages it any more, and its updates are to depend on no one.
func Unstamped(w client.Object, goodbye bool) client.Object {
	unstamped, _ := w.DeepCopyObject().(client.Object)
	set(unstamped.GetAnnotations, unstamped.SetAnnotations, v1beta1.AnnotationInProgressing, "")
	if goodbye {
		set(unstamped.GetLabels, unstamped.SetLabels, v1beta1.LabelWorkloadType, "")
	}
	return unstamped
}

// set puts a label or an annotation; an empty value removes it.
func set(get func() map[string]string, put func(map[string]string), key, value string) {
	m := get()
	switch {
	case value != "":
		if m == nil {
			m = map[string]string{}
		}
		m[key] = value
	default:
		delete(m, key)
	}
	put(m)
}
