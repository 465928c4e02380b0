// SPDX-License-Identifier: Apache-2.0

// Package properties plays releases that no one has thought of, and checks what must hold in all of them. A failure names
// the seed to play it again with: go test ./test/properties -rapid.seed=N.
package properties

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/sim/world"
	"kruise.io/rollouts/test/scenario"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	runs, seed := "20", "20261127" // the same ones every time: a red build speaks of the change, and not of the dice
	if os.Getenv("SOAK") != "" {
		runs, seed = "2000", "0" // others every time
	}
	_ = flag.Set("rapid.checks", runs)
	_ = flag.Set("rapid.seed", seed)
	flag.Parse()
	os.Exit(m.Run())
}

// model is a release in a world, and what is known of what the user asked for.
type model struct {
	*world.World
	ctx     context.Context
	user    *appsv1.Deployment // as the user wants it, but for the template
	steps   []int32            // sizes
	trouble string             // the first thing that went wrong in a write

	scaled  bool // the number of pods or the limits were changed in this release: old promises are void
	broken  bool // pods of this release cannot get ready
	allowed int32
	current string // image the user wants
	stable  string // image the release started from
	routes  routed
	measured
}

// TestRelease acts on a release in every order: controllers, kubelets, clocks, users and faults.
func TestRelease(t *testing.T) {
	t.Parallel()
	for _, style := range []v1beta1.RollingStyleType{v1beta1.PartitionRollingStyle, v1beta1.CanaryRollingStyle, v1beta1.BlueGreenRollingStyle} {
		for with, routes := range map[string]bool{"": false, " with requests": true} {
			t.Run(strings.ToLower(string(style))+with, func(t *testing.T) {
				t.Parallel()
				release(t, style, routes)
			})
		}
	}
}

func release(t *testing.T, style v1beta1.RollingStyleType, routes bool) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t, style, routes)
		t.Repeat(map[string]func(*rapid.T){
			"":                   m.check,
			"rollout looks":      func(t *rapid.T) { m.tolerate(t, m.ReconcileRollout(m.ctx, "web")) },
			"batchrelease looks": func(t *rapid.T) { m.tolerate(t, m.ReconcileRelease(m.ctx, "web")) },
			"deployment syncs":   m.syncDeployment,
			"replicasets sync":   m.syncSets,
			"kubelets look":      func(t *rapid.T) { _, err := m.Cluster.RunPods(m.ctx); m.must(t, err) },
			"everything looks":   func(t *rapid.T) { _, err := m.Round(m.ctx); m.tolerate(t, err) },
			"everything settles": func(t *rapid.T) { m.Fault = world.Fault{}; _, err := m.Settle(m.ctx); m.tolerate(t, err) },
			"time passes": func(t *rapid.T) {
				m.Clock.SetTime(m.Clock.Now().Add(time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond))
			},
			"manager restarts":      func(*rapid.T) { m.Restart() },
			"cluster acts sooner":   func(*rapid.T) { m.Quick = !m.Quick },
			"cluster acts later":    func(t *rapid.T) { m.Passes = rapid.IntRange(1, 3).Draw(t, "passes") },
			"a write fails":         m.fail,
			"user sets an image":    m.setImage,
			"user approves":         m.approve,
			"user jumps":            m.jump,
			"user scales":           m.scale,
			"user pauses":           func(t *rapid.T) { m.edit(t, rapid.Bool().Draw(t, "paused"), "strategy", "paused") },
			"user disables":         func(t *rapid.T) { m.edit(t, rapid.IntRange(0, 3).Draw(t, "disabled") == 0, "disabled") },
			"user aborts":           m.abort,
			"user lifts the abort":  func(t *rapid.T) { m.annotate(t, "") },
			"user deletes release":  func(t *rapid.T) { m.gone(t, m.User.Delete(m.ctx, named(&v1beta1.BatchRelease{}))) },
			"user deletes canary":   m.deleteCanary,
			"git is applied":        m.reapply,
			"user edits the plan":   m.replan,
			"services sync":         func(t *rapid.T) { m.must(t, m.Cluster.SyncServices(m.ctx)) },
			"route is written over": m.drift,
			"metrics change":        m.metricsChange,
			"template is edited":    m.editTemplate,
			"analysis is skipped":   m.skipAnalysis,
			"webhooks change":       m.webhooksChange,
			"annotation approves":   m.approveByAnnotation,
			"pods crash": func(t *rapid.T) {
				m.PodTrouble = rapid.SampledFrom([]string{"", "", "pod web-1, container main: CrashLoopBackOff"}).Draw(t, "trouble")
			},
		})
		m.end(t)
	})
}

