// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Scripted returns the router of an Ingress or a custom object that a given script changes, wherever the script comes
// from. A script that cannot be compiled is an error.
func Scripted(kind schema.GroupVersionKind, name string, s Script, c Config) (Router, error) {
	program, err := s.Compile()
	if err != nil {
		return nil, err
	}
	if kind.GroupKind() != IngressKind {
		return custom{ref: Ref{kind, name}, backends: c.Backends, script: program}, nil
	}
	kind = networkingv1.SchemeGroupVersion.WithKind("Ingress")
	return ingress{
		stable: Ref{kind, name}, canary: Ref{kind, name + "-canary"},
		backends: c.Backends, owner: c.Owner, script: program,
	}, nil
}

// IngressKind is the kind whose annotations scripts change; of all others they change the object.
var IngressKind = schema.GroupKind{Group: networkingv1.GroupName, Kind: "Ingress"}
