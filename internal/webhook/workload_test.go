// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
)

// indexed collects indexes for a fake client.
type indexed struct{ *fake.ClientBuilder }

func reader(t testing.TB, objects ...client.Object) client.Client {
	t.Helper()
	builder := fake.NewClientBuilder().WithScheme(controller.Scheme()).WithObjects(objects...)
	if err := controller.Index(t.Context(), indexed{builder}); err != nil {
		t.Fatal(err)
	}
	return builder.Build()
}

func app(image string) *appsv1.Deployment {
	labels := map[string]string{"app": "web"}
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "web", Labels: map[string]string{v1beta1.LabelWorkloadType: "deployment"}},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(4)), Selector: &metav1.LabelSelector{MatchLabels: labels}, ProgressDeadlineSeconds: new(int32(600)),
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
				MaxSurge: new(intstr.FromString("25%")), MaxUnavailable: new(intstr.FromString("25%")),
			}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}},
			},
		},
	}
}

func set(d *appsv1.Deployment, hash string) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: d.Namespace, Name: d.Name + "-" + hash, UID: "set-" + d.UID, Labels: map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: hash},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{Replicas: d.Spec.Replicas, Template: d.Spec.Template},
	}
}

func managing(change func(*v1beta1.Rollout)) *v1beta1.Rollout {
	ro := &v1beta1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "shop", Finalizers: []string{v1beta1.FinalizerRollout}},
		Spec: v1beta1.RolloutSpec{
			WorkloadRef: v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			Strategy:    v1beta1.RolloutStrategy{Canary: &v1beta1.CanaryStrategy{Steps: []v1beta1.CanaryStep{{Replicas: new(intstr.FromInt32(1))}}}},
		},
	}
	if change != nil {
		change(ro)
	}
	return ro
}

func update(t testing.TB, old, edited runtime.Object, manager string) ctrladmission.Request {
	t.Helper()
	raw := func(o any) runtime.RawExtension {
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		return runtime.RawExtension{Raw: b}
	}
	return ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: "1", Namespace: "default", Name: "web", Operation: admissionv1.Update,
		Kind:   metav1.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"},
		Object: raw(edited), OldObject: raw(old), Options: raw(metav1.UpdateOptions{FieldManager: manager}),
	}}
}

