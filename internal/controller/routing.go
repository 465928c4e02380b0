// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
	"kruise.io/rollouts/internal/traffic"
	"kruise.io/rollouts/internal/workload"
)

// readLimit is how long the first read of a kind may take. A kind that the manager may not list is never read to an end.
const readLimit = 10 * time.Second

// inTime makes the first read of a kind. Without the limit, a kind that may not be listed would hold its reader up for ever, and
// and no one would learn why (TestRights of sandbox/upgrade).
func inTime(ctx context.Context, what string, read func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	switch err := read(ctx); {
	case err == nil || apierrors.IsNotFound(err):
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: timed out; check that the manager may list this kind: %w", what, err)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}

// Gateways is how the objects of routings are found: their kinds are whatever a cluster has.
type Gateways struct {
	Mapper meta.RESTMapper
	// Namespace is where the ConfigMap with the users' own scripts is.
	Namespace string
	// Watch makes changes of a kind wake the Rollouts that route with it, from now on; nil: nothing does.
	Watch func(o client.Object) error
}

// ofRollout reads the routings of a Rollout; own are the objects of its workload.
func (g Gateways) ofRollout(ctx context.Context, c client.Reader, ro *v1beta1.Rollout, own workload.Objects) ([]plan.Routing, error) {
	owner := *metav1.NewControllerRef(ro, v1beta1.GroupVersion.WithKind("Rollout"))
	refs, shared := plan.InEffect(ro)
	return g.observe(ctx, c, observer{ro, revisionKey(ro), workload.Selector(own.Workload), controllers(own)}, owner, refs, shared)
}

// observer is who reads routings, and which of the pods behind them are its own.
type observer struct {
	client.Object
	revisionKey string             // label by which its pods show their revision; "": no one asks
	labels      map[string]string  // that all its pods have
	controllers map[types.UID]bool // of its pods; nil: all are
}

// controllers are what controls the pods of a workload, and of what was made next to it; nil: there is no workload.
func controllers(o workload.Objects) map[types.UID]bool {
	if o.Workload == nil {
		return nil
	}
	own := map[types.UID]bool{o.Workload.GetUID(): true}
	for _, set := range o.Sets {
		own[set.UID] = true
	}
	return own
}

// observe reads routings; shared: the canary's pods have no Service of their own.
func (g Gateways) observe(ctx context.Context, c client.Reader, of observer, owner metav1.OwnerReference, refs []v1beta1.TrafficRoutingRef, shared bool) ([]plan.Routing, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	scripts, err := Scripts(ctx, c, g.Namespace)
	if err == nil {
		err = g.watch(&corev1.ConfigMap{})
	}
	if err != nil {
		return nil, err
	}
	routings := make([]plan.Routing, len(refs))
	for i, ref := range refs {
		r := plan.Routing{Ref: ref, Config: traffic.Config{Backends: traffic.BackendsOf(ref.Service, shared), Owner: owner, Scripts: scripts}}
		if err := g.services(ctx, c, of, &r); err != nil {
			return nil, err
		}
		r.Config.Siblings = siblings(refs, i, shared)
		r.Routers, r.Broken = traffic.Routers(ref, r.Config)
		if err := g.routes(ctx, c, of.GetNamespace(), &r); err != nil {
			return nil, err
		}
		routings[i] = r
	}
	return routings, nil
}

// siblings are the Backends of the routings that name the same Ingress as one does.
func siblings(refs []v1beta1.TrafficRoutingRef, of int, shared bool) []traffic.Backends {
	if refs[of].Ingress == nil {
		return nil
	}
	var all []traffic.Backends
	for _, ref := range refs {
		if ref.Ingress != nil && ref.Ingress.Name == refs[of].Ingress.Name {
			all = append(all, traffic.BackendsOf(ref.Service, shared))
		}
	}
	return all
}

// ScriptsConfig is the name of the ConfigMap with the users' own scripts (docs/wire.md, custom network references).
const ScriptsConfig = "kruise-rollout-configuration"

// Scripts reads the users' own scripts.
func Scripts(ctx context.Context, c client.Reader, namespace string) (map[string]string, error) {
	config := &corev1.ConfigMap{}
	err := inTime(ctx, fmt.Sprintf("reading ConfigMap %s/%s", namespace, ScriptsConfig), func(ctx context.Context) error {
		return c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ScriptsConfig}, config)
	})
	return config.Data, err
}

