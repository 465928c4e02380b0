// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// workload is one pass over an object that makes pods itself, of whichever kind. The controllers of these kinds follow the
// public documentation of Kubernetes and of OpenKruise; where that leaves something open, they do what keeps more pods available.
type workload struct {
	*Cluster
	object   client.Object
	kind     schema.GroupVersionKind
	template corev1.PodTemplateSpec
	minReady time.Duration
	keep     int             // old revisions, at least
	short    bool            // pods carry the hash of their revision; else its name
	hashes   bool            // pods carry the hash as pod-template-hash, too
	pods     []*corev1.Pod   // all it controls
	names    map[string]bool // that are taken
	revisions
	next time.Time // when the next pod becomes available
}

// load reads the pods and the revisions, and makes a revision of the template if there is none. current is the name of the
// revision that the status calls so.
func (w *workload) load(ctx context.Context, current string) error {
	list := &corev1.PodList{}
	if err := w.Client.List(ctx, list, client.InNamespace(w.object.GetNamespace())); err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	w.names = map[string]bool{}
	for i := range list.Items {
		w.names[list.Items[i].Name] = true
		if metav1.IsControlledBy(&list.Items[i], w.object) {
			w.pods = append(w.pods, &list.Items[i])
		}
	}
	slices.SortFunc(w.pods, func(a, b *corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return w.revise(ctx, current)
}

// updated reports whether a pod is of the newest revision.
func (w *workload) updated(pod *corev1.Pod) bool { return w.of(pod, w.update.Name) }

// of reports whether a pod is of a revision, which may be written short.
func (w *workload) of(pod *corev1.Pod, revision string) bool {
	label := pod.Labels[hashLabel]
	return label != "" && (label == revision || w.object.GetName()+"-"+label == revision)
}

// available reports whether a pod has been ready for long enough.
func (w *workload) available(pod *corev1.Pod) bool {
	since, ready := readySince(pod)
	if !ready || !active(pod) {
		return false
	}
	at := since.Add(w.minReady)
	if w.minReady == 0 || at.Before(w.Now()) {
		return true
	}
	if w.next.IsZero() || at.Before(w.next) {
		w.next = at.Add(time.Second)
	}
	return false
}

// make makes a pod of a revision; the name may be left to the server of names.
func (w *workload) make(revision *revision, name string) *corev1.Pod {
	template := revision.template.DeepCopy()
	if name == "" {
		name = w.name()
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.object.GetNamespace(), Name: name, Labels: maps.Clone(template.Labels), Annotations: template.Annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(w.object, w.kind)},
		},
		Spec: template.Spec,
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[hashLabel] = revision.Name
	if w.short {
		pod.Labels[hashLabel] = revision.hash()
	}
	if w.hashes {
		pod.Labels[templateHashLabel] = revision.hash()
	}
	if !w.Scheduled {
		pod.Spec.NodeName = "node"
	}
	return pod
}

// name returns a name that no pod has.
func (w *workload) name() string {
	for {
		suffix := rand.String(5)
		if !w.Scheduled { // names of tests are the same each time
			w.made++
			suffix = rand.SafeEncodeString(fmt.Sprintf("%05d", w.made))
		}
		name := w.object.GetName() + "-" + suffix
		if !w.names[name] {
			w.names[name] = true
			return name
		}
	}
}

// create writes pods, several at a time if the cluster says so.
func (w *workload) create(ctx context.Context, pods ...*corev1.Pod) error {
	return w.each(pods, func(pod *corev1.Pod) error {
		err := w.Client.Create(ctx, pod)
		if err == nil || apierrors.IsAlreadyExists(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			return nil
		}
		return fmt.Errorf("making pod %s: %w", pod.Name, err)
	})
}

// remove deletes those very pods.
func (w *workload) remove(ctx context.Context, pods ...*corev1.Pod) error {
	return w.each(pods, func(pod *corev1.Pod) error {
		err := w.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID})
		if ignoreRace(err) != nil {
			return fmt.Errorf("deleting pod %s: %w", pod.Name, err)
		}
		return nil
	})
}

func (c *Cluster) each(pods []*corev1.Pod, do func(*corev1.Pod) error) error {
	errs := make([]error, len(pods))
	var running sync.WaitGroup
	slots := make(chan struct{}, max(1, c.Parallel))
	for i, pod := range pods {
		if c.Parallel <= 1 { // in their order
			if err := do(pod); err != nil {
				return err
			}
			continue
		}
		slots <- struct{}{}
		running.Go(func() {
			errs[i] = do(pod)
			<-slots
		})
	}
	running.Wait()
	return firstError(errs...) // the others are alike
}

// active reports whether a pod counts: it neither goes nor has ended.
func active(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && !ended(pod)
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
}

// expendable orders pods by how little is lost with them, in the documented order: not bound, pending, not ready, cheap, then the
// ones that have been ready for less time, then the newer ones.
func (w *workload) expendable(a, b *corev1.Pod) int {
	bit := func(is bool) int {
		if is {
			return 1
		}
		return 0
	}
	sinceA, readyA := readySince(a)
	sinceB, readyB := readySince(b)
	if c := cmp.Or(
		bit(a.Spec.NodeName != "")-bit(b.Spec.NodeName != ""),
		phaseOrder(a)-phaseOrder(b),
		bit(readyA)-bit(readyB),
		cmp.Compare(costOf(a), costOf(b)),
		bit(w.available(a))-bit(w.available(b)),
	); c != 0 {
		return c
	}
	if readyA && readyB {
		if c := sinceB.Compare(sinceA); c != 0 {
			return c
		}
	}
	return cmp.Or(b.CreationTimestamp.Compare(a.CreationTimestamp.Time), strings.Compare(b.Name, a.Name))
}

func phaseOrder(pod *corev1.Pod) int {
	return max(0, slices.Index([]corev1.PodPhase{corev1.PodPending, corev1.PodUnknown, corev1.PodRunning}, pod.Status.Phase))
}

func costOf(pod *corev1.Pod) int {
	cost, _ := strconv.Atoi(pod.Annotations["controller.kubernetes.io/pod-deletion-cost"])
	return cost
}
