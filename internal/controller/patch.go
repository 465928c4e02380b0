// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"gomodules.xyz/jsonpatch/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// locked is a merge patch that fails when the object has changed in any way since it was seen.
func locked(seen client.Object) client.Patch {
	return client.MergeFromWithOptions(seen, client.MergeFromWithOptimisticLock{})
}

// fence is the patch for an object as it was seen: it must fail where what the decision was taken from has changed, and
// only there.
//   - A workload's status is written all the time by its own controller; its generation moves when its spec does.
//   - A BatchRelease's spec is written by its Rollout alone, whose status write was the fence already.
//   - Labels of a pod depend on nothing but which pod it is.
func fence(seen client.Object) client.Patch {
	switch seen := seen.(type) {
	case *appsv1.Deployment, *appsv1.ReplicaSet:
		return &generationFence{seen: seen}
	case *unstructured.Unstructured:
		if isWorkload(seen) {
			return &generationFence{seen: seen}
		}
		return locked(seen)
	case *corev1.Pod, *v1beta1.BatchRelease:
		return &uidFence{Patch: client.MergeFrom(seen), uid: seen.GetUID()}
	default:
		return locked(seen)
	}
}

// isWorkload distinguishes workloads from the objects that routes are made of. Kinds that are not known carry the label.
func isWorkload(u *unstructured.Unstructured) bool {
	kind := u.GroupVersionKind()
	return u.GetLabels()[v1beta1.LabelWorkloadType] != "" || workload.Known(kind.Group, kind.Kind)
}

// propagation says what becomes of an object's own: a canary Deployment goes after its ReplicaSets and pods, so that it
// can be seen whether there still are any.
func propagation(o client.Object) client.PropagationPolicy {
	if _, ok := o.(*appsv1.Deployment); ok {
		return client.PropagationPolicy(metav1.DeletePropagationForeground)
	}
	return client.PropagationPolicy(metav1.DeletePropagationBackground)
}

// uidFence is a merge patch that fails where the object was replaced by another of its name.
type uidFence struct {
	client.Patch
	uid types.UID
}

func (f *uidFence) Data(to client.Object) ([]byte, error) {
	data, err := f.Patch.Data(to)
	if err != nil {
		return nil, err
	}
	patch := map[string]any{}
	if err := json.Unmarshal(data, &patch); err != nil {
		return nil, fmt.Errorf("reading a patch back: %w", err)
	}
	meta, _ := patch["metadata"].(map[string]any)
	if meta == nil {
		meta = map[string]any{}
	}
	meta["uid"] = f.uid
	patch["metadata"] = meta
	return json.Marshal(patch)
}

// generationFence is a JSON patch that fails where the object's spec has changed.
type generationFence struct{ seen client.Object }

func (*generationFence) Type() types.PatchType { return types.JSONPatchType }

func (f *generationFence) Data(to client.Object) ([]byte, error) {
	from, err := json.Marshal(f.seen)
	if err != nil {
		return nil, fmt.Errorf("writing an object as JSON: %w", err)
	}
	next, err := json.Marshal(to)
	if err != nil {
		return nil, fmt.Errorf("writing an object as JSON: %w", err)
	}
	operations, err := jsonpatch.CreatePatch(from, next)
	if err != nil {
		return nil, fmt.Errorf("comparing objects: %w", err)
	}
	tests := []jsonpatch.Operation{
		jsonpatch.NewOperation("test", "/metadata/uid", f.seen.GetUID()),
		jsonpatch.NewOperation("test", "/metadata/generation", f.seen.GetGeneration()),
	}
	return json.Marshal(append(tests, operations...))
}

// lostFence reports whether a patch was refused because the object's spec had changed. The API server answers 422 to a
// JSON patch whose test fails, and neither names the object nor says which test; an object it finds invalid it does.
func lostFence(err error) bool {
	answer := apierrors.APIStatus(nil)
	if !errors.As(err, &answer) {
		return false
	}
	status := answer.Status()
	return status.Code == http.StatusUnprocessableEntity &&
		(status.Details == nil || status.Details.Name == "" && len(status.Details.Causes) == 0)
}
