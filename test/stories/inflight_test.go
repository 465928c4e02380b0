// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/sim/world"
)

// inFlight is a release as the reference implementation leaves it in the middle of step 1 of 2 (docs/wire.md, writes per
// workload), with the workload it was made of.
type inFlight struct {
	workload func(t *testing.T, w *world.World, claim string) client.Object
	style    v1beta1.RolloutStrategy
	ref      v1beta1.ObjectRef
}

var twoSteps = []v1beta1.CanaryStep{
	{Replicas: new(intstr.FromString("20%")), Pause: v1beta1.RolloutPause{}},
	{Replicas: new(intstr.FromString("100%"))},
}

// TestReleasesLeftInFlight: an upgrade from the reference implementation in the middle of a release goes on with it, or
// takes it back, and restores the user's own settings.
func TestReleasesLeftInFlight(t *testing.T) {
	for name, c := range map[string]inFlight{
		"Deployment, Recreate and paused": {
			workload: deploymentInFlight, ref: v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			style: v1beta1.RolloutStrategy{Canary: &v1beta1.CanaryStrategy{Steps: twoSteps}},
		},
		"CloneSet, partition in percent": {
			workload: cloneSetInFlight, ref: v1beta1.ObjectRef{APIVersion: "apps.kruise.io/v1alpha1", Kind: "CloneSet", Name: "web"},
			style: v1beta1.RolloutStrategy{Canary: &v1beta1.CanaryStrategy{Steps: twoSteps}},
		},
	} {
		for ending, act := range map[string]struct {
			do   func(t *testing.T, w *world.World, ref v1beta1.ObjectRef)
			want string
		}{
			"approved": {want: "v2", do: func(t *testing.T, w *world.World, _ v1beta1.ObjectRef) {
				ro := &v1beta1.Rollout{}
				if !w.Get(t.Context(), "web", ro) {
					t.Fatal("no Rollout")
				}
				patch(t, w.User.Status().Patch(t.Context(), ro, client.RawPatch("application/merge-patch+json", []byte(`{"status":{"canaryStatus":{"currentStepState":"StepReady"}}}`))))
			}},
			"rolled back": {want: "v1", do: func(t *testing.T, w *world.World, ref v1beta1.ObjectRef) {
				u := &unstructured.Unstructured{}
				u.SetAPIVersion(ref.APIVersion)
				u.SetKind(ref.Kind)
				w.Get(t.Context(), "web", u)
				before := u.DeepCopy()
				containers, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
				containers[0].(map[string]any)["image"] = "example/web:v1"
				_ = unstructured.SetNestedSlice(u.Object, containers, "spec", "template", "spec", "containers")
				patch(t, w.User.Patch(t.Context(), u, client.MergeFrom(before)))
			}},
			"deleted": {want: "v2", do: func(t *testing.T, w *world.World, _ v1beta1.ObjectRef) {
				patch(t, w.User.Delete(t.Context(), &v1beta1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: "web"}}))
			}},
		} {
			t.Run(name+", "+ending, func(t *testing.T) {
				t.Parallel()
				w, original := leftInFlight(t, c)
				if err := w.Pass(t.Context(), time.Minute); err != nil {
					t.Fatal(err)
				}
				act.do(t, w, c.ref)
				if err := w.Pass(t.Context(), 5*time.Minute); err != nil {
					t.Fatal(err)
				}
				pods := &corev1.PodList{}
				patch(t, w.List(t.Context(), pods))
				for i := range pods.Items {
					if image := pods.Items[i].Spec.Containers[0].Image; image != "example/web:"+act.want {
						t.Errorf("pod %s runs %s", pods.Items[i].Name, image)
					}
				}
				if len(pods.Items) != 5 {
					t.Errorf("%d pods", len(pods.Items))
				}
				equal(t, w, c.ref, original)
			})
		}
	}
}

