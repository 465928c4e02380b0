// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/utils/ptr"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
	"sigs.k8s.io/yaml"

	rolloutsv1alpha1 "kruise.io/rollouts/api/v1alpha1"
	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/traffic"
)

// trial names the files a script is tried on.
type trial struct {
	object, rollout string
	service         string
	shared          bool
}

// ask is the step that is tried, as flags say it.
type ask struct {
	step     int
	weight   int
	weighted bool
	headers  []string
}

// routing is where requests are routed, and whether the new version has a Service of its own.
type routing struct {
	rolloutsv1beta1.TrafficRoutingRef
	shared bool
}

// read reads a file, or the standard input.
func (o *luaTest) read(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(o.In)
	}
	return os.ReadFile(filepath.Clean(name))
}

// object reads the object to route with: of several in the file the only one that can be.
func (o *luaTest) object() (*unstructured.Unstructured, error) {
	if o.files.object == "" {
		return nil, errors.New("-f is required: the file with the Ingress or the route")
	}
	text, err := o.read(o.files.object)
	if err != nil {
		return nil, err
	}
	var all, routes []*unstructured.Unstructured
	documents := yamlutil.NewYAMLToJSONDecoder(bytes.NewReader(text))
	for {
		u := &unstructured.Unstructured{}
		err := documents.Decode(u)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.files.object, err)
		}
		all = append(all, u)
		if o.routable(u) {
			routes = append(routes, u)
		}
	}
	switch {
	case len(all) == 1:
		return all[0], nil
	case len(routes) == 1:
		return routes[0], nil
	default:
		return nil, fmt.Errorf("%s has %d objects, of which %d are Ingresses or routes; give one", o.files.object, len(all), len(routes))
	}
}

// routable reports whether there is something that routes with an object of this kind.
func (o *luaTest) routable(u *unstructured.Unstructured) bool {
	kind := u.GroupVersionKind().GroupKind()
	_, err := traffic.CustomScript(kind, nil)
	return err == nil || kind == traffic.IngressKind || isGatewayRoute(kind)
}

func isGatewayRoute(kind schema.GroupKind) bool {
	return kind.Group == gatewayv1beta1.GroupName && (kind.Kind == "HTTPRoute" || kind.Kind == "GRPCRoute")
}

// step returns what is asked for, of a Rollout or of flags.
func (o *luaTest) step(object *unstructured.Unstructured) (routing, rolloutsv1beta1.TrafficRoutingStrategy, error) {
	none := rolloutsv1beta1.TrafficRoutingStrategy{}
	r, steps := routing{shared: o.files.shared}, []rolloutsv1beta1.CanaryStep(nil)
	if o.files.rollout != "" {
		ro, err := o.rollout()
		if err != nil {
			return r, none, err
		}
		if r, steps, err = routingOf(ro, object); err != nil {
			return r, none, fmt.Errorf("%s: %w", o.files.rollout, err)
		}
		r.shared = r.shared || o.files.shared
	}
	r.TrafficRoutingRef = o.named(r.TrafficRoutingRef, object)
	if r.Service == "" {
		return r, none, errors.New("the Service is not known: set --service")
	}
	if o.asked.step == 0 {
		s, err := o.asked.strategy()
		return r, s, err
	}
	if o.asked.step < 0 || o.asked.step > len(steps) {
		return r, none, fmt.Errorf("--step %d: the Rollout has steps 1 to %d; name its file with --rollout", o.asked.step, len(steps))
	}
	return r, steps[o.asked.step-1].TrafficRoutingStrategy, nil
}

