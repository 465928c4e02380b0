// SPDX-License-Identifier: Apache-2.0

package properties

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/sim/world"
)

// A policy is somebody who refuses a kind of write, or changes a field back within it.
type policy struct {
	kind  string
	verb  string // refused; "": none is
	field string // reverted, by its path; "": none is
}

// pipe separates the names of a path: it is in no key of an object.
const pipe = "|"

// TestPolicies plays a release against a policy that comes in the middle of it, or was there before, and goes after some
// minutes. Meanwhile the manager's writes stay few and the Rollout says what is refused; then the release ends as without it.
func TestPolicies(t *testing.T) {
	t.Parallel()
	for _, style := range []v1beta1.RollingStyleType{v1beta1.PartitionRollingStyle, v1beta1.CanaryRollingStyle, v1beta1.BlueGreenRollingStyle} {
		k := deployments(style)
		t.Run(strings.ToLower(string(style)), func(t *testing.T) {
			t.Parallel()
			all := k.policies(t)
			if len(all) < 20 {
				t.Fatalf("a release writes %v and no more", all)
			}
			rapid.Check(t, func(r *rapid.T) {
				p := rapid.SampledFrom(all).Draw(r, "policy")
				newPoliced(r.Context(), r, k).play(p, rapid.IntRange(1, 3).Draw(r, "from write"))
			})
		})
	}
}

// TestPoliciesOfKinds: the same for what is written of workloads of all other kinds, their pods and their BatchReleases.
func TestPoliciesOfKinds(t *testing.T) {
	t.Parallel()
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			played := 0
			for _, p := range k.policies(t) {
				if p.kind == k.name || p.kind == "Pod" || p.kind == "BatchRelease" {
					newPoliced(t.Context(), t, k).play(p, 1+played%2)
					played++
				}
			}
			if played < 8 {
				t.Fatalf("a release gives rise to %d policies", played)
			}
		})
	}
}

// deployments are released in a style.
func deployments(style v1beta1.RollingStyleType) kind {
	return kind{version: "apps/v1", name: "Deployment", canary: style == v1beta1.CanaryRollingStyle, blueGreen: style == v1beta1.BlueGreenRollingStyle}
}

// policies are what somebody could have against the writes of a release, in order.
func (k kind) policies(t *testing.T) []policy {
	choices := map[policy]bool{}
	plain := newPoliced(t.Context(), t, k)
	plain.Watch = func(w world.Write) { choose(w, choices) }
	plain.play(policy{}, 1)
	return slices.SortedFunc(maps.Keys(choices), func(a, b policy) int {
		return strings.Compare(a.kind+pipe+a.verb+pipe+a.field, b.kind+pipe+b.verb+pipe+b.field)
	})
}

// choose notes what a policy could have against a write of the manager.
func choose(w world.Write, choices map[policy]bool) {
	kind := kindOf(w)
	if w.Who != controller.FieldManager || strings.Contains(w.Verb, "status") || kind == "RolloutHistory" {
		return // a status is no user's business; what is not recorded stops no release
	}
	choices[policy{kind: kind, verb: w.Verb}] = true
	if w.Before != nil && w.After != nil {
		for _, field := range differing("", asMap(w.Before), asMap(w.After)) {
			choices[policy{kind: kind, field: field}] = true
		}
	}
}

func kindOf(w world.Write) string {
	o := w.After
	if o == nil {
		o = w.Before
	}
	if u, ok := o.(*unstructured.Unstructured); ok {
		return u.GetKind()
	}
	return reflect.TypeOf(o).Elem().Name()
}

func asMap(v any) map[string]any {
	m := map[string]any{}
	_ = json.Unmarshal([]byte(encode(v)), &m)
	return m
}

// differing are the paths at which two objects differ, lists as a whole, but for what is the API server's own.
func differing(path string, a, b map[string]any) []string {
	var paths []string
	keys := maps.Clone(a)
	maps.Copy(keys, b)
	for key := range keys {
		at := strings.TrimPrefix(path+pipe+key, pipe)
		if slices.Contains([]string{"status", "metadata|resourceVersion", "metadata|generation", "metadata|managedFields"}, at) {
			continue
		}
		x, ok1 := a[key].(map[string]any)
		y, ok2 := b[key].(map[string]any)
		switch {
		case ok1 && ok2:
			paths = append(paths, differing(at, x, y)...)
		case encode(a[key]) != encode(b[key]):
			paths = append(paths, at)
		}
	}
	return paths
}

// policed is a release in a world with a policy.
type policed struct {
	*world.World
	kind
	ctx    context.Context
	fatal  func(format string, args ...any)
	active bool
	hits   int // writes that the policy is about
	struck int // of those, refused or reverted
}

// fataler is what testing.T and rapid.T have in common.
type fataler interface {
	Fatalf(format string, args ...any)
}