// services reads the Services of a routing and what their EndpointSlices show.
func (g Gateways) services(ctx context.Context, c client.Reader, of observer, r *plan.Routing) (err error) {
	names := r.Config.Backends
	if r.Services.Stable, r.Stable, err = g.service(ctx, c, of, names.Stable); err != nil || names.Canary == names.Stable {
		return err
	}
	if r.Services.Canary, r.Canary, err = g.service(ctx, c, of, names.Canary); err != nil {
		return err
	}
	r.Config.Foreign = r.Services.Canary != nil && !metav1.IsControlledBy(r.Services.Canary, of.Object)
	return nil
}

// service reads a Service and its endpoints; nil: it does not exist.
func (g Gateways) service(ctx context.Context, c client.Reader, of observer, name string) (*corev1.Service, plan.Endpoints, error) {
	namespace, revisionKey := of.GetNamespace(), of.revisionKey
	service := &corev1.Service{}
	found, err := g.read(ctx, c, client.ObjectKey{Namespace: namespace, Name: name}, service)
	if !found {
		return nil, plan.Endpoints{}, err
	}
	pods := &corev1.PodList{}
	if selector := maps.Clone(service.Spec.Selector); len(selector) > 0 {
		delete(selector, revisionKey)
		if len(selector) == 0 {
			selector = of.labels // as it would select without its pin
		}
		if err := c.List(ctx, pods, client.InNamespace(namespace), client.MatchingLabels(selector)); err != nil {
			return nil, plan.Endpoints{}, fmt.Errorf("listing the pods of Service %s/%s: %w", namespace, name, err)
		}
	}
	revisions, others := of.count(pods.Items)
	counted := func(e plan.Endpoints) plan.Endpoints {
		e.Revisions, e.Others = revisions, others
		return e
	}
	pods.Items = slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool {
		return service.Spec.Selector[revisionKey] != "" && pod.Labels[revisionKey] != service.Spec.Selector[revisionKey]
	})
	shown := &discoveryv1.EndpointSliceList{}
	if _, err := served(g.Mapper, discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice")); meta.IsNoMatchError(err) {
		return service, counted(believed(service, pods.Items)), nil
	}
	if err := g.watch(&discoveryv1.EndpointSlice{}); err != nil {
		return nil, plan.Endpoints{}, err
	}
	err = inTime(ctx, fmt.Sprintf("listing the EndpointSlices of Service %s/%s", namespace, name), func(ctx context.Context) error {
		return c.List(ctx, shown, client.InNamespace(namespace), client.MatchingLabels{discoveryv1.LabelServiceName: name})
	})
	if err != nil {
		return nil, plan.Endpoints{}, err
	}
	return service, counted(endpoints(service, shown.Items, pods.Items)), nil
}

// count returns how many of the pods behind a Service are ready: own ones by revision, and those of other workloads by what controls them.
// Pods that nothing controls are people's, for a look or a test.
func (of observer) count(pods []corev1.Pod) (revisions, others map[string]int32) {
	revisions, others = map[string]int32{}, map[string]int32{}
	for i := range pods {
		pod := &pods[i]
		if pod.DeletionTimestamp != nil || !workload.Ready(pod) {
			continue
		}
		switch owner := metav1.GetControllerOf(pod); {
		case of.controllers == nil, owner != nil && of.controllers[owner.UID]:
			revisions[pod.Labels[of.revisionKey]]++
		case owner != nil:
			others[workloadOf(pod, owner)]++
		}
	}
	return revisions, others
}

