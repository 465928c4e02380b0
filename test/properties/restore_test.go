// SPDX-License-Identifier: Apache-2.0

package properties

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/clock"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/sim/world"
)

// shops are the services that are released, each by a Rollout of its name, behind the same gateway objects.
var shops = []string{"cart", "pay"}

// The gateway objects that both share, as their user has them at first.
const (
	appsRoute = `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"name":"apps","namespace":"default"},"spec":{"rules":[
		{"name":"cart","matches":[{"path":{"type":"PathPrefix","value":"/cart"}}],"backendRefs":[{"group":"","kind":"Service","name":"cart","port":80,"weight":9},{"group":"","kind":"Service","name":"pay","port":80,"weight":1}]},
		{"name":"pay","matches":[{"path":{"type":"PathPrefix","value":"/pay"}}],"backendRefs":[{"group":"","kind":"Service","name":"pay","port":80,"weight":1}]}]}}`
	appsIngress = `{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"apps","namespace":"default"},"spec":{"ingressClassName":"nginx","rules":[{"host":"a.example.com","http":{"paths":[
		{"path":"/cart","pathType":"Prefix","backend":{"service":{"name":"cart","port":{"number":80}}}},{"path":"/pay","pathType":"Prefix","backend":{"service":{"name":"pay","port":{"number":80}}}}]}}]}}`
	appsVirtual = `{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":"apps","namespace":"default"},"spec":{"hosts":["a.example.com"],"http":[
		{"name":"cart","route":[{"destination":{"host":"cart"},"weight":90},{"destination":{"host":"pay"},"weight":10}]},{"name":"pay","route":[{"destination":{"host":"pay"}}]}]}}`
)

// mall is a world with several releases behind shared gateway objects, and what their users wrote last.
type mall struct {
	*world.World
	ctx     context.Context
	t       *rapid.T
	wishes  map[string]*unstructured.Unstructured // by kind and name
	images  map[string]string
	stable  map[string]string
	gone    map[string]bool // Rollouts
	refused string          // kind whose creation is refused; "": none
	fatal   string
}

