// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// course writes down where the routes and Services of a shop lead, and when pods are asked to go, for people who look for
// the reason of a loss.
type course struct {
	mu    sync.Mutex
	last  map[string]string
	notes []note
}

func watchCourse(t *testing.T, c client.WithWatch, namespace string) *course {
	t.Helper()
	all := &course{last: map[string]string{}}
	for _, list := range []client.ObjectList{&gatewayv1.HTTPRouteList{}, &networkingv1.IngressList{}, &corev1.ServiceList{}, &corev1.PodList{}} {
		w, err := c.Watch(t.Context(), list, client.InNamespace(namespace))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Stop)
		go func() {
			for event := range w.ResultChan() {
				if o, ok := event.Object.(client.Object); ok {
					all.add(event.Type, o)
				}
			}
		}()
	}
	return all
}

func (c *course) add(happened watch.EventType, o client.Object) {
	text := leads(o)
	if happened == watch.Deleted {
		text = "is gone"
		if _, pod := o.(*corev1.Pod); pod {
			return // it was asked to go before
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := fmt.Sprintf("%T %s", o, o.GetName())
	if text == "" || c.last[key] == text {
		return
	}
	c.last[key] = text
	c.notes = append(c.notes, note{time.Now(), fmt.Sprintf("  %s %s", key, text)})
}

// leads is where an object routes requests, or that a pod is asked to go; empty for nothing new.
func leads(o client.Object) string {
	switch o := o.(type) {
	case *gatewayv1.HTTPRoute:
		var rules []string
		for _, rule := range o.Spec.Rules {
			var to []string
			for _, ref := range rule.BackendRefs {
				to = append(to, fmt.Sprintf("%s %d", ref.Name, ptr.Deref(ref.Weight, 1)))
			}
			rules = append(rules, strings.Join(to, ", "))
		}
		return "leads to " + strings.Join(rules, "; ")
	case *networkingv1.Ingress:
		text := "leads to " + o.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name
		for _, key := range []string{"canary-weight", "canary-by-header-value"} {
			if value, ok := o.Annotations["nginx.ingress.kubernetes.io/"+key]; ok {
				text += ", " + key + " " + value
			}
		}
		return text
	case *corev1.Service:
		return fmt.Sprintf("selects %v", o.Spec.Selector)
	case *corev1.Pod:
		if o.DeletionTimestamp != nil {
			return "of " + o.Spec.Containers[0].Env[0].Value + " is told to go"
		}
	}
	return ""
}

// told returns what was written down.
func (c *course) told() []note {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]note{}, c.notes...)
}
