// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
)

// Stage is where a story is played.
type Stage interface {
	// Client acts as the user, and reads what is stored.
	Client() client.Client
	// Namespace is where the story happens.
	Namespace() string
	// Until lets things happen until done; an error: it is not done within the limit.
	Until(ctx context.Context, limit time.Duration, done func() bool) error
	// Pass lets time pass.
	Pass(ctx context.Context, d time.Duration) error
	// Do does what is done to the stage itself: restart, stop, start, lose admission, mend admission.
	Do(ctx context.Context, what string) error
	// Playing is called before a step.
	Playing(step Step)
}

// Noter is a stage that writes down what a story finds.
type Noter interface{ Note(line string) }

// Play is a story being played.
type Play struct {
	*Story
	stage Stage
	given
	wish *appsv1.Deployment // as the user wants it; nil: not at all
	lost map[string]bool    // objects of the routes that the user has deleted, by their files
}

// Start puts up what is given.
func Start(ctx context.Context, stage Stage, story *Story, dir string) (*Play, error) {
	p := &Play{Story: story, stage: stage, lost: map[string]bool{}}
	var err error
	if p.given, err = story.given(dir); err != nil {
		return nil, err
	}
	if p.deployment != nil {
		if err := p.create(ctx, p.deployment); err != nil {
			return nil, err
		}
		p.wish = p.deployment.DeepCopy()
	}
	for _, route := range p.routes {
		if err := p.create(ctx, route); err != nil {
			return nil, err
		}
	}
	if p.rollout != nil {
		err = p.create(ctx, p.rollout)
	}
	return p, err
}

// Run plays all steps, and says where the story went wrong.
func (p *Play) Run(ctx context.Context) error {
	for i, step := range p.Steps {
		p.stage.Playing(step)
		if err := p.step(ctx, step); err != nil {
			return fmt.Errorf("step %d, %s: %w", i+1, step, err)
		}
	}
	return nil
}

func (p *Play) step(ctx context.Context, s Step) error {
	switch {
	case s.Image != "":
		return p.edit(ctx, "deployment", fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":%q}]}}}}`, s.Image))
	case s.Env != "":
		name, value, _ := strings.Cut(s.Env, "=")
		image := p.wish.Spec.Template.Spec.Containers[0].Image
		return p.edit(ctx, "deployment", fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":%q,"env":[{"name":%q,"value":%q}]}]}}}}`, image, name, value))
	case s.Scale != nil:
		return p.edit(ctx, "deployment", fmt.Sprintf(`{"spec":{"replicas":%d}}`, *s.Scale))
	case s.Approve != "":
		return p.approve(ctx, s.Approve)
	case s.Jump != nil:
		return p.edit(ctx, "status", p.ofStyle(fmt.Sprintf(`{"nextStepIndex":%d}`, *s.Jump)))
	case s.Plan != nil:
		return p.plan(ctx, s.Plan)
	case s.Patch != nil:
		for what, patch := range s.Patch {
			if err := p.edit(ctx, what, string(patch)); err != nil {
				return err
			}
		}
		return nil
	case s.Delete != "":
		return p.remove(ctx, s.Delete)
	case s.Create != nil:
		return p.createForeign(ctx, s.Create)
	case s.Apply != "":
		return p.apply(ctx, s.Apply)
	case s.Pass != "":
		d, err := time.ParseDuration(s.Pass)
		if err != nil {
			return fmt.Errorf("how long is that: %w", err)
		}
		return p.stage.Pass(ctx, d)
	case s.Until != nil:
		return p.until(ctx, s.Until)
	}
	if what, ok := strings.CutPrefix(s.Do, "approve by annotation"); ok {
		return p.annotateApproval(ctx, strings.TrimSpace(what))
	}
	switch s.Do {
	case "pause", "resume":
		return p.edit(ctx, "rollout", fmt.Sprintf(`{"spec":{"strategy":{"paused":%v}}}`, s.Do == "pause"))
	case "disable", "enable":
		return p.edit(ctx, "rollout", fmt.Sprintf(`{"spec":{"disabled":%v}}`, s.Do == "disable"))
	case "abort":
		ro := &v1beta1.Rollout{}
		if err := p.stage.Client().Get(ctx, client.ObjectKey{Namespace: p.stage.Namespace(), Name: "web"}, ro); err != nil {
			return err
		}
		return p.edit(ctx, "rollout", fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1beta1.AnnotationAbort, ro.Status.Revision()))
	case "skip the analysis":
		ro := &v1beta1.Rollout{}
		if err := p.stage.Client().Get(ctx, client.ObjectKey{Namespace: p.stage.Namespace(), Name: "web"}, ro); err != nil {
			return err
		}
		value := v1beta1.SkipValue(ro.Status.Revision(), ro.Status.CurrentStepIndex)
		return p.edit(ctx, "rollout", fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1beta1.AnnotationSkipAnalysis, value))
	case "lift the abort":
		return p.edit(ctx, "rollout", fmt.Sprintf(`{"metadata":{"annotations":{%q:null}}}`, v1beta1.AnnotationAbort))
	default:
		return p.stage.Do(ctx, s.Do)
	}
}