// TestRestored: several releases behind the same objects, and everybody writes what admission lets pass: users their own
// objects and the Rollouts, in every field; somebody ours; the API server refuses; objects go and come again under their
// names. Whatever way each release ends, every object is as its user wrote it last, and nothing of ours is left.
func TestRestored(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newMall(t)
		actions := map[string]func(*rapid.T){
			"everything looks":   func(*rapid.T) { _, err := m.Round(m.ctx); m.tolerate(err) },
			"everything settles": func(*rapid.T) { _, err := m.Settle(m.ctx); m.tolerate(err) },
			"time passes": func(*rapid.T) {
				m.tolerate(m.Pass(m.ctx, time.Duration(rapid.IntRange(1, 40).Draw(t, "s"))*time.Second))
			},
			"manager restarts":         func(*rapid.T) { m.Restart() },
			"cluster acts sooner":      func(*rapid.T) { m.Quick = !m.Quick },
			"cluster acts later":       func(*rapid.T) { m.Passes = rapid.IntRange(1, 3).Draw(t, "passes") },
			"user sets an image":       m.setImage,
			"user approves":            func(*rapid.T) { m.approve(m.shop()) },
			"user disables":            m.disable,
			"user aborts":              m.abort,
			"user edits a route":       m.editRoute,
			"user edits a Service":     m.editService,
			"user edits a Deployment":  m.editDeployment,
			"user edits a Rollout":     m.editRollout,
			"user applies from git":    m.reapply,
			"somebody deletes ours":    m.deleteOurs,
			"somebody edits ours":      m.editOurs,
			"somebody deletes a route": m.replaceRoute,
			"scripts are edited":       m.editScripts,
			"creation is refused":      m.refuse,
			"the status is written by an older client": func(*rapid.T) {
				name := m.shop()
				ro := m.rollout(name)
				if sub := progress(ro); sub.CurrentStepState == v1beta1.StepPaused {
					m.SigningDown = true
					defer func() { m.SigningDown = false }()
					m.must(m.User.Status().Patch(m.ctx, ro, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"status":{%q:{"traffic":null,"nextStepIndex":null}}}`, part(ro)))))
				}
			},
		}
		t.Repeat(actions)
		m.end()
	})
}

func newMall(t *rapid.T) *mall {
	w, err := world.New(t.Context())
	m := &mall{World: w, ctx: t.Context(), t: t, wishes: map[string]*unstructured.Unstructured{}, images: map[string]string{}, stable: map[string]string{}, gone: map[string]bool{}}
	m.must(err)
	w.Watch = func(write world.Write) {
		if problem := w.Trespass(write); problem != "" && m.fatal == "" {
			m.fatal = problem
		}
	}
	w.Refuse = func(write world.Write) error {
		if write.Verb == "create" && m.refused != "" && kindOf(write) == m.refused {
			return apierrors.NewForbidden(schema.GroupResource{Resource: strings.ToLower(m.refused)}, write.After.GetName(), errors.New("exceeded quota"))
		}
		return nil
	}
	for _, text := range []string{appsRoute, appsIngress, appsVirtual} {
		u := &unstructured.Unstructured{}
		m.must(json.Unmarshal([]byte(text), u))
		m.create(u)
	}
	for _, name := range shops {
		m.open(name)
	}
	m.must(w.Until(m.ctx, time.Minute, func() bool {
		return m.rollout("cart").Status.Phase == v1beta1.PhaseHealthy && m.rollout("pay").Status.Phase == v1beta1.PhaseHealthy
	}))
	m.must(w.Pass(m.ctx, 10*time.Second))
	return m
}

// open makes a Deployment, its Service and its Rollout.
func (m *mall) open(name string) {
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: name}}
	d.Spec.Replicas, d.Spec.Selector = new(rapid.Int32Range(1, 4).Draw(m.t, name+" replicas")), &metav1.LabelSelector{MatchLabels: labels}
	d.Spec.Template.Labels = labels
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: image("v1")}}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: name}}
	service.Spec = corev1.ServiceSpec{Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}}}
	m.create(m.raw(d, "apps/v1", "Deployment"))
	m.create(m.raw(service, "v1", "Service"))
	m.images[name], m.stable[name] = "v1", "v1"
	ro := &v1beta1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: name}}
	ro.Spec.WorkloadRef = v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: name}
	steps := []v1beta1.CanaryStep{{Replicas: new(intstr.Parse("1"))}, {Replicas: new(intstr.Parse("60%"))}, {Replicas: new(intstr.Parse("100%"))}}
	for i := range steps[:2] {
		switch rapid.IntRange(0, 3).Draw(m.t, fmt.Sprintf("%s step %d", name, i)) {
		case 0:
		case 1:
			steps[i].Matches = []v1beta1.HttpRouteMatch{{Headers: []gatewayv1.HTTPHeaderMatch{{Name: "env", Value: "gray"}}}}
		default:
			steps[i].Traffic = new(fmt.Sprintf("%d%%", rapid.IntRange(1, 99).Draw(m.t, "weight")))
		}
	}
	routings := m.routings(name)
	switch rapid.IntRange(0, 2).Draw(m.t, name+" style") {
	case 0:
		ro.Spec.Strategy.BlueGreen = &v1beta1.BlueGreenStrategy{Steps: steps, TrafficRoutings: routings}
	case 1:
		ro.Spec.Strategy.Canary = &v1beta1.CanaryStrategy{Steps: steps, TrafficRoutings: routings, EnableExtraWorkloadForCanary: true}
	default:
		ro.Spec.Strategy.Canary = &v1beta1.CanaryStrategy{Steps: steps, TrafficRoutings: routings}
	}
	m.must(m.User.Create(m.ctx, ro))
}

// routings are some of the ways to a service, as one routing or as several.
func (m *mall) routings(name string) []v1beta1.TrafficRoutingRef {
	ref := v1beta1.TrafficRoutingRef{Service: name, GracePeriodSeconds: new(rapid.Int32Range(0, 1).Draw(m.t, "grace"))}
	ways := rapid.SliceOfNDistinct(rapid.IntRange(0, 2), 1, 3, rapid.ID).Draw(m.t, name+" routes with")
	for _, way := range ways {
		switch way {
		case 0:
			ref.Gateway = &v1beta1.GatewayTrafficRouting{HTTPRouteName: new("apps")}
		case 1:
			ref.Ingress = &v1beta1.IngressTrafficRouting{Name: "apps", ClassType: "nginx"}
		case 2:
			ref.CustomNetworkRefs = []v1beta1.ObjectRef{{APIVersion: "networking.istio.io/v1", Kind: "VirtualService", Name: "apps"}}
		}
	}
	return []v1beta1.TrafficRoutingRef{ref}
}

func (m *mall) raw(o client.Object, version, kind string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	m.must(json.Unmarshal([]byte(encode(o)), &u.Object))
	u.SetAPIVersion(version)
	u.SetKind(kind)
	delete(u.Object, "status")
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	return u
}

// create makes an object, and takes what is stored for what its user wants.
func (m *mall) create(u *unstructured.Unstructured) {
	o := typed(u)
	m.must(m.User.Create(m.ctx, o))
	m.wishes[u.GetKind()+" "+u.GetName()] = m.raw(o, u.GetAPIVersion(), u.GetKind())
}

// typed is an object as the world knows its kind.
func typed(u *unstructured.Unstructured) client.Object {
	var o client.Object
	switch u.GetKind() {
	case "Deployment":
		o = &appsv1.Deployment{}
	case "Service":
		o = &corev1.Service{}
	case "Ingress":
		o = &networkingv1.Ingress{}
	default:
		return u.DeepCopy()
	}
	_ = json.Unmarshal([]byte(encode(u.Object)), o)
	return o
}

func (m *mall) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *mall) tolerate(err error) {
	m.t.Helper()
	m.must(err)
	if m.fatal != "" {
		m.t.Fatal(m.fatal)
	}
}

func (m *mall) shop() string { return rapid.SampledFrom(shops).Draw(m.t, "shop") }

func (m *mall) rollout(name string) *v1beta1.Rollout {
	ro := &v1beta1.Rollout{}
	m.Get(m.ctx, name, ro)
	return ro
}

// live reads an object as it is stored; nil: none.
func (m *mall) live(key string) *unstructured.Unstructured {
	wish := m.wishes[key]
	o := typed(wish)
	if !m.Get(m.ctx, wish.GetName(), o) {
		return nil
	}
	return m.rawStored(o, wish)
}

func (m *mall) rawStored(o client.Object, wish *unstructured.Unstructured) *unstructured.Unstructured {
	if u, ok := o.(*unstructured.Unstructured); ok {
		return u
	}
	return m.raw(o, wish.GetAPIVersion(), wish.GetKind())
}

// edit changes an object and what its user wants in the same way.
func (m *mall) edit(key string, change func(u *unstructured.Unstructured)) {
	live := m.live(key)
	if live == nil {
		return
	}
	before := live.DeepCopy()
	if change(live); encode(before.Object) == encode(live.Object) {
		return // what a release has put there by chance: no one can know that its user wants it, too
	}
	o := typed(live)
	if err := m.User.Update(m.ctx, o); err != nil {
		return // somebody was faster, or admission has something against it
	}
	change(m.wishes[key])
}

func (m *mall) setImage(*rapid.T) {
	name := m.shop()
	version := rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(m.t, "version")
	m.image(name, version)
}

func (m *mall) image(name, version string) {
	m.images[name] = version
	m.edit("Deployment "+name, func(u *unstructured.Unstructured) {
		containers, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
		containers[0].(map[string]any)["image"] = image(version)
		_ = unstructured.SetNestedSlice(u.Object, containers, "spec", "template", "spec", "containers")
	})
}

func (m *mall) approve(name string) {
	if ro := m.rollout(name); progress(ro).CurrentStepState == v1beta1.StepPaused && ro.Status.Phase == v1beta1.PhaseProgressing {
		m.must(m.User.Status().Patch(m.ctx, ro, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"status":{%q:{"currentStepState":"StepReady"}}}`, part(ro)))))
	}
}