// leftInFlight is a world in which a manager of ours starts in the middle of a release of another's.
func leftInFlight(t *testing.T, c inFlight) (*world.World, *unstructured.Unstructured) {
	t.Helper()
	w, err := world.New(t.Context())
	patch(t, err)
	w.Frozen = true
	ro := &v1beta1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: "web", Finalizers: []string{v1beta1.FinalizerRollout}},
		Spec:       v1beta1.RolloutSpec{WorkloadRef: c.ref, Strategy: c.style},
	}
	patch(t, w.User.Create(t.Context(), ro))
	br := &v1beta1.BatchRelease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: world.Namespace, Name: "web", Finalizers: []string{v1beta1.FinalizerBatchRelease},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(ro, v1beta1.GroupVersion.WithKind("Rollout"))},
		},
		Spec: v1beta1.BatchReleaseSpec{WorkloadRef: c.ref, ReleasePlan: v1beta1.ReleasePlan{
			RollingStyle: v1beta1.PartitionRollingStyle, BatchPartition: new(int32(0)),
			Batches: []v1beta1.ReleaseBatch{{CanaryReplicas: *twoSteps[0].Replicas}, {CanaryReplicas: *twoSteps[1].Replicas}},
		}},
	}
	patch(t, w.User.Create(t.Context(), br))
	claim, err := json.Marshal(metav1.NewControllerRef(br, v1beta1.GroupVersion.WithKind("BatchRelease")))
	patch(t, err)
	original, err := toUnstructured(c.workload(t, w, string(claim)))
	patch(t, err)
	now := metav1.NewTime(w.Clock.Now())
	ro.Status = v1beta1.RolloutStatus{
		Phase: v1beta1.PhaseProgressing, ObservedGeneration: 1,
		Conditions: []v1beta1.RolloutCondition{{Type: v1beta1.ConditionProgressing, Status: metav1.ConditionTrue, Reason: v1beta1.ReasonInRolling, LastUpdateTime: now}},
		CanaryStatus: &v1beta1.CanaryStatus{CommonStatus: v1beta1.CommonStatus{
			CurrentStepIndex: 1, NextStepIndex: 2, CurrentStepState: v1beta1.StepPaused, LastUpdateTime: &now,
		}},
	}
	patch(t, w.User.Status().Update(t.Context(), ro))
	w.Frozen = false
	return w, original
}

func template(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}},
	}
}

// deploymentInFlight: the reference implementation's own controller has one new pod of five.
func deploymentInFlight(t *testing.T, w *world.World, claim string) client.Object {
	t.Helper()
	limits := &appsv1.RollingUpdateDeployment{MaxSurge: new(intstr.FromInt32(1)), MaxUnavailable: new(intstr.FromInt32(0))}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: "web", Labels: map[string]string{v1beta1.LabelWorkloadType: "deployment"}},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(5)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, Template: template("example/web:v1"),
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: limits},
		},
	}
	patch(t, w.User.Create(t.Context(), d))
	patch(t, w.Pass(t.Context(), time.Minute))
	w.Get(t.Context(), "web", d)
	original := d.DeepCopy()
	sets := &appsv1.ReplicaSetList{}
	patch(t, w.List(t.Context(), sets))
	v1 := &sets.Items[0]

	w.AdmissionDown = true
	note, _ := json.Marshal(map[string]any{"rollingStyle": "Partition", "rollingUpdate": limits, "partition": "20%"})
	d.Annotations = map[string]string{
		v1beta1.AnnotationInProgressing: `{"rolloutName":"web"}`, v1beta1.AnnotationControlInfo: claim,
		v1beta1.AnnotationDeploymentStrategy:         string(note),
		"rollouts.kruise.io/deployment-extra-status": `{"updatedReadyReplicas":1,"expectedUpdatedReplicas":1}`,
	}
	d.Labels[v1beta1.LabelStableRevision] = v1.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	d.Labels["rollouts.kruise.io/controlled-by-advanced-deployment-controller"] = "true"
	d.Spec.Template = template("example/web:v2")
	d.Spec.Paused = true
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	patch(t, w.User.Update(t.Context(), d))
	w.AdmissionDown = false

	v2 := v1.DeepCopy()
	v2.Name, v2.UID, v2.ResourceVersion = "web-second", "", ""
	v2.Labels = maps.Clone(v1.Labels)
	v2.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = "second"
	v2.Spec.Selector.MatchLabels[appsv1.DefaultDeploymentUniqueLabelKey] = "second"
	v2.Spec.Template = template("example/web:v2")
	v2.Spec.Template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = "second"
	v2.Spec.Replicas = new(int32(1))
	v2.Annotations = map[string]string{"deployment.kubernetes.io/revision": "2", "deployment.kubernetes.io/desired-replicas": "5", "deployment.kubernetes.io/max-replicas": "6"}
	patch(t, w.User.Create(t.Context(), v2))
	v1.Spec.Replicas = new(int32(4))
	patch(t, w.User.Update(t.Context(), v1))
	return original
}