// strategy reads the flags.
func (a ask) strategy() (rolloutsv1beta1.TrafficRoutingStrategy, error) {
	s := rolloutsv1beta1.TrafficRoutingStrategy{}
	if a.weighted {
		share := fmt.Sprintf("%d%%", a.weight)
		s.Traffic = &share
	}
	match := rolloutsv1beta1.HttpRouteMatch{}
	for _, header := range a.headers {
		name, value, ok := strings.Cut(header, "=")
		if !ok || name == "" || value == "" {
			return s, fmt.Errorf("--header %q: write NAME=VALUE, or NAME=~PATTERN", header)
		}
		kind := gatewayv1beta1.HeaderMatchType("Exact")
		if pattern, is := strings.CutPrefix(value, "~"); is {
			kind, value = "RegularExpression", pattern
		}
		match.Headers = append(match.Headers, gatewayv1beta1.HTTPHeaderMatch{Type: &kind, Name: gatewayv1beta1.HTTPHeaderName(name), Value: value})
	}
	if len(a.headers) > 0 {
		s.Matches = append(s.Matches, match)
	}
	if s.Traffic == nil && len(s.Matches) == 0 {
		return s, errors.New("the step is not known: set --weight, --header, or --rollout and --step")
	}
	return s, nil
}

// rollout reads a Rollout of either version.
func (o *luaTest) rollout() (*rolloutsv1beta1.Rollout, error) {
	text, err := o.read(o.files.rollout)
	if err != nil {
		return nil, err
	}
	u, ro := &unstructured.Unstructured{}, &rolloutsv1beta1.Rollout{}
	if err := yaml.Unmarshal(text, &u.Object); err != nil {
		return nil, fmt.Errorf("%s: %w", o.files.rollout, err)
	}
	switch u.GetAPIVersion() + " " + u.GetKind() {
	case rolloutsv1beta1.GroupVersion.String() + " Rollout":
		err = yaml.UnmarshalStrict(text, ro)
	case rolloutsv1alpha1.GroupVersion.String() + " Rollout":
		old := &rolloutsv1alpha1.Rollout{}
		if err = yaml.UnmarshalStrict(text, old); err == nil {
			err = old.ConvertTo(ro)
		}
	default:
		err = fmt.Errorf("%s %s is no Rollout of %s", u.GetAPIVersion(), u.GetKind(), rolloutsv1beta1.GroupVersion.Group)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.files.rollout, err)
	}
	return ro, nil
}

// routingOf finds the routing of a Rollout that names an object, and its steps.
func routingOf(ro *rolloutsv1beta1.Rollout, object *unstructured.Unstructured) (routing, []rolloutsv1beta1.CanaryStep, error) {
	var refs []rolloutsv1beta1.TrafficRoutingRef
	var steps []rolloutsv1beta1.CanaryStep
	r := routing{}
	switch s := ro.Spec.Strategy; {
	case s.BlueGreen != nil:
		refs, steps, r.shared = s.BlueGreen.TrafficRoutings, s.BlueGreen.Steps, s.BlueGreen.DisableGenerateCanaryService
	case s.Canary != nil:
		refs, steps, r.shared = s.Canary.TrafficRoutings, s.Canary.Steps, s.Canary.DisableGenerateCanaryService
	}
	for _, ref := range refs {
		if names(ref, object) {
			r.TrafficRoutingRef = ref
			return r, steps, nil
		}
	}
	return r, steps, fmt.Errorf("no trafficRouting of the Rollout names %s %s", object.GetKind(), object.GetName())
}

// names reports whether a routing routes requests with an object.
func names(ref rolloutsv1beta1.TrafficRoutingRef, object *unstructured.Unstructured) bool {
	kind := object.GroupVersionKind().GroupKind()
	switch {
	case kind == traffic.IngressKind:
		return ref.Ingress != nil && ref.Ingress.Name == object.GetName()
	case isGatewayRoute(kind):
		name := ""
		if ref.Gateway != nil && kind.Kind == "GRPCRoute" {
			name = ptr.Deref(ref.Gateway.GRPCRouteName, "")
		} else if ref.Gateway != nil {
			name = ptr.Deref(ref.Gateway.HTTPRouteName, "")
		}
		return name == object.GetName()
	}
	for _, c := range ref.CustomNetworkRefs {
		if group, _, _ := strings.Cut(c.APIVersion, "/"); group == kind.Group && c.Kind == kind.Kind && c.Name == object.GetName() {
			return true
		}
	}
	return false
}