func named[T client.Object](o T) T {
	o.SetNamespace(world.Namespace)
	o.SetName("web")
	return o
}

func image(version string) string { return "example/web:" + version }

func newModel(t *rapid.T, style v1beta1.RollingStyleType, routes bool) *model {
	ctx := t.Context()
	w, err := world.New(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m := &model{World: w, ctx: ctx, current: "v1", stable: "v1"}
	w.Watch = m.watch
	replicas := rapid.Int32Range(1, 6).Draw(t, "replicas")
	m.user = named(&appsv1.Deployment{})
	m.user.Spec = appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		MinReadySeconds: rapid.SampledFrom([]int32{0, 0, 2}).Draw(t, "minReadySeconds"),
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}, Annotations: map[string]string{}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image("v1")}}},
		},
	}
	if d := rapid.SampledFrom([]string{"", "", "1s", "3s"}).Draw(t, "ready after"); d != "" {
		m.user.Spec.Template.Annotations["sandbox.kruise.io/ready-after"] = d
	}
	surge, unavailable := rapid.Int32Range(0, 3).Draw(t, "surge"), rapid.Int32Range(0, 3).Draw(t, "unavailable")
	if surge+unavailable == 0 {
		unavailable = 1
	}
	m.user.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
		MaxSurge: new(intstr.FromInt32(surge)), MaxUnavailable: new(intstr.FromInt32(unavailable)),
	}}
	if rapid.IntRange(0, 7).Draw(t, "recreate") == 0 {
		m.user.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	}
	m.steps = drawSteps(t, replicas, rapid.IntRange(1, 4).Draw(t, "steps"))
	m.must(t, w.User.Create(ctx, m.user.DeepCopy()))
	ro := named(&v1beta1.Rollout{})
	ro.Spec = v1beta1.RolloutSpec{
		WorkloadRef: v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
	}
	beside := style == v1beta1.CanaryRollingStyle
	if style == v1beta1.BlueGreenRollingStyle {
		ro.Spec.Strategy.BlueGreen = &v1beta1.BlueGreenStrategy{Steps: stepsOf(m.steps)}
	} else {
		ro.Spec.Strategy.Canary = &v1beta1.CanaryStrategy{Steps: stepsOf(m.steps), EnableExtraWorkloadForCanary: beside}
	}
	if beside && rapid.Bool().Draw(t, "metadata") {
		ro.Spec.Strategy.Canary.PatchPodTemplateMetadata = &v1beta1.PatchPodTemplateMetadata{Labels: map[string]string{"track": "canary"}}
	}
	if routes {
		m.lead(t, ro)
	}
	m.measure(t, ro)
	m.must(t, w.User.Create(ctx, ro))
	m.must(t, w.Until(ctx, time.Minute, func() bool {
		return m.rollout().Status.Phase == v1beta1.PhaseHealthy && m.deployment().Status.AvailableReplicas == replicas
	}))
	m.must(t, w.Pass(ctx, 10*time.Second))
	return m
}

func drawSteps(t *rapid.T, replicas int32, n int) []int32 {
	sizes := make([]int32, n)
	last := int32(1)
	for i := range sizes {
		last = rapid.Int32Range(last, max(last, replicas)).Draw(t, fmt.Sprintf("step %d", i+1))
		sizes[i] = last
	}
	return sizes
}