// workloadOf names the workload that a pod's name and labels speak of.
func workloadOf(pod *corev1.Pod, owner *metav1.OwnerReference) string {
	if deployment, found := strings.CutSuffix(owner.Name, "-"+pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey]); found && owner.Kind == "ReplicaSet" {
		return "Deployment " + deployment
	}
	return owner.Kind + " " + owner.Name
}

// selected are the pods that a Service is to route to.
func selected(service *corev1.Service, pods []corev1.Pod) map[string]bool {
	names := map[string]bool{}
	for i := range pods {
		if pod := &pods[i]; pod.DeletionTimestamp == nil && (service.Spec.PublishNotReadyAddresses || workload.Ready(pod)) {
			names[pod.Name] = true
		}
	}
	return names
}

// believed stands in for EndpointSlices before Kubernetes 1.21, which serves none of their version v1: what is selected is
// taken to be shown, and the time for gateways to settle has to do.
func believed(service *corev1.Service, pods []corev1.Pod) plan.Endpoints {
	return plan.Endpoints{Ready: int32(len(selected(service, pods))), Shown: true} //nolint:gosec // pods of a Service
}

// endpoints compares what EndpointSlices show with the pods that a Service selects.
func endpoints(service *corev1.Service, all []discoveryv1.EndpointSlice, pods []corev1.Pod) plan.Endpoints {
	shown := map[string]bool{}
	e := plan.Endpoints{Ports: map[string]int32{}}
	for _, slice := range all {
		ready := int32(0)
		for _, endpoint := range slice.Endpoints {
			if endpoint.TargetRef != nil && (endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready) {
				shown[endpoint.TargetRef.Name] = true
				ready++
			}
		}
		for _, port := range slice.Ports {
			e.Ports[ptr.Deref(port.Name, "")] += ready
		}
		if len(slice.Ports) > 0 || len(service.Spec.Ports) == 0 { // a pod without any of the ports takes no request
			e.Ready += ready
		}
	}
	maps.DeleteFunc(e.Ports, func(_ string, n int32) bool { return n == 0 })
	e.Shown = !traffic.Selects(service) || maps.Equal(selected(service, pods), shown)
	return e
}

// revisionKey is the label by which the pods of a Rollout's workload show their revision.
func revisionKey(ro *v1beta1.Rollout) string { return workload.KindOf(ro.Spec.WorkloadRef).RevisionKey }

// routes reads the gateway objects of a routing.
func (g Gateways) routes(ctx context.Context, c client.Reader, namespace string, r *plan.Routing) error {
	r.Routes = traffic.Objects{}
	for _, router := range r.Routers {
		for _, ref := range router.Refs() {
			kind, err := served(g.Mapper, ref.GroupVersionKind)
			if meta.IsNoMatchError(err) {
				r.Unserved = append(r.Unserved, ref.Kind)
				continue
			} else if err != nil {
				return fmt.Errorf("finding the version of %s: %w", ref.Kind, err)
			}
			object := &unstructured.Unstructured{}
			object.SetGroupVersionKind(kind)
			found, err := g.read(ctx, c, client.ObjectKey{Namespace: namespace, Name: ref.Name}, object)
			if err != nil {
				return err
			}
			if found {
				r.Routes[ref] = object
			}
		}
	}
	return nil
}

// read reads an object, and has its kind watched from then on; false: it does not exist.
func (g Gateways) read(ctx context.Context, c client.Reader, key client.ObjectKey, o client.Object) (bool, error) {
	if err := g.watch(o); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	switch err := c.Get(ctx, key, o); {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil && ctx.Err() != nil:
		return false, fmt.Errorf("reading %s: timed out; check that the manager may list this kind: %w", named(o), err)
	case err != nil:
		return false, fmt.Errorf("reading %s: %w", named(o), err)
	}
	return true, nil
}

func (g Gateways) watch(o client.Object) error {
	if g.Watch == nil {
		return nil
	}
	if err := g.Watch(o); err != nil {
		return fmt.Errorf("watching %T: %w", o, err)
	}
	return nil
}