// patch changes a Rollout; what admission refuses is not changed.
func (m *mall) patch(name, patch string) {
	if ro := m.rollout(name); ro.Name != "" {
		_ = m.User.Patch(m.ctx, ro, client.RawPatch("application/merge-patch+json", []byte(patch)))
	}
}

func (m *mall) disable(*rapid.T) {
	m.patch(m.shop(), fmt.Sprintf(`{"spec":{"disabled":%t}}`, rapid.Bool().Draw(m.t, "disabled")))
}

func (m *mall) abort(*rapid.T) {
	name := m.shop()
	revision := ""
	if ro := m.rollout(name); rapid.Bool().Draw(m.t, "aborted") {
		switch st := ro.Status; {
		case st.BlueGreenStatus != nil:
			revision = st.BlueGreenStatus.UpdatedRevision
		case st.CanaryStatus != nil:
			revision = st.CanaryStatus.CanaryRevision
		}
	}
	m.patch(name, annotation(revision))
}

// editRoute changes what is the user's in a gateway object, or metadata of it.
func (m *mall) editRoute(*rapid.T) {
	key := rapid.SampledFrom([]string{"HTTPRoute apps", "Ingress apps", "VirtualService apps"}).Draw(m.t, "route")
	number := rapid.IntRange(1, 9).Draw(m.t, "number")
	what := rapid.IntRange(0, 3).Draw(m.t, "edit")
	m.edit(key, func(u *unstructured.Unstructured) {
		switch {
		case what == 0:
			labels := u.GetLabels()
			if labels == nil {
				labels = map[string]string{}
			}
			labels["number"] = fmt.Sprint(number)
			u.SetLabels(labels)
		case what == 1:
			annotations := u.GetAnnotations()
			if annotations == nil {
				annotations = map[string]string{}
			}
			annotations["example.com/number"] = fmt.Sprint(number)
			u.SetAnnotations(annotations)
		case key == "Ingress apps":
			_ = unstructured.SetNestedSlice(u.Object, []any{map[string]any{"secretName": fmt.Sprint("s", number)}}, "spec", "tls")
		case key == "HTTPRoute apps":
			rename(u, "rules", func(rule map[string]any) { rule["timeouts"] = map[string]any{"request": fmt.Sprintf("%ds", number)} })
		default:
			rename(u, "http", func(rule map[string]any) { rule["timeout"] = fmt.Sprintf("%ds", number) })
		}
	})
}

