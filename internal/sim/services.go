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
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// SyncServices does what the EndpointSlice controller does: a slice for each Service with the pods it
// selects, and one for pods that lack one of its ports.
func (c *Cluster) SyncServices(ctx context.Context) error {
	services := &corev1.ServiceList{}
	if err := c.Client.List(ctx, services, client.InNamespace(c.Namespace)); err != nil {
		return fmt.Errorf("listing Services: %w", err)
	}
	for i := range services.Items {
		service := &services.Items[i]
		whole, part, err := c.endpointsOf(ctx, service)
		if err != nil {
			return err
		}
		if err := c.writeSlice(ctx, service, service.Name, whole, portsOf(service, nil)); err != nil {
			return err
		}
		if err := c.writeSlice(ctx, service, service.Name+"-part", part.endpoints, part.ports); err != nil {
			return err
		}
	}
	return nil
}

// writeSlice makes an EndpointSlice say so; without endpoints, one that is not there need not be.
func (c *Cluster) writeSlice(ctx context.Context, service *corev1.Service, name string, endpoints []discoveryv1.Endpoint, ports []discoveryv1.EndpointPort) error {
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
		Namespace: service.Namespace, Name: name,
		Labels:          map[string]string{discoveryv1.LabelServiceName: service.Name},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(service, corev1.SchemeGroupVersion.WithKind("Service"))},
	}}
	err := c.Client.Get(ctx, client.ObjectKeyFromObject(slice), slice)
	missing := err != nil
	if !missing && equality.Semantic.DeepEqual(slice.Endpoints, endpoints) && equality.Semantic.DeepEqual(slice.Ports, ports) ||
		missing && len(endpoints) == 0 && name != service.Name {
		return nil
	}
	slice.Endpoints, slice.Ports = endpoints, ports
	if missing {
		err = c.Client.Create(ctx, slice)
	} else {
		err = c.Client.Update(ctx, slice)
	}
	if err != nil {
		return fmt.Errorf("writing the EndpointSlice of %s: %w", service.Name, err)
	}
	return nil
}

// portsOf are the ports of a Service that a pod has: those with a number, and those that it names itself. nil: any pod.
func portsOf(service *corev1.Service, pod *corev1.Pod) []discoveryv1.EndpointPort {
	var ports []discoveryv1.EndpointPort
	for _, port := range service.Spec.Ports {
		named := port.TargetPort.Type == intstr.String && pod != nil
		if named && !slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool {
			return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == port.TargetPort.StrVal })
		}) {
			continue
		}
		ports = append(ports, discoveryv1.EndpointPort{Name: &port.Name, Port: &port.Port})
	}
	return ports
}

// partial are pods that lack a port of their Service, with those that they have.
type partial struct {
	endpoints []discoveryv1.Endpoint
	ports     []discoveryv1.EndpointPort
}

func (c *Cluster) endpointsOf(ctx context.Context, service *corev1.Service) (endpoints []discoveryv1.Endpoint, part partial, err error) {
	if len(service.Spec.Selector) == 0 {
		return nil, part, nil
	}
	pods := &corev1.PodList{}
	if err := c.Client.List(ctx, pods, client.InNamespace(c.Namespace), client.MatchingLabels(service.Spec.Selector)); err != nil {
		return nil, part, fmt.Errorf("listing the pods of %s: %w", service.Name, err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		_, ready := readySince(pod)
		ready = ready && pod.DeletionTimestamp == nil
		endpoint := discoveryv1.Endpoint{
			Addresses:  []string{"10.244.0.1"},
			Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Name: pod.Name},
		}
		if ports := portsOf(service, pod); len(ports) < len(service.Spec.Ports) {
			part.endpoints, part.ports = append(part.endpoints, endpoint), ports
			continue
		}
		endpoints = append(endpoints, endpoint)
	}
	for _, all := range [][]discoveryv1.Endpoint{endpoints, part.endpoints} {
		slices.SortFunc(all, func(a, b discoveryv1.Endpoint) int { return strings.Compare(a.TargetRef.Name, b.TargetRef.Name) })
	}
	return endpoints, part, nil
}
