// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
)

// named makes a routing name the one object that is tried, and its Service.
func (o *luaTest) named(ref rolloutsv1beta1.TrafficRoutingRef, object *unstructured.Unstructured) rolloutsv1beta1.TrafficRoutingRef {
	kind, name := object.GroupVersionKind(), object.GetName()
	one := rolloutsv1beta1.TrafficRoutingRef{Service: cmp.Or(o.files.service, ref.Service)}
	switch {
	case kind.GroupKind() == traffic.IngressKind:
		class := o.class
		if class == "" && ref.Ingress != nil {
			class = ref.Ingress.ClassType
		}
		one.Ingress = &rolloutsv1beta1.IngressTrafficRouting{Name: name, ClassType: class}
		one.Service = cmp.Or(one.Service, onlyService(object))
	case isGatewayRoute(kind.GroupKind()):
		one.Gateway = &rolloutsv1beta1.GatewayTrafficRouting{}
		if ref.Gateway != nil {
			one.Gateway.RuleNames = ref.Gateway.RuleNames
		}
		if kind.Kind == "GRPCRoute" {
			one.Gateway.GRPCRouteName = &name
		} else {
			one.Gateway.HTTPRouteName = &name
		}
	default:
		one.CustomNetworkRefs = []rolloutsv1beta1.ObjectRef{{APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Name: name}}
	}
	return one
}

// onlyService is the Service that all paths of an Ingress route to; "" if they are several.
func onlyService(ingress *unstructured.Unstructured) string {
	service := ""
	rules, _, _ := unstructured.NestedSlice(ingress.Object, "spec", "rules")
	for _, rule := range rules {
		fields, _ := rule.(map[string]any)
		paths, _, _ := unstructured.NestedSlice(fields, "http", "paths")
		for _, path := range paths {
			fields, _ := path.(map[string]any)
			name, _, _ := unstructured.NestedString(fields, "backend", "service", "name")
			if service != "" && service != name {
				return ""
			}
			service = name
		}
	}
	return service
}

// router is what routes with the object: by the script that is named, or as in a cluster without scripts of its own.
func (o *luaTest) router(object *unstructured.Unstructured, r routing) (traffic.Router, error) {
	config := traffic.Config{
		Backends: traffic.BackendsOf(r.Service, r.shared),
		Owner: metav1.OwnerReference{
			APIVersion: rolloutsv1beta1.GroupVersion.String(), Kind: "Rollout", Name: "lua-test", UID: "lua-test", Controller: new(true),
		},
	}
	kind := object.GroupVersionKind()
	if isGatewayRoute(kind.GroupKind()) {
		return o.withoutScript(r, config)
	}
	if o.class != "" && r.Ingress == nil {
		return nil, fmt.Errorf("--class is for Ingresses, and %s %s is not an Ingress", kind.Kind, object.GetName())
	}
	script, err := o.source(kind.GroupKind(), r)
	if err != nil {
		return nil, err
	}
	return traffic.Scripted(kind, object.GetName(), script, config)
}

// withoutScript is the router of a route of the Gateway API.
func (o *luaTest) withoutScript(r routing, config traffic.Config) (traffic.Router, error) {
	if o.script != "" || o.class != "" || o.kind != "" {
		return nil, fmt.Errorf("routes of the Gateway API have no script; leave out --script, --class and --kind")
	}
	routers, err := traffic.Routers(r.TrafficRoutingRef, config)
	if err != nil {
		return nil, err
	}
	return routers[0], nil
}

// source finds the script to run.
func (o *luaTest) source(kind schema.GroupKind, r routing) (traffic.Script, error) {
	switch {
	case o.script != "":
		text, err := o.read(o.script)
		if err != nil {
			return traffic.Script{}, err
		}
		if used, err := traffic.CustomScript(kind, map[string]string{traffic.ScriptKey(kind): string(text)}); err == nil && used.Source != string(text) {
			_, _ = fmt.Fprintf(o.ErrOut, "Warning: in a cluster, the built-in script of %s is run and not one of yours\n", kind)
		}
		return traffic.Script{Name: o.script, Source: string(text)}, nil
	case o.kind != "":
		return traffic.CustomScript(schema.ParseGroupKind(o.kind), nil)
	case r.Ingress != nil:
		return traffic.IngressScript(r.Ingress.ClassType, nil)
	default:
		script, err := traffic.CustomScript(kind, nil)
		if err != nil {
			return script, fmt.Errorf("there is no built-in script for %s; name yours with --script", kind)
		}
		return script, nil
	}
}
