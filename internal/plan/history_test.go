// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
)

// ended is a view of a release of v2 in which only the workload is left to be released.
func ended(release v1beta1.ReleaseStatus, change func(*RolloutInput)) RolloutInput {
	s := inStep(1, v1beta1.StepCompleted, "100%")
	s.Rollout.Status.CanaryStatus.FinalisingStep = v1beta1.FinalisingReleaseWorkload
	s.Rollout.Status.Conditions[0].Reason = v1beta1.ReasonFinalising
	s.Rollout.Status.CanaryStatus.ObservedRolloutID = "7"
	s.Rollout.Status.Release = &release
	s.Workload.Engaged, s.Workload.RolloutID = false, "7"
	d, _ := s.Objects.Workload.(*appsv1.Deployment)
	d.UID = "web"
	d.Spec.Template.Labels = map[string]string{"app": "web"}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "web:v2"}}
	own := []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
	for hash, number := range map[string]string{"v1": "4", "v2": "5"} {
		set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
			Name: "web-" + hash, OwnerReferences: own, Labels: map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: hash},
			Annotations: map[string]string{"deployment.kubernetes.io/revision": number},
		}}
		set.Spec.Template = *d.Spec.Template.DeepCopy()
		set.Spec.Template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
		set.Spec.Template.Spec.Containers[0].Image = "web:" + hash
		s.Objects.Sets = append(s.Objects.Sets, set)
	}
	pod := func(name, id, batch string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{v1beta1.LabelRolloutID: id, v1beta1.LabelBatchID: batch}}}
	}
	s.Past = &Past{Pods: []*corev1.Pod{pod("a", "7", "1"), pod("b", "6", "1"), pod("c", "7", "2"), pod("d", "7", "")}}
	if change != nil {
		change(&s)
	}
	return s
}

// recordIn is the only record that a decision writes; nil: it writes none.
func recordIn(t *testing.T, d Decision[*v1beta1.Rollout]) *v1alpha1.RolloutHistory {
	t.Helper()
	if len(d.Records) == 0 {
		return nil
	}
	h, _ := d.Records[0].To.(*v1alpha1.RolloutHistory)
	if len(d.Records) > 1 || h == nil {
		t.Fatalf("%d records, the first is %v", len(d.Records), h)
	}
	return h
}

