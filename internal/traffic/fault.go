// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"errors"
	"fmt"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Fault is an error that knows what kind of blocker it is, and of which object.
type Fault struct {
	Code   rolloutsv1beta1.BlockerCode
	Object rolloutsv1beta1.BlockerObject
	Err    error
}

func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap returns the error.
func (f *Fault) Unwrap() error { return f.Err }

// FaultOf is the first Fault in an error; without one, the error is of a route that cannot be changed as is asked for.
func FaultOf(err error) (rolloutsv1beta1.BlockerCode, rolloutsv1beta1.BlockerObject) {
	if f := (*Fault)(nil); errors.As(err, &f) {
		return f.Code, f.Object
	}
	return rolloutsv1beta1.BlockerRouteUnsupported, rolloutsv1beta1.BlockerObject{}
}

// Object is how blockers name r.
func (r Ref) Object() rolloutsv1beta1.BlockerObject {
	return rolloutsv1beta1.BlockerObject{Kind: r.Kind, Name: r.Name}
}

// serviceFault is an error about a Service.
func serviceFault(code rolloutsv1beta1.BlockerCode, name, format string, args ...any) error {
	return &Fault{code, rolloutsv1beta1.BlockerObject{Kind: "Service", Name: name}, fmt.Errorf("Service "+name+" "+format, args...)}
}

// of is an error about r, in front of which it is named, unless it knows better what it is about.
func (r Ref) of(err error) error {
	named := fmt.Errorf("%s: %w", r, err)
	if f := (*Fault)(nil); errors.As(err, &f) {
		return named
	}
	return r.fault(rolloutsv1beta1.BlockerRouteUnsupported, named)
}

// fault is an error about r.
func (r Ref) fault(code rolloutsv1beta1.BlockerCode, err error) error {
	return &Fault{code, r.Object(), err}
}

// scriptFault is an error of a script.
func scriptFault(name string, err error) error {
	return &Fault{rolloutsv1beta1.BlockerScriptFailed, rolloutsv1beta1.BlockerObject{Kind: "Script", Name: name}, err}
}
