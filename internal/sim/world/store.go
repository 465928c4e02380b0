// SPDX-License-Identifier: Apache-2.0

package world

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/plan"
	"kruise.io/rollouts/internal/plan/admission"
	"kruise.io/rollouts/internal/workload"
)

// A Write is one write that was tried.
type Write struct {
	Who, Verb string
	Before    client.Object // nil: created
	After     client.Object // nil: deleted
	Failed    bool
}

// String says what was written, and by whom.
func (w Write) String() string {
	o := w.After
	if o == nil {
		o = w.Before
	}
	return fmt.Sprintf("%s: %s %s %s", w.Who, w.Verb, kindOf(o), o.GetName())
}

// Fault makes one write of the manager fail.
type Fault struct {
	Write   int  // which one, from 1; 0: none
	Arrived bool // it reached the API server, and the answer was lost
}

var errLost = apierrors.NewTimeoutError("the connection was lost", 0)

// as returns a client for a writer. It does what the API server does and the fake client does not: it checks UIDs and
// versions on every way of writing, counts generations, defaults, and asks admission.
func (w *World) as(who string) client.WithWatch {
	if w.newer != nil {
		return w.newer.client(w.server(who), who)
	}
	return w.server(who)
}

func (w *World) server(who string) client.WithWatch {
	return interceptor.NewClient(w.store, interceptor.Funcs{
		Create: func(_ context.Context, c client.WithWatch, o client.Object, _ ...client.CreateOption) error {
			return w.try(who, "create", nil, o, func() error { return w.create(c, who, o) })
		},
		Update: func(_ context.Context, c client.WithWatch, o client.Object, _ ...client.UpdateOption) error {
			return w.try(who, "update", nil, o, func() error { return w.put(c, who, o, false) })
		},
		Patch: func(_ context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if options := (&client.PatchOptions{}).ApplyOptions(opts); len(options.DryRun) > 0 {
				return nil
			}
			return w.try(who, "patch", nil, o, func() error { return w.patch(c, who, o, p, false) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return w.try(who, "delete", o, nil, func() error { return w.remove(ctx, c, o, opts...) })
		},
		SubResourceUpdate: func(_ context.Context, _ client.Client, sub string, o client.Object, _ ...client.SubResourceUpdateOption) error {
			return w.try(who, "update "+sub, nil, o, func() error { return w.put(w.store, who, o, true) })
		},
		SubResourcePatch: func(_ context.Context, _ client.Client, sub string, o client.Object, p client.Patch, _ ...client.SubResourcePatchOption) error {
			return w.try(who, "patch "+sub, nil, o, func() error { return w.patch(w.store, who, o, p, true) })
		},
	})
}

// try lets a write happen, and the controllers of the cluster act on it before the manager writes again where they are Quick.
func (w *World) try(who, verb string, gone, o client.Object, do func() error) error {
	if err := w.write(who, verb, gone, o, do); err != nil || !w.Quick || who != controller.FieldManager || !w.acting.TryLock() {
		return err
	}
	defer w.acting.Unlock()
	_, err := w.Cluster.Sync(context.Background()) //nolint:forbidigo // it is in memory
	return err
}

// write lets a write happen, or fail as planned. Labels of pods are written at the same time, hence the lock.
func (w *World) write(who, verb string, gone, o client.Object, do func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	write := Write{Who: who, Verb: verb}
	at := o
	if at == nil {
		at = gone
	}
	if before, ok := blank(at); ok && verb != "create" {
		if err := w.store.Get(context.Background(), client.ObjectKeyFromObject(at), before); err == nil { //nolint:forbidigo // it is in memory
			write.Before = before
		}
	}
	faulty := false
	if who == controller.FieldManager {
		w.count++
		faulty = w.count == w.Fault.Write
	}
	if !faulty || w.Fault.Arrived {
		if err := w.serve(write, at, o, do); err != nil {
			write.Failed = true
			w.note(write, o)
			return err
		}
	}
	write.Failed = faulty && !w.Fault.Arrived
	w.note(write, o)
	if faulty {
		return errLost
	}
	return nil
}

// serve is what the API server does with a write that reaches it.
func (w *World) serve(write Write, at, after client.Object, do func() error) error {
	if err := w.authorize(write.Who, write.Verb, at); err != nil {
		return err
	}
	if write.Who == controller.FieldManager && w.Refuse != nil {
		write.After = after
		if err := w.Refuse(write); err != nil {
			return err
		}
	}
	return do()
}

// note keeps a write for tests that ask what was written.
func (w *World) note(write Write, after client.Object) {
	if after != nil {
		write.After, _ = after.DeepCopyObject().(client.Object)
	}
	w.Writes = append(w.Writes, write)
	if w.Watch != nil && !write.Failed {
		w.Watch(write)
	}
}

func (w *World) create(c client.WithWatch, who string, o client.Object) error {
	if err := w.ownedBy(who, nil, o); err != nil {
		return err
	}
	w.uids++
	o.SetUID(types.UID(fmt.Sprintf("uid-%d", w.uids)))
	o.SetCreationTimestamp(metav1.NewTime(w.Clock.Now().Truncate(time.Second)))
	o.SetGeneration(1)
	o.SetResourceVersion("")
	defaults(o)
	if err := w.validate(nil, o); err != nil {
		return err
	}
	return c.Create(context.Background(), o) //nolint:forbidigo // it is in memory
}

// put stores an object, its status or all but its status.
func (w *World) put(c client.WithWatch, who string, o client.Object, status bool) error {
	ctx := context.Background() //nolint:forbidigo // it is in memory
	stored, _ := blank(o)
	if err := c.Get(ctx, client.ObjectKeyFromObject(o), stored); err != nil {
		return err
	}
	resource := schema.GroupResource{Resource: kindOf(o)}
	if v := o.GetResourceVersion(); v != "" && v != stored.GetResourceVersion() {
		return apierrors.NewConflict(resource, o.GetName(), errors.New("the object has been modified"))
	}
	if uid := o.GetUID(); uid != "" && uid != stored.GetUID() {
		return apierrors.NewConflict(resource, o.GetName(), errors.New("the UID in the precondition does not match"))
	}
	o.SetResourceVersion(stored.GetResourceVersion())
	o.SetUID(stored.GetUID())
	o.SetCreationTimestamp(stored.GetCreationTimestamp())
	o.SetDeletionTimestamp(stored.GetDeletionTimestamp())
	o.SetGeneration(stored.GetGeneration())
	if status {
		if ro, ok := o.(*v1beta1.Rollout); ok && who == "user" && !w.AdmissionDown && !w.SigningDown {
			before, _ := stored.(*v1beta1.Rollout)
			if err := w.signed(before, ro); err != nil {
				return err
			}
		}
		return c.Status().Update(ctx, o)
	}
	setField(o, "Status", stored)
	if ro, ok := o.(*v1beta1.Rollout); ok && who == "user" && !w.AdmissionDown && !w.SigningDown {
		if by := admission.ApprovedBy(stored.GetAnnotations(), ro.Annotations, "user"); by != "" {
			metav1.SetMetaDataAnnotation(&ro.ObjectMeta, v1beta1.AnnotationApprovedBy, by)
		} else {
			delete(ro.Annotations, v1beta1.AnnotationApprovedBy)
		}
	}
	defaults(o)
	if err := w.ownedBy(who, stored, o); err != nil {
		return err
	}
	if err := w.admit(ctx, who, stored, o); err != nil {
		return err
	}
	if err := w.mutate(who, stored, o); err != nil {
		return err
	}
	if err := w.validate(stored, o); err != nil {
		return err
	}
	if !equality.Semantic.DeepEqual(specOf(o), specOf(stored)) {
		o.SetGeneration(stored.GetGeneration() + 1)
	}
	if equality.Semantic.DeepEqual(o, stored) {
		return nil // nothing changed: the API server writes nothing
	}
	return c.Update(ctx, o)
}

// signed leaves of a user's write of a status what admission does.
func (w *World) signed(before, edited *v1beta1.Rollout) error {
	was, err := runtime.DefaultUnstructuredConverter.ToUnstructured(before)
	if err != nil {
		return err
	}
	is, err := runtime.DefaultUnstructuredConverter.ToUnstructured(edited)
	if err != nil {
		return err
	}
	status, _ := admission.Stored(&unstructured.Unstructured{Object: was}, &unstructured.Unstructured{Object: is})
	edited.Status = v1beta1.RolloutStatus{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(status, &edited.Status); err != nil {
		return err
	}
	edited.Status.Release = admission.Sign(&before.Status, &edited.Status, "user", w.Clock.Now())
	return nil
}

func (w *World) patch(c client.WithWatch, who string, o client.Object, p client.Patch, status bool) error {
	data, err := p.Data(o)
	if err != nil {
		return err
	}
	stored, _ := blank(o)
	if err := c.Get(context.Background(), client.ObjectKeyFromObject(o), stored); err != nil { //nolint:forbidigo // it is in memory
		return err
	}
	raw, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	if p.Type() == types.JSONPatchType {
		operations, err := jsonpatch.DecodePatch(data)
		if err != nil {
			return err
		}
		if raw, err = operations.Apply(raw); err != nil {
			return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
		}
	} else if raw, err = jsonpatch.MergePatch(raw, data); err != nil {
		return err
	}
	patched, _ := blank(o)
	if err := json.Unmarshal(raw, patched); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if err := w.put(c, who, patched, status); err != nil {
		return err
	}
	reflect.ValueOf(o).Elem().Set(reflect.ValueOf(patched).Elem())
	return nil
}

func (w *World) remove(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
	stored, _ := blank(o)
	if err := c.Get(ctx, client.ObjectKeyFromObject(o), stored); err != nil {
		return err
	}
	options := (&client.DeleteOptions{}).ApplyOptions(opts)
	if p := options.Preconditions; p != nil && p.UID != nil && *p.UID != stored.GetUID() {
		return apierrors.NewConflict(schema.GroupResource{Resource: kindOf(o)}, o.GetName(), errors.New("the UID in the precondition does not match"))
	}
	if stored.GetDeletionTimestamp() != nil {
		return nil
	}
	if p := options.PropagationPolicy; p != nil && *p == metav1.DeletePropagationForeground {
		stored.SetFinalizers(append(stored.GetFinalizers(), metav1.FinalizerDeleteDependents))
		if err := c.Update(ctx, stored); err != nil {
			return err
		}
	}
	if err := c.Delete(ctx, o); err != nil {
		return err
	}
	if len(stored.GetFinalizers()) == 0 {
		return nil
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(o), stored); err != nil {
		return err
	}
	stored.SetGeneration(stored.GetGeneration() + 1) // marking for deletion counts
	return c.Update(ctx, stored)
}

// admit asks admission about updates of workloads by anyone else.
func (w *World) admit(ctx context.Context, who string, stored, o client.Object) error {
	marked := o.GetLabels()[v1beta1.LabelWorkloadType] != "" || stored.GetLabels()[v1beta1.LabelWorkloadType] != ""
	if who != "user" || w.AdmissionDown || !marked {
		return nil
	}
	kind, err := apiutil.GVKForObject(o, w.store.Scheme())
	if err != nil {
		return err
	}
	rollouts, err := controller.RolloutsOf(ctx, w.store, Namespace, kind.Group, kind.Kind, o.GetName())
	if err != nil {
		return err
	}
	e := admission.Edit{Kind: kind.Kind, Rollout: plan.Managing(rollouts), User: who}
	if e.Rollout == nil {
		return nil
	}
	if e.Driver = admission.DriverOf(e.Rollout, kind.GroupVersion().String(), kind.Kind); e.Driver == nil {
		return nil
	}
	for _, typed := range []client.Object{o, stored} {
		typed.GetObjectKind().SetGroupVersionKind(kind)
	}
	edited, old := e.Driver.New(), e.Driver.New()
	if err := errors.Join(convert(o, edited), convert(stored, old)); err != nil {
		return err
	}
	e.Old = old
	if e.New, err = controller.Below(ctx, w.store, e.Driver, edited); err != nil {
		return err
	}
	admitted, warnings := admission.Admit(e)
	for _, warning := range warnings {
		w.say("warning: " + warning)
	}
	clear := reflect.ValueOf(o).Elem()
	clear.SetZero()
	return convert(admitted, o)
}

// mutate lets somebody change a write of the manager on its way.
func (w *World) mutate(who string, stored, o client.Object) error {
	if who != controller.FieldManager || w.Mutate == nil {
		return nil
	}
	before, after := map[string]any{}, map[string]any{}
	if err := errors.Join(decode(stored, &before), decode(o, &after)); err != nil {
		return err
	}
	w.Mutate(kindOf(o), before, after)
	reflect.ValueOf(o).Elem().SetZero()
	return decode(after, o)
}

// convert reads an object as another type of the same kind.
func convert(from, to client.Object) error { return decode(from, to) }

func decode(from, to any) error {
	raw, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, to)
}

// validate refuses what the API server or admission would.
func (w *World) validate(stored, o client.Object) error {
	if err := validateMetadata(o); err != nil {
		return err
	}
	switch o := o.(type) {
	case *appsv1.Deployment:
		if r := o.Spec.Strategy.RollingUpdate; r != nil && zeroLimit(r.MaxSurge) && zeroLimit(r.MaxUnavailable) {
			return apierrors.NewBadRequest("spec.strategy.rollingUpdate.maxUnavailable: may not be 0 when `maxSurge` is 0")
		}
	case *appsv1.DaemonSet:
		return validateDaemonSet(o)
	case *unstructured.Unstructured:
		return validateCloneSet(o)
	case *v1beta1.Rollout:
		old, _ := stored.(*v1beta1.Rollout)
		if errs := admission.ValidateRollout(o, old, nil, admission.Limits{Supports: workload.Supports}); len(errs) > 0 {
			return apierrors.NewInvalid(schema.GroupKind{Kind: "Rollout"}, o.Name, errs)
		}
	}
	return nil
}

// validateMetadata refuses names and labels that are too long, or no names and labels.
func validateMetadata(o client.Object) error {
	wrong := validation.IsDNS1123Subdomain(o.GetName())
	for key, value := range o.GetLabels() {
		for _, why := range validation.IsValidLabelValue(value) {
			wrong = append(wrong, fmt.Sprintf("metadata.labels[%s]: %s", key, why))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "write", schema.GroupResource{}, o.GetName(), strings.Join(wrong, "; "), 0, false)
}

func zeroLimit(v *intstr.IntOrString) bool {
	return v != nil && (v.Type == intstr.Int && v.IntVal == 0 || v.Type == intstr.String && v.StrVal == "0%")
}

// defaults fills in what the API server does.
func defaults(o client.Object) {
	d, ok := o.(*appsv1.Deployment)
	if !ok {
		defaultWorkload(o)
		return
	}
	if d.Spec.Replicas == nil {
		d.Spec.Replicas = new(int32(1))
	}
	if d.Spec.ProgressDeadlineSeconds == nil {
		d.Spec.ProgressDeadlineSeconds = new(int32(600))
	}
	if d.Spec.RevisionHistoryLimit == nil {
		d.Spec.RevisionHistoryLimit = new(int32(10))
	}
	s := &d.Spec.Strategy
	if s.Type == "" {
		s.Type = appsv1.RollingUpdateDeploymentStrategyType
	}
	if s.Type == appsv1.RollingUpdateDeploymentStrategyType {
		quarter := intstr.FromString("25%")
		if s.RollingUpdate == nil {
			s.RollingUpdate = &appsv1.RollingUpdateDeployment{}
		}
		if s.RollingUpdate.MaxSurge == nil {
			s.RollingUpdate.MaxSurge = &quarter
		}
		if s.RollingUpdate.MaxUnavailable == nil {
			s.RollingUpdate.MaxUnavailable = &quarter
		}
	}
}

// versions is how many ReplicaSets of a Deployment are asked for pods.
func (w *World) versions(d *appsv1.Deployment) int {
	sets := &appsv1.ReplicaSetList{}
	if err := w.store.List(context.Background(), sets); err != nil { //nolint:forbidigo // it is in memory
		return 0
	}
	n := 0
	for _, set := range sets.Items {
		if metav1.IsControlledBy(&set, d) && ptr.Deref(set.Spec.Replicas, 1) > 0 {
			n++
		}
	}
	return n
}

// blank is an empty object of the same kind.
func blank(o client.Object) (client.Object, bool) {
	if u, ok := o.(*unstructured.Unstructured); ok {
		empty := &unstructured.Unstructured{}
		empty.SetGroupVersionKind(u.GroupVersionKind())
		return empty, true
	}
	return reflect.TypeAssert[client.Object](reflect.New(reflect.TypeOf(o).Elem()))
}

// specOf is what an object's generation counts.
func specOf(o client.Object) any {
	if u, ok := o.(*unstructured.Unstructured); ok {
		return u.Object["spec"]
	}
	return field(o, "Spec")
}

// field is a field of an object by its name.
func field(o client.Object, name string) any {
	f := reflect.ValueOf(o).Elem().FieldByName(name)
	if _, ok := o.(*unstructured.Unstructured); ok || !f.IsValid() {
		return nil
	}
	return f.Interface()
}

func setField(o client.Object, name string, from client.Object) {
	if u, ok := o.(*unstructured.Unstructured); ok {
		delete(u.Object, strings.ToLower(name))
		if status, ok := from.(*unstructured.Unstructured).DeepCopy().Object[strings.ToLower(name)]; ok {
			u.Object[strings.ToLower(name)] = status
		}
		return
	}
	if f := reflect.ValueOf(o).Elem().FieldByName(name); f.IsValid() {
		copied, _ := from.DeepCopyObject().(client.Object)
		f.Set(reflect.ValueOf(copied).Elem().FieldByName(name))
	}
}

func kindOf(o client.Object) string {
	if u, ok := o.(*unstructured.Unstructured); ok {
		return u.GetKind()
	}
	return reflect.TypeOf(o).Elem().Name()
}

// ownRoom are the kinds of objects that the manager may write at all; pods get labels and nothing else.
var ownRoom = []string{
	"Rollout", "BatchRelease", "Deployment", "ReplicaSet", "Pod", "Service", "Ingress", "TrafficRouting", "RolloutHistory",
	"HTTPRoute", "GRPCRoute", "VirtualService", "DestinationRule", "ApisixRoute", "TraefikService", "MeshHTTPRoute", "HorizontalPodAutoscaler",
}

// besideAnother reports whether o is a canary Deployment.
func besideAnother(o client.Object) bool {
	d, ok := o.(*appsv1.Deployment)
	owner := metav1.GetControllerOf(o)
	return ok && owner != nil && owner.Kind == "BatchRelease" && d.Labels[v1beta1.LabelCanaryDeployment] != ""
}

// trespassBeside: a canary Deployment grows, follows its workload down, and is released, and nothing else.
func (world *World) trespassBeside(w Write) string {
	before := w.Before.DeepCopyObject().(*appsv1.Deployment)
	after := w.After.(*appsv1.Deployment)
	if *after.Spec.Replicas < *before.Spec.Replicas && *after.Spec.Replicas > 0 && *after.Spec.Replicas < world.ordered(after) { // an abort takes all of it
		return fmt.Sprintf("%s: it is made smaller than the batch is", w)
	}
	before.Spec.Replicas, before.Finalizers = after.Spec.Replicas, after.Finalizers
	before.ResourceVersion, before.Generation = after.ResourceVersion, after.Generation
	if !equality.Semantic.DeepEqual(before, after) {
		return fmt.Sprintf("%s: more than its size and its finalizer", w)
	}
	return ""
}

// ordered is how many pods the batch asks for that a canary Deployment was made for.
func (world *World) ordered(canary *appsv1.Deployment) int32 {
	br, d := &v1beta1.BatchRelease{}, &appsv1.Deployment{}
	batch := func() v1beta1.ReleaseBatch { return br.Spec.ReleasePlan.Batches[br.Status.CanaryStatus.CurrentBatch] }
	ctx := context.Background() //nolint:forbidigo // it is in memory
	if !world.Get(ctx, metav1.GetControllerOf(canary).Name, br) || !world.Get(ctx, canary.Labels[v1beta1.LabelCanaryDeployment], d) ||
		int(br.Status.CanaryStatus.CurrentBatch) >= len(br.Spec.ReleasePlan.Batches) {
		return 0
	}
	return v1beta1.PodsOf(batch().CanaryReplicas, *d.Spec.Replicas, false)
}

// Trespass says what is wrong with a write of the manager; "": nothing.
func (world *World) Trespass(w Write) string {
	if w.Who != controller.FieldManager {
		return ""
	}
	o := w.After
	if o == nil {
		o = w.Before
	}
	other := slices.Contains(otherKinds, kindOf(o))
	if !slices.Contains(ownRoom, kindOf(o)) && !other {
		return fmt.Sprintf("%s: not ours to write", w)
	}
	if w.Before == nil || w.After == nil {
		routing := strings.HasSuffix(o.GetName(), "-canary") && (kindOf(o) == "Service" || kindOf(o) == "Ingress")
		record := kindOf(o) == "RolloutHistory" && w.After != nil
		gone := w.After == nil && world.mayGo(o)
		if kindOf(o) != "BatchRelease" && !record && !routing && !gone && !besideAnother(o) {
			return fmt.Sprintf("%s: not ours to make or to delete", w)
		}
		return ""
	}
	if besideAnother(w.Before) {
		return world.trespassBeside(w)
	}
	if other {
		return trespassOther(w)
	}
	switch after := w.After.(type) {
	case *corev1.Pod:
		before := w.Before.DeepCopyObject().(*corev1.Pod)
		before.Labels, before.ResourceVersion = after.Labels, after.ResourceVersion
		if !equality.Semantic.DeepEqual(before, after) {
			return fmt.Sprintf("%s: more than its labels", w)
		}
	case *appsv1.ReplicaSet:
		before := w.Before.DeepCopyObject().(*appsv1.ReplicaSet)
		if metav1.GetControllerOf(before) == nil { // a workload itself
			before.Labels, before.Annotations = after.Labels, after.Annotations
		}
		before.Spec.MinReadySeconds = after.Spec.MinReadySeconds
		before.Spec.Replicas = after.Spec.Replicas // of a release that is aborted, and of blue-green ones
		const desired = "deployment.kubernetes.io/desired-replicas"
		if before.Annotations[desired] != "" {
			before.Annotations[desired] = after.Annotations[desired]
		}
		before.ResourceVersion, before.Generation = after.ResourceVersion, after.Generation
		if !equality.Semantic.DeepEqual(before, after) {
			return fmt.Sprintf("%s: more than its size, minReadySeconds and what it takes for desired", w)
		}
	case *appsv1.Deployment:
		before := w.Before.DeepCopyObject().(*appsv1.Deployment)
		if after.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType && before.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType &&
			world.versions(after) > 1 {
			return fmt.Sprintf("%s: Recreate while there are pods of several versions", w)
		}
		if !equality.Semantic.DeepEqual(before.Spec.Template, after.Spec.Template) || !equality.Semantic.DeepEqual(before.Spec.Replicas, after.Spec.Replicas) ||
			!equality.Semantic.DeepEqual(before.Spec.Selector, after.Spec.Selector) {
			return fmt.Sprintf("%s: the user's part of the spec", w)
		}
	}
	return ""
}