// cloneSetInFlight: the partition keeps four of five.
func cloneSetInFlight(t *testing.T, w *world.World, claim string) client.Object {
	t.Helper()
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet",
		"metadata": map[string]any{"namespace": world.Namespace, "name": "web", "labels": map[string]any{v1beta1.LabelWorkloadType: "cloneset"}},
		"spec": map[string]any{
			"replicas": int64(5), "selector": map[string]any{"matchLabels": map[string]any{"app": "web"}},
			"template": map[string]any{
				"metadata": map[string]any{"labels": map[string]any{"app": "web"}},
				"spec":     map[string]any{"containers": []any{map[string]any{"name": "main", "image": "example/web:v1"}}},
			},
		},
	}}
	patch(t, w.User.Create(t.Context(), u))
	patch(t, w.Pass(t.Context(), time.Minute))
	w.Get(t.Context(), "web", u)
	original := u.DeepCopy()
	w.AdmissionDown = true
	u.SetAnnotations(map[string]string{v1beta1.AnnotationInProgressing: `{"rolloutName":"web"}`, v1beta1.AnnotationControlInfo: claim})
	_ = unstructured.SetNestedField(u.Object, "80%", "spec", "updateStrategy", "partition")
	_ = unstructured.SetNestedField(u.Object, false, "spec", "updateStrategy", "paused")
	_ = unstructured.SetNestedSlice(u.Object, []any{map[string]any{"name": "main", "image": "example/web:v2"}}, "spec", "template", "spec", "containers")
	patch(t, w.User.Update(t.Context(), u))
	w.AdmissionDown = false
	patch(t, w.Pass(t.Context(), time.Minute))
	return original
}

func patch(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func toUnstructured(o client.Object) (*unstructured.Unstructured, error) {
	raw, err := json.Marshal(o)
	u := &unstructured.Unstructured{}
	if err == nil {
		err = json.Unmarshal(append([]byte(`{"apiVersion":"v1","kind":"X",`), raw[1:]...), &u.Object)
	}
	return u, err
}

// equal compares what is left of a workload with what its user had, but for the template.
func equal(t *testing.T, w *world.World, ref v1beta1.ObjectRef, original *unstructured.Unstructured) {
	t.Helper()
	u := &unstructured.Unstructured{}
	u.SetAPIVersion(ref.APIVersion)
	u.SetKind(ref.Kind)
	w.Get(t.Context(), ref.Name, u)
	have, _, _ := unstructured.NestedMap(u.Object, "spec")
	want, _, _ := unstructured.NestedMap(original.Object, "spec")
	for _, spec := range []map[string]any{have, want} {
		delete(spec, "template")
	}
	a, _ := json.Marshal(have)
	b, _ := json.Marshal(want)
	if !equality.Semantic.DeepEqual(string(a), string(b)) {
		t.Errorf("the spec is\n%s, was\n%s", a, b)
	}
	for key := range u.GetAnnotations() {
		if key != "deployment.kubernetes.io/revision" {
			t.Errorf("annotation %s is left", key)
		}
	}
	for key := range u.GetLabels() {
		if key != v1beta1.LabelWorkloadType {
			t.Errorf("label %s is left", key)
		}
	}
}

// TestAutoscalersLeftRenamed: the reference implementation renames the target of an autoscaler during blue-green releases.
func TestAutoscalersLeftRenamed(t *testing.T) {
	t.Parallel()
	w, err := world.New(t.Context())
	patch(t, err)
	ref := v1beta1.ObjectRef{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
	patch(t, w.User.Create(t.Context(), &v1beta1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: "web"},
		Spec:       v1beta1.RolloutSpec{WorkloadRef: ref, Strategy: v1beta1.RolloutStrategy{BlueGreen: &v1beta1.BlueGreenStrategy{Steps: twoSteps}}},
	}))
	for name, target := range map[string]string{"own": "web-DisableByRollout-DisableByRollout", "others": "shop-DisableByRollout"} {
		patch(t, w.User.Create(t.Context(), &autoscalingv1.HorizontalPodAutoscaler{
			ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: name},
			Spec:       autoscalingv1.HorizontalPodAutoscalerSpec{MaxReplicas: 9, ScaleTargetRef: autoscalingv1.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: target}},
		}))
	}
	patch(t, w.Pass(t.Context(), time.Second))
	for name, want := range map[string]string{"own": "web", "others": "shop-DisableByRollout"} {
		scaler := &autoscalingv1.HorizontalPodAutoscaler{}
		if w.Get(t.Context(), name, scaler); scaler.Spec.ScaleTargetRef.Name != want {
			t.Errorf("the target of %s is %s", name, scaler.Spec.ScaleTargetRef.Name)
		}
	}
}
