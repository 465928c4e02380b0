// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// SyncServices does what the EndpointSlice controller does: one slice for each Service, with the pods it selects.
func (c *Cluster) SyncServices(ctx context.Context) error {
	services := &corev1.ServiceList{}
	if err := c.Client.List(ctx, services, client.InNamespace(c.Namespace)); err != nil {
		return fmt.Errorf("listing Services: %w", err)
	}
	for i := range services.Items {
		service := &services.Items[i]
		endpoints, err := c.endpointsOf(ctx, service)
		if err != nil {
			return err
		}
		slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
			Namespace: service.Namespace, Name: service.Name,
			Labels:          map[string]string{discoveryv1.LabelServiceName: service.Name},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(service, corev1.SchemeGroupVersion.WithKind("Service"))},
		}}
		err = c.Client.Get(ctx, client.ObjectKeyFromObject(slice), slice)
		switch {
		case err == nil && equality.Semantic.DeepEqual(slice.Endpoints, endpoints):
			continue
		case err == nil:
			slice.Endpoints = endpoints
			err = c.Client.Update(ctx, slice)
		default:
			slice.Endpoints = endpoints
			err = c.Client.Create(ctx, slice)
		}
		if err != nil {
			return fmt.Errorf("writing the EndpointSlice of %s: %w", service.Name, err)
		}
	}
	return nil
}

func (c *Cluster) endpointsOf(ctx context.Context, service *corev1.Service) ([]discoveryv1.Endpoint, error) {
	if len(service.Spec.Selector) == 0 {
		return nil, nil
	}
	pods := &corev1.PodList{}
	if err := c.Client.List(ctx, pods, client.InNamespace(c.Namespace), client.MatchingLabels(service.Spec.Selector)); err != nil {
		return nil, fmt.Errorf("listing the pods of %s: %w", service.Name, err)
	}
	var endpoints []discoveryv1.Endpoint
	for i := range pods.Items {
		pod := &pods.Items[i]
		_, ready := readySince(pod)
		ready = ready && pod.DeletionTimestamp == nil
		endpoints = append(endpoints, discoveryv1.Endpoint{
			Addresses:  []string{"10.244.0.1"},
			Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Name: pod.Name},
		})
	}
	slices.SortFunc(endpoints, func(a, b discoveryv1.Endpoint) int { return strings.Compare(a.TargetRef.Name, b.TargetRef.Name) })
	return endpoints, nil
}
