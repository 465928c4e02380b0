// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var routeKind = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}

// route is an object of the routes by its file.
func (p *Play) route(file string) (*unstructured.Unstructured, error) {
	for i, name := range p.Routes {
		if name == file {
			return p.routes[i].DeepCopy(), nil
		}
	}
	return nil, fmt.Errorf("what is a %q", file)
}

// routesGivenBack says how the objects that route requests differ from what their user wants; "": they do not.
func (p *Play) routesGivenBack(ctx context.Context) (string, error) {
	for i, given := range p.routes {
		if p.lost[p.Routes[i]] {
			continue
		}
		stored := &unstructured.Unstructured{}
		stored.SetGroupVersionKind(given.GroupVersionKind())
		key := client.ObjectKey{Namespace: p.stage.Namespace(), Name: given.GetName()}
		err := p.stage.Client().Get(ctx, key, stored)
		switch {
		case err != nil:
			return "", fmt.Errorf("reading %s %s: %w", given.GetKind(), key.Name, err)
		case !within(given.Object["spec"], stored.Object["spec"]) || strings.Contains(encode(stored.Object["spec"]), "canary") ||
			strings.Contains(encode(stored.Object["spec"]), appsv1.DefaultDeploymentUniqueLabelKey):
			return fmt.Sprintf("%s %s is\n%s, want\n%s", given.GetKind(), key.Name, encode(stored.Object["spec"]), encode(given.Object["spec"])), nil
		case strings.Contains(encode(stored.GetAnnotations()), "kruise.io"):
			return fmt.Sprintf("%s %s still has annotations %v", given.GetKind(), key.Name, stored.GetAnnotations()), nil
		}
		canary := stored.DeepCopy()
		key.Name += "-canary"
		if err := p.stage.Client().Get(ctx, key, canary); err == nil {
			return fmt.Sprintf("%s %s is still there", given.GetKind(), key.Name), nil
		}
	}
	return "", nil
}

func encode(v any) string {
	raw, _ := json.Marshal(v)
	return string(raw)
}

// within reports whether everything of a is in b: the API server fills in more.
func within(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		m, ok := b.(map[string]any)
		for key := range a {
			ok = ok && within(a[key], m[key])
		}
		return ok
	case []any:
		l, ok := b.([]any)
		if !ok || len(l) != len(a) {
			return false
		}
		for i := range a {
			if !within(a[i], l[i]) {
				return false
			}
		}
		return true
	default:
		return encode(a) == encode(b)
	}
}

// traffic says where requests go: what the Services select, and what the gateways share out: "web>v1 web-canary>v2 20%".
func (s Sight) traffic(ctx context.Context, c client.Reader, namespace string) (string, error) {
	var said []string
	for _, name := range []string{"web", "web-canary"} {
		service := &corev1.Service{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, service); client.IgnoreNotFound(err) != nil {
			return "", fmt.Errorf("looking: %w", err)
		} else if err != nil {
			continue
		}
		revision := service.Spec.Selector[appsv1.DefaultDeploymentUniqueLabelKey]
		if revision == "" {
			revision = "all"
		}
		said = append(said, name+">"+s.revisions(revision))
	}
	if len(said) == 0 {
		return "", nil
	}
	route := &unstructured.Unstructured{}
	route.SetGroupVersionKind(routeKind)
	err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "web"}, route)
	if err == nil {
		said = append(said, rules(route)...)
	} else if client.IgnoreNotFound(err) != nil && !meta.IsNoMatchError(err) && !runtime.IsNotRegisteredError(err) {
		return "", fmt.Errorf("looking: %w", err)
	}
	ingress := &networkingv1.Ingress{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "web-canary"}, ingress); err == nil {
		for _, key := range []string{"canary-weight", "canary-by-header", "canary-by-header-value"} {
			if v := ingress.Annotations["nginx.ingress.kubernetes.io/"+key]; v != "" {
				said = append(said, key+"="+v)
			}
		}
	}
	return strings.Join(said, " "), nil
}

// rules shows the backends of a route's rules: "80/20", or "header env=gray:canary" for one of the canary's own.
func rules(route *unstructured.Unstructured) []string {
	var said []string
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	for _, r := range rules {
		rule, _ := r.(map[string]any)
		text := strings.Builder{}
		for _, header := range nested(rule, "matches", "headers") {
			fmt.Fprintf(&text, "%v=%v:", header["name"], header["value"])
		}
		var weights []string
		for _, ref := range nested(rule, "backendRefs") {
			weight, ok := ref["weight"]
			if !ok {
				weight = 1
			}
			weights = append(weights, fmt.Sprintf("%v", weight))
		}
		said = append(said, text.String()+strings.Join(weights, "/"))
	}
	return said
}

// nested are the maps in a list of maps, or in a list below each of them.
func nested(m map[string]any, path ...string) []map[string]any {
	list, _ := m[path[0]].([]any)
	var all []map[string]any
	for _, item := range list {
		item, _ := item.(map[string]any)
		if len(path) > 1 {
			all = append(all, nested(item, path[1:]...)...)
			continue
		}
		all = append(all, item)
	}
	return all
}