func newPoliced(ctx context.Context, t fataler, k kind) *policed {
	w, err := world.New(ctx)
	p := &policed{World: w, kind: k, ctx: ctx, fatal: t.Fatalf}
	p.must(err)
	const pods = 5
	if k.name == "DaemonSet" {
		p.must(w.AddNodes(ctx, pods))
	}
	steps := []v1beta1.CanaryStep{{Replicas: new(intstr.Parse("20%"))}, {Replicas: new(intstr.Parse("60%"))}, {Replicas: new(intstr.Parse("100%"))}}
	ro := named(&v1beta1.Rollout{})
	ro.Spec.WorkloadRef = v1beta1.ObjectRef{APIVersion: k.version, Kind: k.name, Name: "web"}
	var routings []v1beta1.TrafficRoutingRef
	if k.name != "ReplicaSet" { // nothing distinguishes its pods' revisions
		steps[0].Traffic, steps[1].Traffic = new("10%"), new("50%")
		routings = []v1beta1.TrafficRoutingRef{{Service: "web", Gateway: &v1beta1.GatewayTrafficRouting{HTTPRouteName: new("web")}}}
	}
	if k.blueGreen {
		ro.Spec.Strategy.BlueGreen = &v1beta1.BlueGreenStrategy{Steps: steps, TrafficRoutings: routings}
	} else {
		ro.Spec.Strategy.Canary = &v1beta1.CanaryStrategy{Steps: steps, TrafficRoutings: routings, EnableExtraWorkloadForCanary: k.canary}
	}
	for _, o := range append(shop(pods)[1:], typed(k.workload(pods)), ro) {
		p.must(w.User.Create(ctx, o))
	}
	return p
}

func (p *policed) must(err error) {
	if err != nil {
		p.fatal("%v", err)
	}
}

func (p *policed) rollout() *v1beta1.Rollout {
	ro := &v1beta1.Rollout{}
	p.Get(p.ctx, "web", ro)
	return ro
}

// enforce puts a policy in force, from the nth write that it is about.
func (p *policed) enforce(by policy, from int) {
	strikes := func() bool {
		p.hits++
		if !p.active || p.hits < from {
			return false
		}
		p.struck++
		return true
	}
	p.Refuse = func(w world.Write) error {
		if by.verb == "" || kindOf(w) != by.kind || w.Verb != by.verb || !strikes() {
			return nil
		}
		return apierrors.NewForbidden(schema.GroupResource{Resource: strings.ToLower(by.kind)}, "web", errors.New("exceeded quota: few"))
	}
	p.Mutate = func(kind string, before, after map[string]any) {
		if by.field != "" && kind == by.kind && slices.Contains(differing("", before, after), by.field) && strikes() {
			revert(after, before, strings.Split(by.field, pipe))
		}
	}
	p.active = true
}

// revert takes a field over from another object.
func revert(into, from map[string]any, path []string) {
	for _, key := range path[:len(path)-1] {
		next, ok := into[key].(map[string]any)
		if !ok {
			return
		}
		into = next
		from, _ = from[key].(map[string]any)
	}
	key := path[len(path)-1]
	if value, ok := from[key]; ok {
		into[key] = value
	} else {
		delete(into, key)
	}
}

// play releases v2, approved wherever it waits.
func (p *policed) play(by policy, from int) {
	const (
		round = 30 * time.Second
		few   = 80 // writes in a round: a whole release has 62
	)
	p.enforce(by, from)
	started := false
	for i := range 40 {
		before := p.WritesOfManager()
		p.must(p.Pass(p.ctx, round))
		if n := p.WritesOfManager() - before; n > few {
			p.fatal("%+v: %d writes in %s: %s", by, n, round, p.rollout().Status.Message)
		}
		ro := p.rollout()
		if ro.Status.Phase == v1beta1.PhaseHealthy && !started {
			started = true
			p.must(p.User.Patch(p.ctx, p.object(), client.RawPatch("application/merge-patch+json",
				fmt.Appendf(nil, `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":%q}]}}}}`, image("v2")))))
			continue
		}
		if started && p.ended() {
			return
		}
		if i == 12 { // what it is stuck at it has to say
			p.told(by)
			p.active = false
		}
		if progress(ro).CurrentStepState == v1beta1.StepPaused && ro.Status.Phase == v1beta1.PhaseProgressing {
			p.must(p.User.Status().Patch(p.ctx, ro, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"status":{%q:{"currentStepState":"StepReady"}}}`, part(ro)))))
		}
	}
	ro := p.rollout()
	p.fatal("%+v: it does not end: %s %+v: %s", by, ro.Status.Phase, progress(ro), ro.Status.Message)
}

// told: where the policy has struck and the release does not go on, the Rollout names the object and what is wrong.
func (p *policed) told(by policy) {
	ro := p.rollout()
	if p.struck == 0 {
		return
	}
	for _, c := range ro.Status.Conditions {
		if c.Type == v1beta1.ConditionStalled && strings.Contains(c.Message, by.kind+" ") && strings.Contains(ro.Status.Message, c.Message) {
			return
		}
	}
	p.fatal("%+v has struck %d times, and the Rollout says %q and %v", by, p.struck, ro.Status.Message, ro.Status.Conditions)
}

// ended reports whether v2 is released and everything else is as its user wrote it.
func (p *policed) ended() bool {
	ro, u, route := p.rollout(), p.object(), httpRoute()
	p.Get(p.ctx, "web", u)
	p.Get(p.ctx, "web", route)
	pods := podsIn(p.ctx, p.World)
	return ro.Status.Phase == v1beta1.PhaseHealthy && progress(ro).CurrentStepState == v1beta1.StepCompleted &&
		u.GetAnnotations()[v1beta1.AnnotationInProgressing] == "" && len(pods) == 1 && pods["v2"] == 5 &&
		u.GetAnnotations()[v1beta1.AnnotationOriginalStrategy] == "" && !strings.Contains(encode(route.Object), "web-canary")
}