// annotateApproval approves by the annotation: the step that the release is in, or what a story says, such as v9/3.
func (p *Play) annotateApproval(ctx context.Context, value string) error {
	ro := &v1beta1.Rollout{}
	if err := p.stage.Client().Get(ctx, client.ObjectKey{Namespace: p.stage.Namespace(), Name: "web"}, ro); err != nil {
		return err
	}
	revision, step := ro.Status.Revision(), ro.Status.CurrentStepIndex
	if hooks := ro.Status.Webhooks; len(hooks) > 0 {
		revision = hooks[len(hooks)-1].Revision
	}
	if after, ok := strings.CutPrefix(value, "of step "); ok {
		if _, err := fmt.Sscan(after, &step); err != nil {
			return fmt.Errorf("which step is %q: %w", after, err)
		}
		value = ""
	}
	return p.edit(ctx, "rollout", fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1beta1.AnnotationApprove, cmp.Or(value, v1beta1.SkipValue(revision, step))))
}

// object is an object of the story by its name in the file.
func (p *Play) object(what string) (client.Object, error) {
	var o client.Object
	switch what {
	case "deployment":
		o = &appsv1.Deployment{}
	case "rollout", "status":
		o = &v1beta1.Rollout{}
	case "batchrelease":
		o = &v1beta1.BatchRelease{}
	default:
		route, err := p.route(what)
		if err != nil {
			return nil, err
		}
		route.SetNamespace(p.stage.Namespace())
		return route, nil
	}
	o.SetNamespace(p.stage.Namespace())
	o.SetName("web")
	return o, nil
}

// edit merges a patch into an object, and into what the user wishes.
func (p *Play) edit(ctx context.Context, what, patch string) error {
	o, err := p.object(what)
	if err != nil {
		return err
	}
	if what == "deployment" {
		if err := p.wishFor(patch); err != nil {
			return err
		}
	}
	merge := client.RawPatch(types.MergePatchType, []byte(patch))
	if what == "status" {
		return p.stage.Client().Status().Patch(ctx, o, merge)
	}
	return p.stage.Client().Patch(ctx, o, merge)
}

func (p *Play) wishFor(patch string) error {
	raw, err := json.Marshal(p.wish)
	if err != nil {
		return fmt.Errorf("wishing: %w", err)
	}
	if raw, err = jsonpatch.MergePatch(raw, []byte(patch)); err != nil {
		return fmt.Errorf("wishing: %w", err)
	}
	p.wish = &appsv1.Deployment{}
	return json.Unmarshal(raw, p.wish)
}

// ofStyle is a patch of the part of the status that is the style's.
func (p *Play) ofStyle(patch string) string {
	if p.rollout.Spec.Strategy.BlueGreen != nil {
		return `{"status":{"blueGreenStatus":` + patch + `}}`
	}
	return `{"status":{"canaryStatus":` + patch + `}}`
}

// approve says that the release may go on, in the words of either version.
func (p *Play) approve(ctx context.Context, version string) error {
	patch := p.ofStyle(`{"currentStepState":"StepReady"}`)
	switch version {
	case "v1beta1":
		return p.edit(ctx, "status", patch)
	case "v1alpha1":
		old := &v1alpha1.Rollout{}
		old.Namespace, old.Name = p.stage.Namespace(), "web"
		err := p.stage.Client().Status().Patch(ctx, old, client.RawPatch(types.MergePatchType, []byte(patch)))
		if !apierrors.IsNotFound(err) {
			return err
		}
		return p.approveConverted(ctx) // a world without conversion
	default:
		return fmt.Errorf("what is %q", version)
	}
}

// approveConverted does by itself what the API server does for a client of v1alpha1 that updates a status.
func (p *Play) approveConverted(ctx context.Context) error {
	hub, old := &v1beta1.Rollout{}, &v1alpha1.Rollout{}
	if err := p.stage.Client().Get(ctx, client.ObjectKey{Namespace: p.stage.Namespace(), Name: "web"}, hub); err != nil {
		return err
	}
	if err := old.ConvertFrom(hub); err != nil {
		return fmt.Errorf("converting: %w", err)
	}
	if old.Status.CanaryStatus == nil {
		return errors.New("there is no canaryStatus in v1alpha1")
	}
	old.Status.CanaryStatus.CurrentStepState = v1beta1.StepReady
	back := &v1beta1.Rollout{}
	if err := old.ConvertTo(back); err != nil {
		return fmt.Errorf("converting back: %w", err)
	}
	return p.stage.Client().Status().Update(ctx, back)
}

func (p *Play) plan(ctx context.Context, sizes []any) error {
	steps := make([]map[string]any, len(sizes))
	for i, size := range sizes {
		steps[i] = map[string]any{"replicas": size, "pause": map[string]any{}}
	}
	raw, err := json.Marshal(map[string]any{"spec": map[string]any{"strategy": map[string]any{"canary": map[string]any{"steps": steps}}}})
	if err != nil {
		return fmt.Errorf("writing a plan: %w", err)
	}
	return p.edit(ctx, "rollout", string(raw))
}

