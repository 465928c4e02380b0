// SPDX-License-Identifier: Apache-2.0

package controller

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
)

// Scheme knows every kind that is read or written.
func Scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.AddToScheme, v1beta1.AddToScheme,
	} {
		utilruntime.Must(add(s))
	}
	return s
}

// CacheOptions keep out of memory what no one reads: who wrote which field, and everything of a pod but how it is.
// Namespace is where the users' own scripts are.
func CacheOptions(namespace string) cache.Options {
	return cache.Options{
		DefaultTransform: strip,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}:                {Transform: stripPod},
			&appsv1.Deployment{}:         {Transform: stripApplied},
			&appsv1.ReplicaSet{}:         {Transform: stripApplied},
			&appsv1.ControllerRevision{}: {Transform: cache.TransformStripManagedFields()},
			&corev1.Service{}:            {Transform: whole},
			&discoveryv1.EndpointSlice{}: {Transform: stripSlice},
			&v1alpha1.RolloutHistory{}:   {Transform: stripHistory},
			&corev1.ConfigMap{}: {Namespaces: map[string]cache.Config{namespace: {
				FieldSelector: fields.OneTermEqualSelector("metadata.name", ScriptsConfig),
			}}},
		},
	}
}

// strip drops who wrote which field, but of the objects that routes are made of: who changes those is reported to users.
func strip(o any) (any, error) {
	if u, ok := o.(*unstructured.Unstructured); ok {
		if isWorkload(u) {
			return stripApplied(o)
		}
		return o, nil
	}
	return cache.TransformStripManagedFields()(o)
}

func whole(o any) (any, error) { return o, nil }

// stripSlice keeps which pods a Service has, which of them take requests, and at which ports.
func stripSlice(o any) (any, error) {
	slice, ok := o.(*discoveryv1.EndpointSlice)
	if !ok {
		return o, nil
	}
	slice.ManagedFields, slice.Annotations = nil, nil
	for i, e := range slice.Endpoints {
		kept := discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: e.Conditions.Ready}}
		if e.TargetRef != nil {
			kept.TargetRef = &corev1.ObjectReference{Name: e.TargetRef.Name}
		}
		slice.Endpoints[i] = kept
	}
	return slice, nil
}

// stripApplied empties what kubectl apply remembers of an object, too: it is as large as the object. The key stays, so
// that both sides of a patch have it alike and what is in the cluster is never touched.
func stripApplied(o any) (any, error) {
	if obj, ok := o.(client.Object); ok {
		obj.SetManagedFields(nil)
		if annotations := obj.GetAnnotations(); annotations[corev1.LastAppliedConfigAnnotation] != "" {
			annotations[corev1.LastAppliedConfigAnnotation] = ""
		}
	}
	return o, nil
}

// stripHistory keeps what distinguishes recorded releases.
func stripHistory(o any) (any, error) {
	if h, ok := o.(*v1alpha1.RolloutHistory); ok {
		h.ManagedFields, h.Spec, h.Status = nil, v1alpha1.RolloutHistorySpec{}, v1alpha1.RolloutHistoryStatus{}
	}
	return o, nil
}

// stripPod keeps a pod's metadata, where it is, and what its status says of readiness and of containers in trouble.
func stripPod(o any) (any, error) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	pod.ManagedFields = nil
	cost, told := pod.Annotations[corev1.PodDeletionCost]
	pod.Annotations = nil
	if told { // pods that are dear go last
		pod.Annotations = map[string]string{corev1.PodDeletionCost: cost}
	}
	pod.Spec = corev1.PodSpec{NodeName: pod.Spec.NodeName, InitContainers: sidecars(pod.Spec.InitContainers)}
	status := corev1.PodStatus{
		Phase: pod.Status.Phase, Reason: pod.Status.Reason, PodIP: pod.Status.PodIP,
		InitContainerStatuses: troubled(pod.Status.InitContainerStatuses), ContainerStatuses: troubled(pod.Status.ContainerStatuses),
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady || c.Type == corev1.PodScheduled || c.Type == corev1.DisruptionTarget {
			status.Conditions = append(status.Conditions, c)
		}
	}
	pod.Status = status
	return pod, nil
}

// sidecars keeps the names of init containers that run as long as their pod does.
func sidecars(all []corev1.Container) []corev1.Container {
	var kept []corev1.Container
	for _, c := range all {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			kept = append(kept, corev1.Container{Name: c.Name, RestartPolicy: c.RestartPolicy})
		}
	}
	return kept
}

// troubled keeps containers that wait or have ended, why, and how often they were restarted.
func troubled(all []corev1.ContainerStatus) []corev1.ContainerStatus {
	var kept []corev1.ContainerStatus
	for _, c := range all {
		if c.State.Waiting == nil && c.State.Terminated == nil && c.RestartCount == 0 {
			continue
		}
		kept = append(kept, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, RestartCount: c.RestartCount,
			State:                corev1.ContainerState{Waiting: c.State.Waiting, Terminated: ended(c.State.Terminated)},
			LastTerminationState: corev1.ContainerState{Terminated: ended(c.LastTerminationState.Terminated)},
		})
	}
	return kept
}

func ended(t *corev1.ContainerStateTerminated) *corev1.ContainerStateTerminated {
	if t == nil {
		return nil
	}
	return &corev1.ContainerStateTerminated{ExitCode: t.ExitCode, Reason: t.Reason, FinishedAt: t.FinishedAt}
}