// rename changes the user's rule "cart", which it knows by its name.
func rename(u *unstructured.Unstructured, field string, change func(rule map[string]any)) {
	rules, _, _ := unstructured.NestedSlice(u.Object, "spec", field)
	for _, r := range rules {
		if rule, _ := r.(map[string]any); rule["name"] == "cart" {
			change(rule)
		}
	}
	_ = unstructured.SetNestedSlice(u.Object, rules, "spec", field)
}

func (m *mall) editService(*rapid.T) {
	what := rapid.SampledFrom([]string{"ClientIP", "None"}).Draw(m.t, "affinity")
	m.edit("Service "+m.shop(), func(u *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(u.Object, what, "spec", "sessionAffinity")
	})
}

func (m *mall) editDeployment(*rapid.T) {
	number := rapid.Int64Range(1, 4).Draw(m.t, "number")
	path := rapid.SampledFrom([][]string{
		{"spec", "replicas"}, {"spec", "revisionHistoryLimit"}, {"spec", "progressDeadlineSeconds"}, {"spec", "strategy", "rollingUpdate", "maxSurge"},
	}).Draw(m.t, "field")
	if path[1] == "progressDeadlineSeconds" {
		number += 600
	}
	m.edit("Deployment "+m.shop(), func(u *unstructured.Unstructured) { _ = unstructured.SetNestedField(u.Object, number, path...) })
}