func stepsOf(sizes []int32) []v1beta1.CanaryStep {
	steps := make([]v1beta1.CanaryStep, len(sizes))
	for i, size := range sizes {
		steps[i].Replicas = new(intstr.FromInt32(size))
		if i%2 == 1 {
			steps[i].Pause.Duration = new(int32(i - 1))
		}
	}
	return steps
}

func (m *model) rollout() *v1beta1.Rollout {
	ro := &v1beta1.Rollout{}
	m.Get(m.ctx, "web", ro)
	return ro
}

// progress is the part of the status that all styles share.
func progress(ro *v1beta1.Rollout) v1beta1.CommonStatus {
	switch s := ro.Status; {
	case s.BlueGreenStatus != nil:
		return s.BlueGreenStatus.CommonStatus
	case s.CanaryStatus != nil:
		return s.CanaryStatus.CommonStatus
	default:
		return v1beta1.CommonStatus{}
	}
}

// part is what clients write of the status.
func part(ro *v1beta1.Rollout) string {
	if ro.Spec.Strategy.BlueGreen != nil {
		return "blueGreenStatus"
	}
	return "canaryStatus"
}

func stepsIn(ro *v1beta1.Rollout) *[]v1beta1.CanaryStep {
	if b := ro.Spec.Strategy.BlueGreen; b != nil {
		return &b.Steps
	}
	return &ro.Spec.Strategy.Canary.Steps
}

// abort takes the release back that there is.
func (m *model) abort(t *rapid.T) {
	switch ro := m.rollout(); {
	case ro.Status.Phase != v1beta1.PhaseProgressing:
	case ro.Status.BlueGreenStatus != nil:
		m.annotate(t, ro.Status.BlueGreenStatus.UpdatedRevision)
	default:
		m.annotate(t, ro.Status.CanaryStatus.CanaryRevision)
	}
}

func (m *model) annotate(t *rapid.T, revision string) {
	m.patch(t, named(&v1beta1.Rollout{}), fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1beta1.AnnotationAbort, revision))
}

func (m *model) deployment() *appsv1.Deployment {
	d := &appsv1.Deployment{}
	m.Get(m.ctx, "web", d)
	return d
}

// watch checks every write at the moment it happens.
func (m *model) watch(w world.Write) {
	problem := m.Trespass(w)
	if problem == "" {
		problem = m.checkRouting(w)
	}
	if before, ok := w.Before.(*v1beta1.Rollout); ok && w.Who == controller.FieldManager && problem == "" {
		problem = m.lostApproval(before, w)
		if after, ok := w.After.(*v1beta1.Rollout); ok && problem == "" {
			problem = m.unmeasured(before, after)
			if problem == "" {
				problem = m.unallowed(before, after)
			}
			if problem == "" && !equality.Semantic.DeepEqual(before.Status, after.Status) {
				problem = scenario.Unexplained(after, m.Clock.Now())
			}
		}
	}
	if problem != "" && m.trouble == "" {
		m.trouble = problem
	}
}

// lostApproval: the step that a user has just approved must not be waited at again.
func (m *model) lostApproval(before *v1beta1.Rollout, w world.Write) string {
	after, ok := w.After.(*v1beta1.Rollout)
	if !ok {
		return ""
	}
	b, a := progress(before), progress(after)
	undone := b.CurrentStepState == v1beta1.StepReady && a.CurrentStepState == v1beta1.StepPaused &&
		b.CurrentStepIndex == a.CurrentStepIndex && b.PodTemplateHash == a.PodTemplateHash && b.RolloutHash == a.RolloutHash &&
		before.Status.Phase == v1beta1.PhaseProgressing
	if undone {
		return fmt.Sprintf("an approval of step %d was undone", b.CurrentStepIndex)
	}
	return ""
}

