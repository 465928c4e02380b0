// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"

	rolloutsv1alpha1 "kruise.io/rollouts/api/v1alpha1"
	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// rolloutResource is how Rollouts are named to the server, whatever other kinds it has.
const rolloutResource = "rollouts.rollouts.kruise.io"

// release is a Rollout as the server holds it, in the server's version and in the one this plugin reads.
type release struct {
	info *resource.Info
	*rolloutsv1beta1.Rollout
	// part is the block of the status that clients write: the one of the style. Empty: none.
	part string
	rolloutsv1beta1.CommonStatus
	revision string // being released
}

// isRollout distinguishes Rollouts from workloads.
func isRollout(info *resource.Info) bool {
	gk := info.Mapping.GroupVersionKind.GroupKind()
	return gk.Group == rolloutsv1beta1.GroupVersion.Group && gk.Kind == "Rollout"
}

// releaseOf reads a Rollout of either version.
func releaseOf(info *resource.Info) (*release, error) {
	u, ok := info.Object.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("reading Rollout %s: it is a %T", info.Name, info.Object)
	}
	ro, err := decode(u)
	if err != nil {
		return nil, err
	}
	r := &release{info: info, Rollout: ro}
	// The object says which block it has, not what it converts to: v1alpha1 cannot write that of blue-green.
	for _, part := range []string{"canaryStatus", "blueGreenStatus"} {
		if block, found, err := unstructured.NestedMap(u.Object, "status", part); err == nil && found && block != nil {
			r.part = part
			break
		}
	}
	switch {
	case r.part == "canaryStatus" && ro.Status.CanaryStatus != nil:
		r.CommonStatus, r.revision = ro.Status.CanaryStatus.CommonStatus, ro.Status.CanaryStatus.CanaryRevision
	case r.part == "blueGreenStatus" && ro.Status.BlueGreenStatus != nil:
		r.CommonStatus, r.revision = ro.Status.BlueGreenStatus.CommonStatus, ro.Status.BlueGreenStatus.UpdatedRevision
	}
	return r, nil
}

// decode reads a Rollout of either version as v1beta1.
func decode(u *unstructured.Unstructured) (*rolloutsv1beta1.Rollout, error) {
	beta := &rolloutsv1beta1.Rollout{}
	switch version := u.GroupVersionKind().Version; version {
	case rolloutsv1beta1.GroupVersion.Version:
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, beta); err != nil {
			return nil, fmt.Errorf("reading Rollout %s: %w", u.GetName(), err)
		}
	case rolloutsv1alpha1.GroupVersion.Version:
		alpha := &rolloutsv1alpha1.Rollout{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, alpha); err != nil {
			return nil, fmt.Errorf("reading Rollout %s: %w", u.GetName(), err)
		}
		if err := alpha.ConvertTo(beta); err != nil {
			return nil, fmt.Errorf("reading Rollout %s: %w", u.GetName(), err)
		}
	default:
		return nil, fmt.Errorf("this plugin does not know %s of Rollouts: get a newer one", version)
	}
	return beta, nil
}

// operation is one of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// writeStatus sets one field of the part of the status that clients write, provided that the release still is where r
// saw it: the same revision, step and state. Otherwise nothing is written and the server answers Invalid.
func (r *release) writeStatus(field string, value any, dryRun bool) error {
	at := "/status/" + r.part + "/"
	patch := []operation{
		{"test", at + "currentStepIndex", r.CurrentStepIndex},
		{"test", at + "currentStepState", r.CurrentStepState},
	}
	if r.revision != "" {
		name := map[string]string{"canaryStatus": "canaryRevision", "blueGreenStatus": "updatedRevision"}[r.part]
		patch = append(patch, operation{"test", at + name, r.revision})
	}
	patch = append(patch, operation{"add", at + field, value})
	data, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	return r.patch(types.JSONPatchType, data, "status", dryRun)
}

// patch writes, and takes over what the server answers.
func (r *release) patch(kind types.PatchType, data []byte, subresource string, dryRun bool) error {
	helper := resource.NewHelper(r.info.Client, r.info.Mapping).DryRun(dryRun).WithSubresource(subresource)
	obj, err := helper.Patch(r.info.Namespace, r.info.Name, kind, data, nil)
	if err != nil {
		return err
	}
	return r.info.Refresh(obj, true)
}