// editRollout changes what a release routes with, as far as admission lets it.
func (m *mall) editRollout(*rapid.T) {
	name := m.shop()
	of := "canary"
	if m.rollout(name).Spec.Strategy.BlueGreen != nil {
		of = "blueGreen"
	}
	switch rapid.IntRange(0, 3).Draw(m.t, "edit") {
	case 0:
		m.patch(name, fmt.Sprintf(`{"spec":{"strategy":{%q:{"disableGenerateCanaryService":%t}}}}`, of, rapid.Bool().Draw(m.t, "shared")))
	case 1:
		m.patch(name, fmt.Sprintf(`{"spec":{"strategy":{%q:{"trafficRoutings":null}}}}`, of))
	case 2:
		m.patch(name, fmt.Sprintf(`{"spec":{"strategy":{%q:{"trafficRoutings":%s}}}}`, of, encode(m.routings(name))))
	case 3:
		m.patch(name, fmt.Sprintf(`{"spec":{"strategy":{"paused":%t}}}`, rapid.Bool().Draw(m.t, "paused")))
	}
}

// reapply writes an object whole, as git has it.
func (m *mall) reapply(*rapid.T) {
	key := rapid.SampledFrom([]string{"HTTPRoute apps", "Ingress apps", "VirtualService apps", "Service cart", "Deployment pay"}).Draw(m.t, "object")
	_ = m.User.Update(m.ctx, typed(m.wishes[key])) // without a version, as kubectl replace does
}

func (m *mall) deleteOurs(*rapid.T) {
	name := m.shop()
	meta := metav1.ObjectMeta{Namespace: world.Namespace, Name: name + "-canary"}
	var o client.Object
	switch rapid.IntRange(0, 2).Draw(m.t, "what") {
	case 0:
		o = &corev1.Service{ObjectMeta: meta}
	case 1:
		meta.Name = "apps-canary"
		o = &networkingv1.Ingress{ObjectMeta: meta}
	default:
		meta.Name = name
		o = &v1beta1.BatchRelease{ObjectMeta: meta}
	}
	m.must(client.IgnoreNotFound(m.User.Delete(m.ctx, o)))
}

// editOurs changes what a release has made or added.
func (m *mall) editOurs(*rapid.T) {
	name := m.shop()
	switch rapid.IntRange(0, 3).Draw(m.t, "what") {
	case 0:
		live := m.live("HTTPRoute apps")
		if live == nil {
			return
		}
		rules, _, _ := unstructured.NestedSlice(live.Object, "spec", "rules")
		for _, r := range rules {
			if rule, _ := r.(map[string]any); rule["name"] == nil {
				rule["timeouts"] = map[string]any{"request": "77s"}
			}
		}
		_ = unstructured.SetNestedSlice(live.Object, rules, "spec", "rules")
		_ = m.User.Update(m.ctx, live)
	case 1:
		service := &corev1.Service{}
		if m.Get(m.ctx, name+"-canary", service) {
			service.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
			service.Spec.Selector["tier"] = "none"
			m.must(m.User.Update(m.ctx, service))
		}
	case 2:
		m.editBatchRelease(name)
	default:
		list := &appsv1.DeploymentList{}
		m.must(m.List(m.ctx, list))
		for i := range list.Items {
			if d := &list.Items[i]; d.Labels[v1beta1.LabelCanaryDeployment] != "" {
				d.Spec.Replicas, d.Spec.MinReadySeconds = new(rapid.Int32Range(0, 3).Draw(m.t, "replicas")), 1
				_ = m.User.Update(m.ctx, d)
			}
		}
	}
}

// editBatchRelease changes what a Rollout orders, in each of its fields. Whose it is stays: one without an owner is a stand-alone
// one, and the Rollout waits in words until it is gone.
func (m *mall) editBatchRelease(name string) {
	br := &v1beta1.BatchRelease{}
	if !m.Get(m.ctx, name, br) {
		return
	}
	plan := &br.Spec.ReleasePlan
	switch rapid.IntRange(0, 5).Draw(m.t, "field") {
	case 0:
		plan.BatchPartition = nil
	case 1:
		plan.BatchPartition = new(rapid.Int32Range(0, 5).Draw(m.t, "partition"))
	case 2:
		plan.Batches = plan.Batches[:1]
	case 3:
		plan.Aborted = !plan.Aborted
	case 4:
		plan.FinalizingPolicy = v1beta1.WaitResumeFinalizingPolicy
	default:
		br.Labels, br.Annotations = map[string]string{"example.com/a": "b"}, nil
	}
	_ = m.User.Update(m.ctx, br)
}

