// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// Sight is what there is to see at a moment; nil where there is none.
type Sight struct {
	Rollout    *v1beta1.Rollout
	Release    *v1beta1.BatchRelease
	Deployment *appsv1.Deployment
	Canaries   []appsv1.Deployment // that stand next to it
	Sets       []appsv1.ReplicaSet
	Pods       []corev1.Pod
	Traffic    string // where requests go; empty: the story has no Service
}

// See reads everything.
func See(ctx context.Context, c client.Reader, namespace string) (Sight, error) {
	s := Sight{Rollout: &v1beta1.Rollout{}, Release: &v1beta1.BatchRelease{}, Deployment: &appsv1.Deployment{}}
	key := client.ObjectKey{Namespace: namespace, Name: "web"}
	if err := c.Get(ctx, key, s.Rollout); client.IgnoreNotFound(err) != nil {
		return s, fmt.Errorf("looking: %w", err)
	} else if err != nil {
		s.Rollout = nil
	}
	if err := c.Get(ctx, key, s.Release); client.IgnoreNotFound(err) != nil {
		return s, fmt.Errorf("looking: %w", err)
	} else if err != nil {
		s.Release = nil
	}
	if err := c.Get(ctx, key, s.Deployment); client.IgnoreNotFound(err) != nil {
		return s, fmt.Errorf("looking: %w", err)
	} else if err != nil {
		s.Deployment = nil
	}
	canaries := &appsv1.DeploymentList{}
	if err := c.List(ctx, canaries, client.InNamespace(namespace), client.MatchingLabels{v1beta1.LabelCanaryDeployment: "web"}); err != nil {
		return s, fmt.Errorf("looking: %w", err)
	}
	s.Canaries = canaries.Items
	sets, pods := &appsv1.ReplicaSetList{}, &corev1.PodList{}
	if err := c.List(ctx, sets, client.InNamespace(namespace)); err != nil {
		return s, fmt.Errorf("looking: %w", err)
	}
	if err := c.List(ctx, pods, client.InNamespace(namespace)); err != nil {
		return s, fmt.Errorf("looking: %w", err)
	}
	s.Sets = sets.Items
	s.Pods = slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	slices.SortFunc(s.Sets, func(a, b appsv1.ReplicaSet) int {
		return cmp.Or(number(a)-number(b), strings.Compare(a.Name, b.Name))
	})
	var err error
	s.Traffic, err = s.traffic(ctx, c, namespace)
	return s, err
}

// number is the native controller's count of templates.
func number(set appsv1.ReplicaSet) int {
	n, _ := strconv.Atoi(set.Annotations["deployment.kubernetes.io/revision"])
	return n
}

func (p *Play) until(ctx context.Context, u *Until) error {
	var last Sight
	err := p.stage.Until(ctx, u.limit(), func() bool {
		s, err := See(ctx, p.stage.Client(), p.stage.Namespace())
		last = s
		return err == nil && s.meets(u)
	})
	if err != nil {
		return fmt.Errorf("%w; there is\n%s", err, last)
	}
	if n, ok := p.stage.(Noter); ok && u.Blocked != "" {
		b := last.blocker(u.Blocked)
		n.Note(fmt.Sprintf("    ! %s: %s", named(*b), b.Message))
	}
	return nil
}

// blocker is the one of the Rollout that is asked for, by its code, and its object where that is said; nil: there is none.
func (s Sight) blocker(what string) *v1beta1.Blocker {
	if s.Rollout == nil {
		return nil
	}
	for i, b := range s.Rollout.Status.Blockers {
		if string(b.Code) == what || named(b) == what {
			return &s.Rollout.Status.Blockers[i]
		}
	}
	return nil
}

func named(b v1beta1.Blocker) string {
	if b.Object == nil {
		return string(b.Code)
	}
	return string(b.Code) + " " + b.Object.String()
}

// progress is what a Rollout says of a release in whichever style, and how many pods it counts.
func progress(ro *v1beta1.Rollout) (v1beta1.CommonStatus, int32) {
	common := ro.Status.Common()
	if common == nil {
		return v1beta1.CommonStatus{}, 0
	}
	updated, _ := ro.Status.Pods()
	return *common, updated
}

