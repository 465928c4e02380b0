// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A Finisher is a driver of a kind whose user's own strategy, restored at once, would take pods away that were released.
type Finisher interface {
	// Finish is Free at the end of a release that went through: what would take new pods away is restored once the old
	// ones are gone.
	Finish(o Objects) client.Object
}

// Free restores what is the user's own. With two sets, only one that counts pods as available takes any away, so on the way
// back all of the strategy is the user's again but for what would leave pods where they are.
func (b blueGreenCloneSet) Free(o Objects) client.Object {
	have, _ := o.Workload.(*unstructured.Unstructured)
	own, engaged := b.fields.originals(have)
	if engaged && own.leaves() && b.goesBack(have) {
		u := b.ending(have, own, 0)
		b.fields.want(u, "maxSurge", own["maxSurge"])
		return u
	}
	return b.partitioned.Free(o)
}

// Finish lets the old set go before a partition or a pause of the user's comes back. Of 5 old and 5 new pods, a partition of 4
// would take 4 of the new ones, to which all requests are routed.
func (b blueGreenCloneSet) Finish(o Objects) client.Object {
	have, _ := o.Workload.(*unstructured.Unstructured)
	own, engaged := b.fields.originals(have)
	if !engaged || !own.leaves() || b.goesBack(have) {
		return b.Free(o)
	}
	stays := b.stays(have, own)
	replicas := b.replicas(have)
	if status(have, "replicas") <= replicas && status(have, "updatedReplicas") >= replicas-stays {
		return b.Free(o)
	}
	return b.ending(have, own, stays)
}

// stays is how many old pods are left at the end: none where the second set was ordered in full, as maxSurge still shows; else as
// many as the user's strategy leaves, and never so many that new ones would have to go for them.
func (b blueGreenCloneSet) stays(u *unstructured.Unstructured, own values) int32 {
	replicas := b.replicas(u)
	if kept(b.fields.of(u)["maxSurge"], replicas) >= replicas {
		return 0
	}
	most := max(0, replicas-status(u, "updatedReplicas"))
	if own.stays() {
		return most
	}
	return min(most, kept(own["partition"], replicas))
}

// ending is a CloneSet whose pods count as available again and replace each other, but for so many old ones. Its own admission
// fills in maxUnavailable where nothing is said, so it is said.
func (b blueGreenCloneSet) ending(have *unstructured.Unstructured, own values, stays int32) *unstructured.Unstructured {
	u := have.DeepCopy()
	given := values{"maxUnavailable": "20%", "minReadySeconds": own["minReadySeconds"]}
	if said := own["maxUnavailable"]; said != nil {
		given["maxUnavailable"] = said
	}
	maps.Copy(given, values{"partition": int64(stays), "paused": false})
	for name, value := range given {
		b.fields.want(u, name, value)
	}
	return u
}