// replaceRoute deletes an object of the user's and makes it again under the same name.
func (m *mall) replaceRoute(*rapid.T) {
	key := rapid.SampledFrom([]string{"HTTPRoute apps", "Ingress apps", "VirtualService apps", "Service cart"}).Draw(m.t, "object")
	live := m.live(key)
	if live == nil {
		return
	}
	m.must(m.User.Delete(m.ctx, typed(live)))
	if rapid.Bool().Draw(m.t, "later") {
		_, err := m.Round(m.ctx)
		m.tolerate(err)
	}
	m.must(m.User.Create(m.ctx, fresh(m.wishes[key])))
}

func fresh(wish *unstructured.Unstructured) client.Object {
	u := wish.DeepCopy()
	for _, field := range []string{"resourceVersion", "uid", "generation"} {
		unstructured.RemoveNestedField(u.Object, "metadata", field)
	}
	return typed(u)
}

func (m *mall) editScripts(*rapid.T) { m.scripts(rapid.Bool().Draw(m.t, "broken")) }

func (m *mall) scripts(broken bool) {
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: controller.ScriptsConfig}}
	_ = m.User.Delete(m.ctx, config)
	if broken {
		m.must(m.User.Create(m.ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: controller.ScriptsConfig},
			Data:       map[string]string{"lua.traffic.routing.ingress.nginx": "return ("},
		}))
	}
}

func (m *mall) refuse(*rapid.T) {
	m.refused = rapid.SampledFrom([]string{"", "Service", "Ingress", "BatchRelease", "Deployment"}).Draw(m.t, "kind")
}

// end lets every release end in one of the ways there are, and checks what is left.
func (m *mall) end() {
	refused := m.refused
	m.refused = ""
	broken := rapid.Bool().Draw(m.t, "scripts broken at the end")
	ways := map[string]string{}
	for _, name := range shops {
		way := rapid.SampledFrom([]string{"approved", "rolled back", "disabled", "deleted"}).Draw(m.t, name+" ends")
		if way == "rolled back" && m.back(name) == "" {
			way = "approved"
		}
		ways[name] = way
		if way == "approved" {
			broken, refused = false, "" // what is to be routed takes the script, and what is made
		}
	}
	m.scripts(broken)
	m.refused = refused
	if rapid.IntRange(0, 4).Draw(m.t, "everything is ejected") == 0 {
		m.eject()
		return
	}
	for _, name := range shops {
		switch way := ways[name]; way {
		case "deleted":
			if ro := m.rollout(name); ro.Name != "" {
				m.must(m.User.Delete(m.ctx, ro))
			}
		case "disabled":
			m.patch(name, `{"spec":{"disabled":true}}`)
		default:
			m.patch(name, annotation(""))
			m.patch(name, `{"spec":{"disabled":false,"strategy":{"paused":false}}}`)
			if way == "rolled back" {
				m.image(name, m.back(name))
			}
		}
	}
	for range 16 {
		m.tolerate(m.Pass(m.ctx, 30*time.Second))
		if m.left() == "" {
			break
		}
		for _, name := range shops {
			m.approve(name)
		}
	}
	if left := m.left(); left != "" {
		text := ""
		for _, name := range shops {
			ro := m.rollout(name)
			text += fmt.Sprintf("\n%s %s: %s %+v: %s", name, ways[name], ro.Status.Phase, progress(ro), ro.Status.Message)
		}
		m.t.Fatalf("%s%s", left, text)
	}
}

// eject takes the product out of the cluster, as "manager eject" does.
func (m *mall) eject() {
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	e := controller.Ejection{Client: m.User, Clock: &passing{mall: m, giveUp: cancel}, Say: func(string, ...any) {}}
	if err := e.Disable(ctx); err != nil {
		m.t.Fatal(err)
	}
	m.Frozen = true
	m.must(e.Forget(m.ctx))
	if left := m.left(); left != "" {
		m.t.Fatalf("ejected: %s", left)
	}
	for _, name := range shops {
		if ro := m.rollout(name); len(ro.Finalizers) > 0 {
			m.t.Fatalf("ejected: Rollout %s has finalizers %v", name, ro.Finalizers)
		}
	}
}

