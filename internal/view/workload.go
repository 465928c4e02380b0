// SPDX-License-Identifier: Apache-2.0

package view

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// stateOf reads a workload of any kind but a Deployment, of which a view shows more, through its driver; false: none to read, or it is not what its kind says.
func stateOf(s Seen) (workload.State, bool) {
	driver := workload.DriverFor(s.Rollout.Spec.WorkloadRef, rolloutsv1beta1.PartitionRollingStyle)
	if s.Workload == nil || driver == nil {
		return workload.State{}, false
	}
	o := driver.New()
	if u, raw := o.(*unstructured.Unstructured); raw {
		u.Object = s.Workload.Object
	} else if err := runtime.DefaultUnstructuredConverter.FromUnstructured(s.Workload.Object, o); err != nil {
		return workload.State{}, false
	}
	return driver.State(workload.Objects{Workload: o, Sets: s.ReplicaSets, Pods: s.Pods}, s.Now), true
}
