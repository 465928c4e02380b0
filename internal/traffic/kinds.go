// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Kind is all that the rest of the project knows of a kind of custom objects whose Router is written in Go. Most kinds need a script
// only, and no row.
type Kind struct {
	schema.GroupKind
	// New makes the router of one object.
	New func(ref Ref, c Config) Router
	// Capabilities are what its gateways can do; the rest is refused when it is written.
	Capabilities Capabilities
	// Settling is how long its gateways take at most until a change is in effect, where that is longer than the grace period.
	Settling Settling
}

// coded are the kinds whose Routers are written in Go.
var coded = map[schema.GroupKind]Kind{}

// Register makes a kind known: for programs with routers of their own. It is called before anything else here is. A script of a user's for
// the kind is not run.
func Register(k Kind) { coded[k.GroupKind] = k }

// codedOf returns the row of what a routing names.
func codedOf(ref rolloutsv1beta1.ObjectRef) (Kind, bool) {
	k, ok := coded[schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).GroupKind()]
	return k, ok
}