// passing is the clock of somebody who waits in the world of a mall, for ten minutes.
type passing struct {
	clock.RealClock
	*mall
	waited time.Duration
	giveUp func()
}

func (p *passing) After(d time.Duration) <-chan time.Time {
	p.tolerate(p.Pass(p.ctx, d))
	if p.waited += d; p.waited > 10*time.Minute {
		p.giveUp()
	}
	c := make(chan time.Time, 1)
	c <- p.Clock.Now()
	return c
}

// back is the version that a release started from; "": there is no release to go back from.
func (m *mall) back(name string) string {
	ro := m.rollout(name)
	sets := &appsv1.ReplicaSetList{}
	m.must(m.List(m.ctx, sets))
	for i := range sets.Items {
		if stable := progress(ro).StableRevision; stable != "" && ro.Status.Phase == v1beta1.PhaseProgressing && sets.Items[i].Labels["app"] == name &&
			sets.Items[i].Labels[appsv1.DefaultDeploymentUniqueLabelKey] == stable {
			return strings.TrimPrefix(sets.Items[i].Spec.Template.Spec.Containers[0].Image, image(""))
		}
	}
	return ""
}

// left says what is not as its user wrote it; "": nothing.
func (m *mall) left() string {
	for key, wish := range m.wishes {
		live := m.live(key)
		if live == nil {
			return key + " is gone"
		}
		for _, u := range []*unstructured.Unstructured{live, wish} {
			labels := u.GetLabels()
			delete(labels, v1beta1.LabelWorkloadType) // it stays for as long as there is a Rollout
			u.SetLabels(labels)
		}
		annotations := live.GetAnnotations()
		delete(annotations, "deployment.kubernetes.io/revision")
		live.SetAnnotations(annotations)
		for _, part := range [][]string{{"spec"}, {"metadata", "labels"}, {"metadata", "annotations"}} {
			have, _, _ := unstructured.NestedFieldNoCopy(live.Object, part...)
			want, _, _ := unstructured.NestedFieldNoCopy(wish.Object, part...)
			if a, b := encode(have), encode(want); a != b && (a != "{}" || b != "null") && (a != "null" || b != "{}") {
				return fmt.Sprintf("%s has %s\n%s, its user wrote\n%s", key, strings.Join(part, "."), a, b)
			}
		}
	}
	for _, list := range []client.ObjectList{&corev1.ServiceList{}, &networkingv1.IngressList{}, &appsv1.DeploymentList{}, &v1beta1.BatchReleaseList{}} {
		m.must(m.List(m.ctx, list))
		for _, name := range namesIn(list) {
			if strings.HasSuffix(name, "-canary") || strings.Contains(fmt.Sprintf("%T", list), "BatchRelease") || !slices.Contains(append([]string{"apps"}, shops...), name) {
				return fmt.Sprintf("%s is left in %T", name, list)
			}
		}
	}
	for _, name := range shops {
		switch ro := m.rollout(name); ro.Status.Phase {
		case "", v1beta1.PhaseHealthy, v1beta1.PhaseDisabled:
		default:
			return fmt.Sprintf("Rollout %s is %s", name, ro.Status.Phase)
		}
	}
	return ""
}

func namesIn(list client.ObjectList) []string {
	var names []string
	switch l := list.(type) {
	case *corev1.ServiceList:
		for i := range l.Items {
			names = append(names, l.Items[i].Name)
		}
	case *networkingv1.IngressList:
		for i := range l.Items {
			names = append(names, l.Items[i].Name)
		}
	case *appsv1.DeploymentList:
		for i := range l.Items {
			names = append(names, l.Items[i].Name)
		}
	case *v1beta1.BatchReleaseList:
		for i := range l.Items {
			names = append(names, l.Items[i].Name)
		}
	}
	return names
}