func (m *model) must(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gone forgives that an object is not there.
func (m *model) gone(t *rapid.T, err error) { m.must(t, client.IgnoreNotFound(err)) }

// tolerate forgives writes that fail as planned.
func (m *model) tolerate(t *rapid.T, err error) {
	t.Helper()
	if err != nil && !strings.Contains(err.Error(), "the connection was lost") {
		t.Fatal(err)
	}
}

func (m *model) syncDeployment(t *rapid.T) {
	m.must(t, m.Cluster.SyncDeployment(m.ctx, m.deployment()))
}

func (m *model) syncSets(t *rapid.T) {
	list := &appsv1.ReplicaSetList{}
	m.must(t, m.List(m.ctx, list))
	for i := range list.Items {
		_, err := m.Cluster.SyncReplicaSet(m.ctx, &list.Items[i])
		m.must(t, err)
	}
}

func (m *model) fail(t *rapid.T) {
	m.Fault = world.Fault{Write: m.WritesOfManager() + rapid.IntRange(1, 3).Draw(t, "in"), Arrived: rapid.Bool().Draw(t, "arrived")}
}

func (m *model) patch(t *rapid.T, o client.Object, patch string) {
	t.Helper()
	m.must(t, m.User.Patch(m.ctx, o, client.RawPatch(types.MergePatchType, []byte(patch))))
}

func (m *model) status(t *rapid.T, patch string) {
	t.Helper()
	m.must(t, m.User.Status().Patch(m.ctx, named(&v1beta1.Rollout{}), client.RawPatch(types.MergePatchType, []byte(patch))))
}

func (m *model) setImage(t *rapid.T) {
	version := rapid.SampledFrom([]string{"v1", "v2", "v3", "broken"}).Draw(t, "version")
	if version == "broken" {
		m.broken = true
	}
	if version != m.current {
		// What is left of other releases, and of rolling updates while the Rollout was disabled, counts for this one.
		d := m.deployment()
		m.scaled = m.scaled || d.Annotations[v1beta1.AnnotationInProgressing] != "" || m.asked(d, image(version)) > 0
		m.allowed = 0
	}
	m.current = version
	m.user.Spec.Template.Spec.Containers[0].Image = image(version)
	m.patch(t, named(&appsv1.Deployment{}), fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":%q}]}}}}`, image(version)))
}

func (m *model) approve(t *rapid.T) {
	ro := m.rollout()
	state := progress(ro).CurrentStepState
	if state == v1beta1.StepPaused || state == v1beta1.StepMetricsAnalysis && ro.Status.AsksAboutAnalysis() {
		m.status(t, fmt.Sprintf(`{"status":{%q:{"currentStepState":"StepReady"}}}`, part(ro)))
	}
}

func (m *model) jump(t *rapid.T) {
	if ro := m.rollout(); ro.Status.Phase == v1beta1.PhaseProgressing {
		m.status(t, fmt.Sprintf(`{"status":{%q:{"nextStepIndex":%d}}}`, part(ro), rapid.IntRange(1, len(m.steps)).Draw(t, "to")))
	}
}

func (m *model) scale(t *rapid.T) {
	replicas := rapid.Int32Range(1, 7).Draw(t, "replicas")
	m.scaled = m.scaled || replicas != *m.user.Spec.Replicas
	m.user.Spec.Replicas = &replicas
	m.patch(t, named(&appsv1.Deployment{}), fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas))
}

func (m *model) edit(t *rapid.T, value bool, path ...string) {
	patch := fmt.Sprint(value)
	for _, field := range slices.Backward(path) {
		patch = fmt.Sprintf(`{%q:%s}`, field, patch)
	}
	m.patch(t, named(&v1beta1.Rollout{}), `{"spec":`+patch+`}`)
}

func (m *model) reapply(t *rapid.T) {
	d := m.deployment()
	d.Spec = *m.user.Spec.DeepCopy()
	m.must(t, m.User.Update(m.ctx, d))
}

// replan keeps the number of steps, as v1beta1 wants it during a release.
func (m *model) replan(t *rapid.T) {
	sizes := drawSteps(t, *m.user.Spec.Replicas, len(m.steps))
	ro := m.rollout()
	steps := stepsOf(sizes)
	of := stepsIn(ro)
	for i, was := range *of {
		steps[i].TrafficRoutingStrategy, steps[i].Analysis, steps[i].Webhooks = was.TrafficRoutingStrategy, was.Analysis, was.Webhooks
	}
	*of = steps
	if err := m.User.Update(m.ctx, ro); err == nil {
		m.steps = sizes
	}
}

// check holds after every action.
func (m *model) check(t *rapid.T) {
	if m.trouble != "" {
		t.Fatal(m.trouble)
	}
	ro, d := m.rollout(), m.deployment()
	if ro.Status.Phase != "" && ro.Status.CanaryStatus == nil && ro.Status.BlueGreenStatus == nil {
		t.Fatal("the status of the style is missing")
	}
	m.checkBlast(t, ro, d)
	m.checkAvailable(t, d)
}

// checkBlast: never more new pods than the largest step asked for in this release.
func (m *model) checkBlast(t *rapid.T, ro *v1beta1.Rollout, d *appsv1.Deployment) {
	c := progress(ro)
	if ro.Status.Phase == v1beta1.PhaseProgressing {
		if i := c.CurrentStepIndex; i >= 1 && int(i) <= len(m.steps) {
			m.allowed = max(m.allowed, m.steps[i-1])
		}
	}
	if m.scaled || d.Annotations[v1beta1.AnnotationOriginalStrategy] == "" || ro.Status.Phase != v1beta1.PhaseProgressing || ro.Spec.Disabled {
		return
	}
	if c.CurrentStepState == v1beta1.StepCompleted || c.FinalisingStep != "" {
		return
	}
	updated := m.asked(d, image(m.current))
	for _, canary := range m.canaries() {
		updated += m.asked(&canary, image(m.current))
	}
	if updated > m.allowed {
		t.Fatalf("%d pods of %s where steps of %v have allowed %d", updated, m.current, m.steps, m.allowed)
	}
}

// canaries are the Deployments that stand next to the user's, and are there to stay.
func (m *model) canaries() []appsv1.Deployment {
	list := &appsv1.DeploymentList{}
	_ = m.List(m.ctx, list)
	return slices.DeleteFunc(list.Items, func(d appsv1.Deployment) bool {
		return d.Labels[v1beta1.LabelCanaryDeployment] == "" || d.DeletionTimestamp != nil
	})
}

func (m *model) deleteCanary(t *rapid.T) {
	for _, canary := range m.canaries() {
		m.gone(t, m.User.Delete(m.ctx, &canary))
	}
}

// asked is how many pods of an image the ReplicaSets of a Deployment ask for.
func (m *model) asked(d *appsv1.Deployment, image string) int32 {
	list := &appsv1.ReplicaSetList{}
	_ = m.List(m.ctx, list)
	n := int32(0)
	for i := range list.Items {
		if metav1.IsControlledBy(&list.Items[i], d) && list.Items[i].Spec.Template.Spec.Containers[0].Image == image {
			n += *list.Items[i].Spec.Replicas
		}
	}
	return n
}

// checkAvailable: never fewer ready pods than the user's limits allow, when nothing but the release takes any. Pods next to
// the user's Deployment do not make up for its own.
func (m *model) checkAvailable(t *rapid.T, d *appsv1.Deployment) {
	if m.scaled || m.broken || m.user.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return
	}
	list := &corev1.PodList{}
	m.must(t, m.List(m.ctx, list))
	own := m.ownSets(t, d)
	ready := int32(0)
	for i := range list.Items {
		if owner := metav1.GetControllerOf(&list.Items[i]); owner == nil || !own[owner.UID] {
			continue
		}
		for _, c := range list.Items[i].Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				ready++
			}
		}
	}
	replicas := *m.user.Spec.Replicas
	unavailable := m.user.Spec.Strategy.RollingUpdate.MaxUnavailable.IntVal
	if floor := replicas - unavailable; ready < floor {
		t.Fatalf("%d of %d pods are ready, where %d may be missing (%s)", ready, replicas, unavailable, d.Spec.Strategy.RollingUpdate)
	}
}