// answer applies the patch of a response.
func answer(t *testing.T, req ctrladmission.Request, resp ctrladmission.Response) *appsv1.Deployment {
	t.Helper()
	if !resp.Allowed {
		t.Fatalf("refused: %v", resp.Result)
	}
	raw, err := json.Marshal(resp.Patches)
	if err != nil {
		t.Fatal(err)
	}
	doc := req.Object.Raw
	if len(resp.Patches) > 0 {
		patch, err := jsonpatch.DecodePatch(raw)
		if err != nil {
			t.Fatal(err)
		}
		if doc, err = patch.Apply(doc); err != nil {
			t.Fatal(err)
		}
	}
	d := &appsv1.Deployment{}
	if err := json.Unmarshal(doc, d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDeployments(t *testing.T) {
	for name, c := range map[string]struct {
		edited  *appsv1.Deployment
		rollout *v1beta1.Rollout
		sets    bool
		manager string

		wantHeld, wantWarning bool
	}{
		"a new template is held, and the user is told":     {edited: app("v2"), rollout: managing(nil), sets: true, wantHeld: true, wantWarning: true},
		"our own write passes":                             {edited: app("v2"), rollout: managing(nil), sets: true, manager: controller.FieldManager},
		"nothing but the template starts a release":        {edited: scaled(app("v1"), 9), rollout: managing(nil), sets: true},
		"no pods yet: a first deployment is no release":    {edited: app("v2"), rollout: managing(nil)},
		"no replicas: nothing to release":                  {edited: scaled(app("v2"), 0), rollout: managing(nil), sets: true},
		"no Rollout: not ours":                             {edited: app("v2"), sets: true},
		"a Rollout of another workload: not ours":          {edited: app("v2"), sets: true, rollout: managing(func(r *v1beta1.Rollout) { r.Spec.WorkloadRef.Name = "other" })},
		"a disabled Rollout holds nothing":                 {edited: app("v2"), sets: true, rollout: managing(func(r *v1beta1.Rollout) { r.Spec.Disabled, r.Status.Phase = true, v1beta1.PhaseDisabled })},
		"one being disabled still does":                    {edited: app("v2"), sets: true, rollout: managing(func(r *v1beta1.Rollout) { r.Spec.Disabled, r.Status.Phase = true, v1beta1.PhaseDisabling }), wantHeld: true, wantWarning: true},
		"one that is enabled again does before it says so": {edited: app("v2"), sets: true, rollout: managing(func(r *v1beta1.Rollout) { r.Status.Phase = v1beta1.PhaseDisabled }), wantHeld: true, wantWarning: true},
		"one that is being deleted holds nothing":          {edited: app("v2"), sets: true, rollout: managing(func(r *v1beta1.Rollout) { r.DeletionTimestamp = new(metav1.Now()) })},
		"pods are to come beside it":                       {edited: app("v2"), sets: true, rollout: managing(func(r *v1beta1.Rollout) { r.Spec.Strategy.Canary.EnableExtraWorkloadForCanary = true }), wantHeld: true, wantWarning: true},
		"another version of the group is the same kind":    {edited: app("v2"), sets: true, rollout: managing(func(r *v1beta1.Rollout) { r.Spec.WorkloadRef.APIVersion = "apps/v1beta2" }), wantHeld: true, wantWarning: true},
	} {
		t.Run(name, func(t *testing.T) {
			old := app("v1")
			var objects []client.Object
			if c.rollout != nil {
				objects = append(objects, c.rollout)
			}
			if c.sets {
				objects = append(objects, set(old, "hash1"))
			}
			h := &workloads{reader: reader(t, objects...)}
			req := update(t, old, c.edited, c.manager)
			resp := h.Handle(t.Context(), req)
			got := answer(t, req, resp)
			if got.Spec.Paused != c.wantHeld || (got.Annotations[v1beta1.AnnotationInProgressing] != "") != c.wantHeld {
				t.Errorf("held %v, stamped %q; want %v", got.Spec.Paused, got.Annotations[v1beta1.AnnotationInProgressing], c.wantHeld)
			}
			if c.wantHeld && got.Labels[v1beta1.LabelStableRevision] != "hash1" {
				t.Errorf("stable revision %q", got.Labels[v1beta1.LabelStableRevision])
			}
			if (len(resp.Warnings) > 0) != c.wantWarning {
				t.Errorf("warnings %q", resp.Warnings)
			}
			if c.wantWarning && (!strings.Contains(resp.Warnings[0], `Rollout "shop"`) || !strings.Contains(resp.Warnings[0], "kubectl kruise rollout status")) {
				t.Errorf("the warning does not say which Rollout and what to do: %q", resp.Warnings[0])
			}
		})
	}
}

func scaled(d *appsv1.Deployment, n int32) *appsv1.Deployment {
	d.Spec.Replicas = &n
	return d
}

// TestProbe: a dry run by the probe is answered with the mark of a release, whatever else is the case, as long as a
// Rollout manages the workload.
func TestProbe(t *testing.T) {
	for name, c := range map[string]struct {
		rollout *v1beta1.Rollout
		want    bool
	}{
		"managed":   {rollout: managing(nil), want: true},
		"unmanaged": {rollout: managing(func(r *v1beta1.Rollout) { r.Spec.WorkloadRef.Name = "other" })},
	} {
		t.Run(name, func(t *testing.T) {
			h := &workloads{reader: reader(t, c.rollout)}
			req := update(t, app("v1"), scaled(app("v2"), 0), controller.ProbeManager)
			req.DryRun = new(true)
			got := answer(t, req, h.Handle(t.Context(), req))
			if (got.Annotations[v1beta1.AnnotationInProgressing] != "") != c.want {
				t.Errorf("annotations %v, want the mark: %v", got.Annotations, c.want)
			}
		})
	}
}

// TestOtherOperations: nothing but updates of the object itself is checked.
func TestOtherOperations(t *testing.T) {
	h := &workloads{reader: reader(t, managing(nil), set(app("v1"), "hash1"))}
	for name, change := range map[string]func(*ctrladmission.Request){
		"create": func(r *ctrladmission.Request) { r.Operation = admissionv1.Create },
		"delete": func(r *ctrladmission.Request) { r.Operation = admissionv1.Delete },
		"scale":  func(r *ctrladmission.Request) { r.SubResource = "scale" },
		"status": func(r *ctrladmission.Request) { r.SubResource = "status" },
	} {
		t.Run(name, func(t *testing.T) {
			req := update(t, app("v1"), app("v2"), "kubectl")
			change(&req)
			if resp := h.Handle(t.Context(), req); !resp.Allowed || len(resp.Patches) > 0 {
				t.Errorf("answered %v %v", resp.Allowed, resp.Patches)
			}
		})
	}
}

// FuzzHandlers: whatever JSON arrives, and whatever is in the annotations, the handlers answer and do not panic.
func FuzzHandlers(f *testing.F) {
	marshal := func(o any) []byte {
		b, err := json.Marshal(o)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add(marshal(app("v1")), marshal(app("v2")), []byte(`{}`), "")
	f.Add([]byte(`{}`), []byte(`{"spec":{"template":{}}}`), []byte(`null`), "true")
	f.Add([]byte(`{"metadata":{"annotations":{"rollouts.kruise.io/original-deployment-strategy":"{"}}}`), []byte(`[]`), []byte(`"x"`), `{"maxSurge":"x%"}`)
	f.Add(marshal(managing(nil)), marshal(managing(nil)), []byte(`{"fieldManager":1}`), `{"type":"Recreate"}`)
	c := reader(f, managing(nil), set(app("v1"), "hash1"))
	decoder := ctrladmission.NewDecoder(controller.Scheme())
	handlers := []ctrladmission.Handler{&workloads{reader: c}, &rollouts{reader: c, decoder: decoder}}
	f.Fuzz(func(t *testing.T, old, edited, options []byte, original string) {
		d := app("v2")
		d.Annotations = map[string]string{
			v1beta1.AnnotationOriginalStrategy: original, v1beta1.AnnotationDeploymentStrategy: original,
			v1beta1.AnnotationControlInfo: original, v1beta1.AnnotationInProgressing: original,
		}
		for _, h := range handlers {
			for _, version := range []string{"v1", "v1alpha1", "v1beta1"} {
				for _, pair := range [][2][]byte{{old, edited}, {old, marshal(d)}, {marshal(d), edited}} {
					req := ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
						Namespace: "default", Name: "web", Operation: admissionv1.Update, Kind: metav1.GroupVersionKind{Version: version},
						Object: runtime.RawExtension{Raw: pair[1]}, OldObject: runtime.RawExtension{Raw: pair[0]}, Options: runtime.RawExtension{Raw: options},
					}}
					resp := h.Handle(t.Context(), req)
					if !resp.Allowed && resp.Result.Code != http.StatusBadRequest && resp.Result.Code != http.StatusUnprocessableEntity {
						t.Errorf("answered %d: %s", resp.Result.Code, resp.Result.Message)
					}
				}
			}
		}
	})
}

// IndexField puts an index into a fake client.
func (i indexed) IndexField(_ context.Context, obj client.Object, field string, keys client.IndexerFunc) error {
	i.WithIndex(obj, field, keys)
	return nil
}
