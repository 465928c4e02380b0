// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/dynamic"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

var (
	deploymentKind      = schema.GroupKind{Group: appsv1.GroupName, Kind: "Deployment"}
	replicaSetResource  = appsv1.SchemeGroupVersion.WithResource("replicasets")
	podResource         = corev1.SchemeGroupVersion.WithResource("pods")
	errNoWorkloadNamed  = errors.New("the Rollout names no workload")
	errWorkloadSelector = errors.New("the workload has no selector")
)

// workload reads the workload of a Rollout.
func (s *shell) workload(namespace string, ref rolloutsv1beta1.ObjectRef) (*resource.Info, error) {
	if ref.Kind == "" || ref.Name == "" {
		return nil, errNoWorkloadNamed
	}
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return nil, err
	}
	infos, err := s.factory.NewBuilder().
		Unstructured().
		NamespaceParam(namespace).DefaultNamespace().
		ResourceTypeOrNameArgs(false, fmt.Sprintf("%s.%s.%s/%s", ref.Kind, gv.Version, gv.Group, ref.Name)).
		Do().
		Infos()
	if err != nil {
		return nil, err
	}
	if len(infos) != 1 {
		return nil, fmt.Errorf("reading %s %s: %d objects, want 1", ref.Kind, ref.Name, len(infos))
	}
	return infos[0], nil
}

// deploymentOf reads info as a Deployment; nil: it is something else.
func deploymentOf(info *resource.Info) (*appsv1.Deployment, error) {
	if info.Mapping.GroupVersionKind.GroupKind() != deploymentKind {
		return nil, nil
	}
	return typed[appsv1.Deployment](info.Object)
}

// typed converts what was read from the server.
func typed[T any](obj runtime.Object) (*T, error) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("reading a %T: it is a %T", *new(T), obj)
	}
	t := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, t); err != nil {
		return nil, fmt.Errorf("reading %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return t, nil
}

// selectorOf is the selector of a workload of any kind, in the form the server takes.
func selectorOf(obj runtime.Object) (string, error) {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return "", errWorkloadSelector
	}
	raw, found, err := unstructured.NestedMap(u.Object, "spec", "selector")
	if err != nil || !found {
		return "", errWorkloadSelector
	}
	parsed := &metav1.LabelSelector{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, parsed); err != nil {
		return "", fmt.Errorf("reading the workload's selector: %w", err)
	}
	selector, err := metav1.LabelSelectorAsSelector(parsed)
	if err != nil {
		return "", fmt.Errorf("reading the workload's selector: %w", err)
	}
	if selector.Empty() {
		return "", errWorkloadSelector
	}
	return selector.String(), nil
}

// list reads objects of a type by their labels.
func list[T any](ctx context.Context, client dynamic.Interface, gvr schema.GroupVersionResource, namespace, selector string) ([]*T, error) {
	found, err := client.Resource(gvr).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	result := []*T{}
	for i := range found.Items {
		item, err := typed[T](&found.Items[i])
		if err != nil {
			return nil, err
		}
		result = append(result, item)
	}
	return result, nil
}

// replicaSets lists those of a Deployment.
func (s *shell) replicaSets(ctx context.Context, d *appsv1.Deployment) ([]*appsv1.ReplicaSet, error) {
	client, err := s.factory.DynamicClient()
	if err != nil {
		return nil, err
	}
	sets, err := list[appsv1.ReplicaSet](ctx, client, replicaSetResource, d.Namespace, metav1.FormatLabelSelector(d.Spec.Selector))
	if err != nil {
		return nil, err
	}
	return controlledBy(sets, d), nil
}

// controlledBy keeps what belongs to a Deployment: a selector may fit more.
func controlledBy(sets []*appsv1.ReplicaSet, d *appsv1.Deployment) []*appsv1.ReplicaSet {
	result := []*appsv1.ReplicaSet{}
	for _, set := range sets {
		if metav1.IsControlledBy(set, d) {
			result = append(result, set)
		}
	}
	return result
}

// podsOf keeps the pods of ReplicaSets.
func podsOf(pods []*corev1.Pod, sets []*appsv1.ReplicaSet) []*corev1.Pod {
	result := []*corev1.Pod{}
	for _, pod := range pods {
		for _, set := range sets {
			if metav1.IsControlledBy(pod, set) {
				result = append(result, pod)
			}
		}
	}
	return result
}

// absent: there is no such object, or not even such a kind.
func absent(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }
