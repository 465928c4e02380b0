// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// kruiseGroup is the API group of OpenKruise's workloads.
const kruiseGroup = "apps.kruise.io"

// Kind is all that the rest of the project knows of a kind of workloads before one is seen.
type Kind struct {
	schema.GroupKind
	// Type is its value of the label rollouts.kruise.io/workload-type.
	Type string
	// RevisionKey is the label that distinguishes the revisions of its pods; "": none does, and requests cannot be routed to
	// one of them (docs/wire.md, revision key).
	RevisionKey string
	// Status are the fields of its status in which its own controller says at which revisions it is. A Rollout is reconciled
	// when one of them changes, or observedGeneration.
	Status []string
	// Styles are the drivers of its styles of release, made for one version of the kind.
	Styles map[v1beta1.RollingStyleType]func(schema.GroupVersionKind) Driver
}

const (
	byTemplate = appsv1.DefaultDeploymentUniqueLabelKey
	byRevision = appsv1.ControllerRevisionHashLabelKey
)

// statefulLike is a StatefulSet, and what no one knows: custom kinds that can be released look like one.
var statefulLike = Kind{
	schema.GroupKind{Group: appsv1.GroupName, Kind: "StatefulSet"},
	"statefulset", byRevision,
	[]string{"currentRevision", "updateRevision"},
	styles{v1beta1.PartitionRollingStyle: newStatefulSet},
}

// kinds is the registry, in the order in which messages list it: a new kind is a row here and a file next to this one.
var kinds = []Kind{
	{schema.GroupKind{Group: appsv1.GroupName, Kind: "Deployment"}, "deployment", byTemplate, nil, styles{
		v1beta1.PartitionRollingStyle: func(schema.GroupVersionKind) Driver { return deployment{} },
		v1beta1.CanaryRollingStyle:    func(schema.GroupVersionKind) Driver { return canaryDeployment{} },
		v1beta1.BlueGreenRollingStyle: func(schema.GroupVersionKind) Driver { return blueGreenDeployment{} },
	}},
	statefulLike,
	{schema.GroupKind{Group: appsv1.GroupName, Kind: "DaemonSet"}, "daemonset", byRevision, nil, styles{
		v1beta1.PartitionRollingStyle: newDaemonSet,
	}},
	{schema.GroupKind{Group: appsv1.GroupName, Kind: "ReplicaSet"}, "replicaset", "", nil, styles{
		v1beta1.PartitionRollingStyle: newReplicaSet,
	}},
	{schema.GroupKind{Group: kruiseGroup, Kind: "CloneSet"}, "cloneset", byTemplate, []string{"currentRevision", "updateRevision"}, styles{
		v1beta1.PartitionRollingStyle: newCloneSet,
		v1beta1.BlueGreenRollingStyle: newBlueGreenCloneSet,
	}},
	{schema.GroupKind{Group: kruiseGroup, Kind: "StatefulSet"}, statefulLike.Type, byRevision, statefulLike.Status, statefulLike.Styles},
	{schema.GroupKind{Group: kruiseGroup, Kind: "DaemonSet"}, "daemonset", byTemplate, []string{"daemonSetHash"}, styles{
		v1beta1.PartitionRollingStyle: newAdvancedDaemonSet,
	}},
}

// Kinds are the kinds that are known by name, in the order in which messages list them.
func Kinds() []Kind { return slices.Clone(kinds) }

// Register makes a kind known: for programs that drive kinds of their own. It is called before anything else here is.
func Register(kind Kind) { kinds = append(kinds, kind) }

// named returns the row of a kind.
func named(kind schema.GroupKind) (Kind, bool) {
	if i := slices.IndexFunc(kinds, func(k Kind) bool { return k.GroupKind == kind }); i >= 0 {
		return kinds[i], true
	}
	return Kind{}, false
}

type styles = map[v1beta1.RollingStyleType]func(schema.GroupVersionKind) Driver

// KindOf returns what is known of the kind that ref names. Kinds that are not known are taken for something like a
// StatefulSet.
func KindOf(ref v1beta1.ObjectRef) Kind {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil || gv.Group == "" || ref.Kind == "" {
		return Kind{}
	}
	if kind, known := named(schema.GroupKind{Group: gv.Group, Kind: ref.Kind}); known {
		return kind
	}
	kind := statefulLike
	kind.GroupKind = schema.GroupKind{Group: gv.Group, Kind: ref.Kind}
	return kind
}

// DriverFor returns the driver of the kind that ref names, in a style; nil: this version has none.
func DriverFor(ref v1beta1.ObjectRef, style v1beta1.RollingStyleType) Driver {
	if make := KindOf(ref).Styles[style]; make != nil {
		return make(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind))
	}
	return nil
}

// Known reports whether a kind is one of those that are known by name.
func Known(group, kind string) bool {
	_, known := named(schema.GroupKind{Group: group, Kind: kind})
	return known
}

// Supports reports whether this version has a driver for a kind in a style, made for that very kind.
func Supports(group, kind string, style v1beta1.RollingStyleType) bool {
	known, _ := named(schema.GroupKind{Group: group, Kind: kind})
	return known.Styles[style] != nil
}

// Labelled returns w with the label that makes admission check it (docs/wire.md, keys on workloads).
func Labelled(w client.Object, ref v1beta1.ObjectRef) client.Object {
	labelled, _ := w.DeepCopyObject().(client.Object)
	set(labelled.GetLabels, labelled.SetLabels, v1beta1.LabelWorkloadType, KindOf(ref).Type)
	return labelled
}