// meets reports whether everything that is waited for is there.
func (s Sight) meets(u *Until) bool {
	ro := s.Rollout
	if ro == nil {
		ro = &v1beta1.Rollout{}
	}
	sub, updated := progress(ro)
	release := ""
	if s.Release != nil {
		release = string(s.Release.Status.Phase) + "/" + string(s.Release.Status.CanaryStatus.CurrentBatchState)
	}
	for _, c := range []struct {
		asked bool
		met   bool
	}{
		{u.Phase != "", string(ro.Status.Phase) == u.Phase},
		{u.State != "", string(sub.CurrentStepState) == u.State},
		{u.Step != 0, sub.CurrentStepIndex == u.Step},
		{u.Reason != "", conditionOf(ro, v1beta1.ConditionProgressing).Reason == u.Reason},
		{u.Succeeded != "", string(conditionOf(ro, v1beta1.ConditionSucceeded).Status) == u.Succeeded},
		{u.Blocked != "", s.blocker(u.Blocked) != nil},
		{u.Message != "", strings.Contains(ro.Status.Message+"\n"+sub.Message, u.Message)},
		{u.Updated != nil, updated == ptr.Deref(u.Updated, 0)},
		{u.Release != "", release == u.Release},
		{u.Traffic != "", s.Traffic == u.Traffic},
		{u.Gone == "rollout", s.Rollout == nil},
		{u.Gone == "batchrelease", s.Release == nil},
		{u.Gone == "deployment", s.Deployment == nil},
		{u.Gone == "canary", len(s.Canaries) == 0},
		{u.Pods != nil, sameCounts(u.Pods, s.countPods(func(p *corev1.Pod) string { return tag(p.Spec) }))},
		{u.Ready != nil, sameCounts(u.Ready, s.countPods(func(p *corev1.Pod) string {
			if !ready(p) {
				return ""
			}
			return tag(p.Spec)
		}))},
		{u.Labels != nil, sameCounts(u.Labels, s.countPods(func(p *corev1.Pod) string {
			if p.Labels[v1beta1.LabelBatchID] == "" {
				return ""
			}
			return p.Labels[v1beta1.LabelRolloutID] + "/" + p.Labels[v1beta1.LabelBatchID]
		}))},
	} {
		if c.asked && !c.met {
			return false
		}
	}
	return true
}

func (s Sight) countPods(by func(*corev1.Pod) string) map[string]int32 {
	counts := map[string]int32{}
	for i := range s.Pods {
		if key := by(&s.Pods[i]); key != "" {
			counts[key]++
		}
	}
	return counts
}

// sameCounts compares counts; what is not mentioned is not there.
func sameCounts(want, have map[string]int32) bool {
	for key, n := range have {
		if want[key] != n {
			return false
		}
	}
	for key, n := range want {
		if have[key] != n {
			return false
		}
	}
	return true
}

func tag(spec corev1.PodSpec) string {
	name := spec.Containers[0].Image
	name = name[strings.LastIndex(name, ":")+1:]
	for _, env := range spec.Containers[0].Env {
		name += "+" + env.Value
	}
	return name
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// String shows everything in one line: the Rollout, the Deployment, and how many pods of each version are ready.
func (s Sight) String() string {
	line := "no Rollout"
	if ro := s.Rollout; ro != nil {
		line = string(ro.Status.Phase)
		if c, _ := progress(ro); c.CurrentStepState != "" {
			n := 0
			switch s := ro.Spec.Strategy; {
			case s.Canary != nil:
				n = len(s.Canary.Steps)
			case s.BlueGreen != nil:
				n = len(s.BlueGreen.Steps)
			}
			line += fmt.Sprintf(" %d/%d %s", c.CurrentStepIndex, n, c.CurrentStepState)
		}
	}
	if br := s.Release; br != nil && s.Rollout == nil {
		line += fmt.Sprintf(", BatchRelease %s batch %d %s", br.Status.Phase, br.Status.CanaryStatus.CurrentBatch, br.Status.CanaryStatus.CurrentBatchState)
	}
	line = fmt.Sprintf("%-36s | %s", line, s.pods())
	if s.Traffic != "" {
		line += " | " + s.Traffic
	}
	if s.Rollout != nil && s.Rollout.Status.Message != "" {
		line += " | " + s.revisions(s.Rollout.Status.Message)
	}
	return line
}

// pods shows the Deployment's state and its pods: "held v1 4/4 v2 1/1".
func (s Sight) pods() string {
	d := s.Deployment
	if d == nil {
		return "no Deployment"
	}
	text := ""
	switch never := d.Spec.MinReadySeconds == 2147483646; {
	case d.Spec.Paused && never:
		text = "armed  "
	case never:
		text = fmt.Sprintf("+%s -%s", d.Spec.Strategy.RollingUpdate.MaxSurge, d.Spec.Strategy.RollingUpdate.MaxUnavailable)
	case d.Spec.Paused:
		text = "held"
	default:
		text = "free"
	}
	text = fmt.Sprintf("%-6s", text)
	text += s.versions(d)
	for i := range s.Canaries {
		if versions := s.versions(&s.Canaries[i]); versions != "" {
			text += "  beside" + versions
		}
	}
	return text
}

// versions shows the ReplicaSets of a Deployment.
func (s Sight) versions(d *appsv1.Deployment) string {
	text := strings.Builder{}
	for _, set := range s.Sets {
		asked := ptr.Deref(set.Spec.Replicas, 1)
		if !metav1.IsControlledBy(&set, d) || asked == 0 && set.Status.Replicas == 0 {
			continue
		}
		fmt.Fprintf(&text, "  %s %d/%d", tag(set.Spec.Template.Spec), set.Status.ReadyReplicas, asked)
	}
	return text.String()
}

// revisions writes versions instead of hashes, which differ from cluster to cluster.
func (s Sight) revisions(text string) string {
	for _, set := range s.Sets {
		if hash := set.Labels[appsv1.DefaultDeploymentUniqueLabelKey]; hash != "" {
			text = strings.ReplaceAll(text, hash, tag(set.Spec.Template.Spec))
		}
	}
	return text
}