func TestRecord(t *testing.T) {
	t.Parallel()
	release := v1beta1.ReleaseStatus{Number: 12, StartTime: metav1.NewTime(noon), User: "jane", From: "v1", To: "v2"}
	on := func(number string) *v1alpha1.RolloutHistory {
		return &v1alpha1.RolloutHistory{ObjectMeta: metav1.ObjectMeta{
			Name: historyName("demo", 12), UID: "old", ResourceVersion: "3", Annotations: map[string]string{v1beta1.AnnotationReleaseNumber: number},
		}}
	}
	for name, c := range map[string]struct {
		change  func(*RolloutInput)
		outcome v1beta1.ReleaseOutcome // empty: no record
		over    bool
	}{
		"completed":       {nil, v1beta1.OutcomeCompleted, false},
		"over an old one": {func(s *RolloutInput) { s.Past.Histories = []*v1alpha1.RolloutHistory{on("2")} }, v1beta1.OutcomeCompleted, true},
		"deleted": {func(s *RolloutInput) {
			s.Rollout.DeletionTimestamp = &metav1.Time{Time: noon}
			s.Rollout.Status.Phase = v1beta1.PhaseTerminating
		}, v1beta1.OutcomeDeleted, false},
		"disabled":          {func(s *RolloutInput) { s.Rollout.Spec.Disabled = true; s.Rollout.Status.Phase = v1beta1.PhaseDisabling }, v1beta1.OutcomeDisabled, false},
		"nobody keeps any":  {func(s *RolloutInput) { s.Past = nil }, "", false},
		"nothing was noted": {func(s *RolloutInput) { s.Rollout.Status.Release = nil }, "", false},
		"it is there": {func(s *RolloutInput) {
			s.Past.Histories, s.Rollout.Status.Release.Outcome = []*v1alpha1.RolloutHistory{on("12")}, v1beta1.OutcomeCompleted
		}, "", false},
		"rolled back": {func(s *RolloutInput) {
			s.Rollout.Status.Conditions[0].Reason, s.Rollout.Status.CanaryStatus.CanaryRevision = v1beta1.ReasonCancelling, "v1"
			s.Workload.Update = "v1"
			d, _ := s.Objects.Workload.(*appsv1.Deployment)
			d.Spec.Template.Spec.Containers[0].Image = "web:v1"
		}, v1beta1.OutcomeRolledBack, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := Rollout(ended(release, c.change))
			h := recordIn(t, d)
			if h == nil || c.outcome == "" {
				if (h == nil) != (c.outcome == "") {
					t.Errorf("got %v", h)
				}
				return
			}
			r := h.Spec.Release
			if r.Outcome != c.outcome || r.Number != 12 || r.User != "jane" || r.To != "v2" || r.Revision != 5 || r.CompletionTime == nil || h.Status.Phase != "completed" {
				t.Errorf("got %+v, %s", r, h.Status.Phase)
			}
			if (d.Records[0].From != nil) != c.over || c.over && (h.UID != "old" || h.ResourceVersion != "3") {
				t.Errorf("written over %v as %s/%s", d.Records[0].From, h.UID, h.ResourceVersion)
			}
			if (r.Template != nil) != (c.outcome == v1beta1.OutcomeRolledBack) || r.Template != nil && !strings.Contains(string(r.Template.Raw), "web:v2") {
				t.Errorf("template is %v", r.Template)
			}
			pods, _ := json.Marshal(h.Status.CanarySteps)
			if string(pods) != `[{"canaryStepIndex":1,"pods":[{"name":"a"}]}]` {
				t.Errorf("pods are %s", pods)
			}
			if len(h.OwnerReferences) != 1 || h.OwnerReferences[0].UID != "web" || h.Labels[v1beta1.LabelRolloutID] != "7" || h.Labels[v1beta1.LabelRolloutName] != "demo" {
				t.Errorf("got %+v", h.ObjectMeta)
			}
		})
	}
}

// TestRecordsAreBounded lets releases end in any order of luck: some records are lost, some are deleted by people, the
// Rollout is made anew now and then. There are never more than those kept, and the newest is among them.
func TestRecordsAreBounded(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // luck that repeats itself
	stored := map[string]*v1alpha1.RolloutHistory{}
	release := (*v1beta1.ReleaseStatus)(nil)
	for range 500 {
		s := ended(v1beta1.ReleaseStatus{}, func(s *RolloutInput) {
			for _, h := range stored {
				s.Past.Histories = append(s.Past.Histories, h)
			}
			slices.SortFunc(s.Past.Histories, func(a, b *v1alpha1.RolloutHistory) int { return strings.Compare(a.Name, b.Name) })
			s.Rollout.Status.Release = release
		})
		l := &rolloutPlanner{RolloutInput: s, Decision: Decision[*v1beta1.Rollout]{Object: s.Rollout.DeepCopy()}}
		l.status = &l.Object.Status
		l.ensureProgress()
		l.opened("v1")
		l.record(v1beta1.OutcomeCompleted)
		h := recordIn(t, l.Decision)
		if h == nil {
			t.Fatal("a release is not on record")
		}
		release = l.status.Release
		for _, other := range stored {
			if other.Name != h.Name && numberOf(other) >= numberOf(h) {
				t.Fatalf("release %d after %d", numberOf(h), numberOf(other))
			}
		}
		if have := stored[h.Name]; have != nil && numberOf(have) > numberOf(h)-kept {
			t.Fatalf("release %d is written over %d", numberOf(h), numberOf(have))
		}
		if random.IntN(5) > 0 {
			stored[h.Name] = h
		}
		if random.IntN(20) == 0 {
			delete(stored, h.Name)
		}
		if random.IntN(10) == 0 {
			release = nil
		}
		if len(stored) > kept {
			t.Fatalf("%d records", len(stored))
		}
	}
}

func TestChangeOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from, to string
		want     []string
	}{
		"an image":           {`{"spec":{"containers":[{"name":"a","image":"x:1"}]}}`, `{"spec":{"containers":[{"name":"a","image":"x:2"}]}}`, []string{"spec.containers[a].image: x:1 -> x:2"}},
		"one more":           {`{"c":[{"name":"a"}]}`, `{"c":[{"name":"b"},{"name":"a"}]}`, []string{`c[b]: (none) -> {"name":"b"}`}},
		"one less":           {`{"c":[{"name":"a"},{"name":"b"}]}`, `{"c":[{"name":"a"}]}`, []string{`c[b]: {"name":"b"} -> (none)`}},
		"without names":      {`{"args":["a","b"]}`, `{"args":["a","c"]}`, []string{"args[1]: b -> c"}},
		"the same name":      {`{"c":[{"name":"a","v":1},{"name":"a","v":2}]}`, `{"c":[{"name":"a","v":1},{"name":"a","v":3}]}`, []string{"c[1].v: 2 -> 3"}},
		"empty is no name":   {`{"v":""}`, `{"v":"x"}`, []string{`v: "" -> x`}},
		"nothing":            {`{"a":{"b":1}}`, `{"a":{"b":1}}`, nil},
		"nothing to compare": {`null`, `{"a":1}`, nil},
		"long":               {`{"v":1}`, `{"v":"` + strings.Repeat("ä", 200) + `"}`, []string{"v: 1 -> " + strings.Repeat("ä", longValue) + "..."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := map[string]any{}, map[string]any{}
			if err := json.Unmarshal([]byte(c.from), &from); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(c.to), &to); err != nil {
				t.Fatal(err)
			}
			if got := changeOf(from, to); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	many := map[string]any{}
	for i := range 60 {
		many[strings.Repeat("x", i+1)] = i
	}
	if got := changeOf(map[string]any{}, many); len(got) != manyChanges+1 || got[manyChanges] != "and 36 more" {
		t.Errorf("got %q", got)
	}
}

// TestTimelineIsBounded checks that jumping back and forth does not fill the status.
func TestTimelineIsBounded(t *testing.T) {
	t.Parallel()
	r := &v1beta1.ReleaseStatus{}
	for i := range int32(500) {
		Happened(r, v1beta1.ReleaseEvent{Type: v1beta1.StepJumped, Step: i})
	}
	if len(r.Timeline) != longTimeline || r.Timeline[longTimeline-1].Step != 499 {
		t.Errorf("%d events, the last is %+v", len(r.Timeline), r.Timeline[len(r.Timeline)-1])
	}
}

// TestRecordsOfLongNames: names and labels of records are such that the API server takes them, and the same at each release.
func TestRecordsOfLongNames(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, name := range []string{
		"demo", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 70), strings.Repeat("a", 246), strings.Repeat("a", 253),
		strings.Repeat("a", 252) + "b", strings.Repeat("a", 245) + ".aaaaaaa", strings.Repeat("a", 51) + strings.Repeat(".a", 10),
	} {
		label, record := v1beta1.RolloutNameLabel(name), historyName(name, 12)
		if wrong := validation.IsValidLabelValue(label); len(wrong) > 0 {
			t.Errorf("%s is labelled %s: %v", name, label, wrong)
		}
		if wrong := validation.IsDNS1123Subdomain(record); len(wrong) > 0 {
			t.Errorf("the record of %s is %s: %v", name, record, wrong)
		}
		if len(name) <= 63 && label != name {
			t.Errorf("%s is labelled %s", name, label)
		}
		for _, is := range []string{"label " + label, "record " + record} {
			if seen[is] != "" {
				t.Errorf("%s is of %s and of %s", is, seen[is], name)
			}
			seen[is] = name
		}
	}
}