func (p *Play) remove(ctx context.Context, what string) error {
	switch what {
	case "canary":
		return p.removeCanaries(ctx)
	case "canary-service":
		return p.stage.Client().Delete(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: p.stage.Namespace(), Name: "web-canary"}})
	}
	o, err := p.object(what)
	if err != nil {
		return err
	}
	if what == "deployment" {
		p.wish = nil
	}
	p.lost[what] = true
	return p.stage.Client().Delete(ctx, o, client.PropagationPolicy("Background"))
}

// removeCanaries deletes canary Deployments as kubectl does.
func (p *Play) removeCanaries(ctx context.Context) error {
	sight, err := See(ctx, p.stage.Client(), p.stage.Namespace())
	if err != nil {
		return err
	}
	if len(sight.Canaries) == 0 {
		return errors.New("there is none")
	}
	for i := range sight.Canaries {
		if err := p.stage.Client().Delete(ctx, &sight.Canaries[i], client.PropagationPolicy("Background")); err != nil {
			return err
		}
	}
	return nil
}

// apply creates an object as given, or writes the Deployment as it is in Git over what is there.
func (p *Play) apply(ctx context.Context, what string) error {
	switch what {
	case "rollout":
		return p.create(ctx, p.rollout)
	case "batchrelease":
		return p.create(ctx, p.release)
	case "deployment":
		if p.wish == nil {
			p.wish = p.deployment.DeepCopy()
			return p.create(ctx, p.deployment)
		}
		stored := &appsv1.Deployment{}
		if err := p.stage.Client().Get(ctx, client.ObjectKey{Namespace: p.stage.Namespace(), Name: "web"}, stored); err != nil {
			return err
		}
		stored.Spec = *p.wish.Spec.DeepCopy()
		stored.ResourceVersion = "" // as tools do that own it
		return p.stage.Client().Update(ctx, stored)
	default:
		route, err := p.route(what)
		if err != nil {
			return err
		}
		p.lost[what] = false
		return p.create(ctx, route)
	}
}

func (p *Play) create(ctx context.Context, o client.Object) error {
	o, _ = o.DeepCopyObject().(client.Object)
	o.SetNamespace(p.stage.Namespace())
	return p.stage.Client().Create(ctx, o)
}

// createForeign creates an object that is none of the story's own.
func (p *Play) createForeign(ctx context.Context, raw []byte) error {
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(raw, &u.Object); err != nil {
		return fmt.Errorf("reading what to create: %w", err)
	}
	typed, err := p.stage.Client().Scheme().New(u.GroupVersionKind())
	if err != nil {
		return p.create(ctx, u)
	}
	o, _ := typed.(client.Object)
	if err := json.Unmarshal(raw, o); err != nil {
		return fmt.Errorf("reading what to create: %w", err)
	}
	return p.create(ctx, o)
}

// GivenBack says how the Deployment's spec and what routes requests to it differ from what their user wants; "": they do
// not.
func (p *Play) GivenBack(ctx context.Context) (string, error) {
	if p.Unfinished {
		return "", nil
	}
	if difference, err := p.routesGivenBack(ctx); difference != "" || err != nil || p.wish == nil {
		return difference, err
	}
	sight, err := See(ctx, p.stage.Client(), p.stage.Namespace())
	if err != nil || sight.Deployment == nil {
		return "", fmt.Errorf("reading the Deployment: %w", err)
	}
	if n := len(sight.Canaries); n > 0 {
		return fmt.Sprintf("%d canary Deployments are left", n), nil
	}
	stored := sight.Deployment
	// What the API server fills in is compared with itself.
	wish := p.wish.DeepCopy()
	want, have := &wish.Spec, &stored.Spec
	if want.Replicas == nil {
		want.Replicas = have.Replicas
	}
	if want.ProgressDeadlineSeconds == nil && *have.ProgressDeadlineSeconds == 600 {
		want.ProgressDeadlineSeconds = have.ProgressDeadlineSeconds
	}
	if want.RevisionHistoryLimit == nil {
		want.RevisionHistoryLimit = have.RevisionHistoryLimit
	}
	if want.Strategy.Type == "" {
		want.Strategy.Type = appsv1.RollingUpdateDeploymentStrategyType
	}
	if want.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		quarter := intstr.FromString("25%")
		r := ptr.Deref(want.Strategy.RollingUpdate, appsv1.RollingUpdateDeployment{})
		r.MaxSurge, r.MaxUnavailable = cmp.Or(r.MaxSurge, &quarter), cmp.Or(r.MaxUnavailable, &quarter)
		want.Strategy.RollingUpdate = &r
	}
	want.Template = have.Template
	if !equality.Semantic.DeepEqual(want, have) {
		return fmt.Sprintf("the Deployment's spec is\n%+v, want\n%+v", have, want), nil
	}
	for key := range stored.Annotations {
		if strings.Contains(key, "kruise.io") {
			return fmt.Sprintf("the Deployment still has the annotation %s", key), nil
		}
	}
	if stored.Labels[v1beta1.LabelStableRevision] != "" {
		return "the Deployment still has a stable revision", nil
	}
	return "", nil
}