func (m *model) ownSets(t *rapid.T, d *appsv1.Deployment) map[types.UID]bool {
	list := &appsv1.ReplicaSetList{}
	m.must(t, m.List(m.ctx, list))
	own := map[types.UID]bool{}
	for i := range list.Items {
		if metav1.IsControlledBy(&list.Items[i], d) {
			own[list.Items[i].UID] = true
		}
	}
	return own
}

// scaleBack is what a user does where Kubernetes itself is stuck: a rolling update that no release has to do with, and that
// was scaled to the size of its only active ReplicaSet, never goes on (see unstuck in internal/workload).
func (m *model) scaleBack(t *rapid.T) {
	d := m.deployment()
	if d.Annotations[v1beta1.AnnotationInProgressing] != "" || d.Annotations[v1beta1.AnnotationOriginalStrategy] != "" ||
		m.asked(d, d.Spec.Template.Spec.Containers[0].Image) > 0 {
		return
	}
	for _, replicas := range []int32{*m.user.Spec.Replicas + 1, *m.user.Spec.Replicas} {
		m.patch(t, named(&appsv1.Deployment{}), fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas))
		m.must(t, m.Pass(m.ctx, time.Second))
	}
}

// end lets the release come to its end: approved by the user wherever it waits, with a version that works.
func (m *model) end(t *rapid.T) {
	m.Fault = world.Fault{}
	m.says, m.allows, m.PodTrouble = "good", "allowed", ""
	ctx := m.ctx
	if m.Get(ctx, "good", &v1beta1.AnalysisTemplate{}) {
		m.must(t, m.User.Delete(ctx, m.template()))
	}
	m.makeTemplate(t)
	m.edit(t, false, "strategy", "paused")
	m.edit(t, false, "disabled")
	m.annotate(t, "")
	if m.current == "broken" {
		m.current = "v4"
		m.user.Spec.Template.Spec.Containers[0].Image = image("v4")
		m.patch(t, named(&appsv1.Deployment{}), fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":%q}]}}}}`, image("v4")))
	}
	done := func() bool {
		ro, d := m.rollout(), m.deployment()
		return ro.Status.Phase == v1beta1.PhaseHealthy && d.Annotations[v1beta1.AnnotationInProgressing] == "" &&
			m.asked(d, image(m.current)) == *m.user.Spec.Replicas && d.Status.UpdatedReplicas == d.Status.Replicas && d.Status.AvailableReplicas == *m.user.Spec.Replicas
	}
	for range 12 {
		m.must(t, m.Pass(ctx, 30*time.Second))
		if done() {
			break
		}
		m.approve(t)
		m.scaleBack(t)
		m.annotate(t, "") // metrics of before may have aborted it
	}
	if !done() {
		ro := m.rollout()
		t.Fatalf("it does not end: %s %+v: %s, deployment %+v", ro.Status.Phase, progress(ro), ro.Status.Message, m.deployment().Spec.Strategy.RollingUpdate)
	}
	have, want := m.deployment().Spec.DeepCopy(), m.user.Spec.DeepCopy()
	want.ProgressDeadlineSeconds, want.RevisionHistoryLimit = new(int32(600)), new(int32(10))
	if !equality.Semantic.DeepEqual(have, want) {
		t.Fatalf("the user's spec is\n%+v, want\n%+v", have, want)
	}
	m.routesBack(t)
	left := &appsv1.DeploymentList{}
	m.must(t, m.List(ctx, left))
	if len(left.Items) != 1 {
		t.Fatalf("there are %d Deployments, where the user has one", len(left.Items))
	}
	before := len(m.Writes)
	m.Restart()
	_, err := m.Round(ctx)
	m.must(t, err)
	for _, w := range m.Writes[before:] {
		t.Fatalf("a settled world gets a write: %s", w)
	}
	m.gone(t, m.User.Delete(ctx, named(&v1beta1.Rollout{})))
	m.must(t, m.Pass(ctx, time.Minute))
	if m.Get(ctx, "web", &v1beta1.Rollout{}) {
		t.Fatal("a deleted Rollout does not go")
	}
	if m.trouble != "" {
		t.Fatal(m.trouble)
	}
}
