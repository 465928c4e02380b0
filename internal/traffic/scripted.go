// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Scripted returns the router of an Ingress or a custom object that a given script changes, wherever the script comes
// from. A script that cannot be compiled is an error, and the router restores only.
func Scripted(kind schema.GroupVersionKind, name string, s Script, c Config) (Router, error) {
	program, err := s.Compile()
	return scripted(kind, name, program, err, c), err
}

// scripted is a router with a program, or with why there is none.
func scripted(kind schema.GroupVersionKind, name string, program *Program, broken error, c Config) Router {
	if kind.GroupKind() != IngressKind {
		return custom{ref: Ref{kind, name}, backends: c.Backends, owner: c.Owner.Kind + "/" + c.Owner.Name, script: program, broken: broken}
	}
	refs := ingressRefs(name)
	return ingress{
		stable: refs[0], canary: refs[1],
		backends: c.pairs(), owner: c.Owner, script: program, broken: broken,
	}
}

// IngressKind is the kind whose annotations scripts change; of all others they change the object.
var IngressKind = schema.GroupKind{Group: networkingv1.GroupName, Kind: "Ingress"}
