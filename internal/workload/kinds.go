// SPDX-License-Identifier: Apache-2.0

package workload

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// kruiseGroup is the API group of OpenKruise's workloads.
const kruiseGroup = "apps.kruise.io"

// Kind is what has to be known of a kind of workloads before one is seen.
type Kind struct {
	// Type is its value of the label rollouts.kruise.io/workload-type.
	Type string
	// RevisionKey is the label that tells the revisions of its pods apart; "": none does, and requests cannot be routed to
	// one of them (docs/wire.md, revision key).
	RevisionKey string
	// Styles are the drivers of its styles of release, made for one version of the kind.
	Styles map[v1beta1.RollingStyleType]func(schema.GroupVersionKind) Driver
}

const (
	byTemplate = appsv1.DefaultDeploymentUniqueLabelKey
	byRevision = appsv1.ControllerRevisionHashLabelKey
)

// statefulLike is a StatefulSet, and what nobody knows: custom kinds that can be released look like one.
var statefulLike = Kind{"statefulset", byRevision, styles{v1beta1.PartitionRollingStyle: newStatefulSet}}

// kinds is the registry: a new kind is a line here and a file beside this one.
var kinds = map[schema.GroupKind]Kind{
	{Group: appsv1.GroupName, Kind: "Deployment"}: {"deployment", byTemplate, styles{
		v1beta1.PartitionRollingStyle: func(schema.GroupVersionKind) Driver { return deployment{} },
		v1beta1.CanaryRollingStyle:    func(schema.GroupVersionKind) Driver { return canaryDeployment{} },
		v1beta1.BlueGreenRollingStyle: func(schema.GroupVersionKind) Driver { return blueGreenDeployment{} },
	}},
	{Group: appsv1.GroupName, Kind: "StatefulSet"}: statefulLike,
	{Group: kruiseGroup, Kind: "StatefulSet"}:      statefulLike,
	{Group: kruiseGroup, Kind: "DaemonSet"}: {"daemonset", byTemplate, styles{
		v1beta1.PartitionRollingStyle: newAdvancedDaemonSet,
	}},
	{Group: appsv1.GroupName, Kind: "DaemonSet"}: {"daemonset", byRevision, styles{
		v1beta1.PartitionRollingStyle: newDaemonSet,
	}},
	{Group: appsv1.GroupName, Kind: "ReplicaSet"}: {"replicaset", "", styles{
		v1beta1.PartitionRollingStyle: newReplicaSet,
	}},
	{Group: kruiseGroup, Kind: "CloneSet"}: {"cloneset", byTemplate, styles{
		v1beta1.PartitionRollingStyle: newCloneSet,
		v1beta1.BlueGreenRollingStyle: newBlueGreenCloneSet,
	}},
}

type styles = map[v1beta1.RollingStyleType]func(schema.GroupVersionKind) Driver

// KindOf returns what is known of the kind that ref names. Kinds that nobody knows are taken for something like a
// StatefulSet.
func KindOf(ref v1beta1.ObjectRef) Kind {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil || gv.Group == "" || ref.Kind == "" {
		return Kind{}
	}
	if kind, known := kinds[schema.GroupKind{Group: gv.Group, Kind: ref.Kind}]; known {
		return kind
	}
	return statefulLike
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
	_, known := kinds[schema.GroupKind{Group: group, Kind: kind}]
	return known
}

// Supports reports whether this version has a driver for a kind in a style, made for that very kind.
func Supports(group, kind string, style v1beta1.RollingStyleType) bool {
	return kinds[schema.GroupKind{Group: group, Kind: kind}].Styles[style] != nil
}

// Labelled returns w with the label that makes admission look at it (docs/wire.md, keys on workloads).
func Labelled(w client.Object, ref v1beta1.ObjectRef) client.Object {
	labelled, _ := w.DeepCopyObject().(client.Object)
	set(labelled.GetLabels, labelled.SetLabels, v1beta1.LabelWorkloadType, KindOf(ref).Type)
	return labelled
}
