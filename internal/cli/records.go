// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	nativedescribe "k8s.io/kubectl/pkg/describe"

	rolloutsv1alpha1 "kruise.io/rollouts/api/v1alpha1"
	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// rolloutName is how kubectl names the kind before an object's name.
const rolloutName = "rollout.rollouts.kruise.io"

// recorded are the recorded releases of a Rollout, the oldest first; none where the server has no records or the user
// may not see them, since everything but their story is known without them.
func (s *shell) recorded(ctx context.Context, r *release) ([]*rolloutsv1alpha1.RolloutHistory, error) {
	client, err := s.factory.DynamicClient()
	if err != nil {
		return nil, err
	}
	resource := rolloutsv1alpha1.GroupVersion.WithResource("rollouthistories")
	found, err := list[rolloutsv1alpha1.RolloutHistory](ctx, client, resource, r.Namespace, rolloutsv1beta1.LabelRolloutName+"="+rolloutsv1beta1.RolloutNameLabel(r.Name))
	switch {
	case absent(err) || apierrors.IsForbidden(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("listing the recorded releases: %w", err)
	}
	slices.SortStableFunc(found, func(a, b *rolloutsv1alpha1.RolloutHistory) int {
		return cmp.Or(cmp.Compare(storyOf(a).Number, storyOf(b).Number), a.CreationTimestamp.Compare(b.CreationTimestamp.Time))
	})
	return found, nil
}

// storyOf is what a record shows; one of another version of the manager shows nothing.
func storyOf(h *rolloutsv1alpha1.RolloutHistory) rolloutsv1alpha1.ReleaseInfo {
	if h.Spec.Release == nil {
		return rolloutsv1alpha1.ReleaseInfo{}
	}
	return *h.Spec.Release
}

// recordOf finds the record of a revision, the newest of several; nil: none.
func recordOf(records []*rolloutsv1alpha1.RolloutHistory, revision int64) *rolloutsv1alpha1.RolloutHistory {
	for _, h := range slices.Backward(records) {
		if revision != 0 && storyOf(h).Revision == revision {
			return h
		}
	}
	return nil
}

// records lists releases: those that say who and what, and those of another version of the manager.
func (o *history) records(records []*rolloutsv1alpha1.RolloutHistory) error {
	told := [][]string{{"RELEASE", "REVISION", "BY", "OUTCOME", "AGE", "CHANGE"}}
	bare := [][]string{{"RELEASE", "ROLLOUT ID", "PHASE", "PODS BY STEP", "AGE"}}
	for _, h := range records {
		if h.Spec.Release == nil {
			bare = append(bare, bareRow(h))
			continue
		}
		r := storyOf(h)
		revision := "-"
		if r.Revision != 0 {
			revision = strconv.FormatInt(r.Revision, 10)
		}
		change := "-"
		if len(r.Change) > 0 {
			change = r.Change[0]
		}
		if more := len(r.Change) - 1; more > 0 {
			change += fmt.Sprintf(" (and %d more)", more)
		}
		told = append(told, []string{
			strconv.FormatInt(r.Number, 10), revision, cmp.Or(r.User, "-"), string(r.Outcome), duration.HumanDuration(time.Since(r.StartTime.Time)), change,
		})
	}
	for i, rows := range [][][]string{told, bare} {
		if len(rows) == 1 {
			continue
		}
		if i > 0 && len(told) > 1 {
			if _, err := fmt.Fprintln(o.Out); err != nil {
				return err
			}
		}
		if err := o.table(rows); err != nil {
			return err
		}
	}
	return nil
}

func bareRow(h *rolloutsv1alpha1.RolloutHistory) []string {
	steps := []string{}
	for _, step := range h.Status.CanarySteps {
		steps = append(steps, strconv.Itoa(len(step.Pods)))
	}
	age := duration.HumanDuration(time.Since(h.CreationTimestamp.Time))
	return []string{h.Name, h.Labels[rolloutsv1beta1.LabelRolloutID], cmp.Or(h.Status.Phase, "running"), strings.Join(steps, "+"), age}
}

// details shows the story of one release.
func (o *history) details(r *release, h *rolloutsv1alpha1.RolloutHistory) error {
	story, text := storyOf(h), &strings.Builder{}
	fmt.Fprintf(text, "%s/%s with revision #%d\n", rolloutName, r.Name, story.Revision)
	fmt.Fprintf(text, "Release:   %d, %s\n", story.Number, story.Outcome)
	fmt.Fprintf(text, "By:        %s\n", cmp.Or(story.User, "not known"))
	fmt.Fprintf(text, "Versions:  %s -> %s\n", story.From, story.To)
	fmt.Fprintln(text, "Change:")
	for _, line := range story.Change {
		fmt.Fprintf(text, "  %s\n", line)
	}
	fmt.Fprintln(text, "Timeline:")
	fmt.Fprintf(text, "  %s  started%s\n", moment(story.StartTime), by(story.User))
	for _, e := range story.Timeline {
		what := map[rolloutsv1beta1.ReleaseEventType]string{
			rolloutsv1beta1.TemplateRolledBack: "template rolled back", rolloutsv1beta1.TemplateSuperseded: "template changed again",
		}[e.Type]
		if what == "" {
			what = string(e.Type)
		}
		if e.Type == rolloutsv1beta1.StepJumped {
			what += " to"
		}
		if e.Step > 0 {
			what += fmt.Sprintf(" step %d", e.Step)
		}
		if e.Message != "" {
			what += ": " + e.Message
		}
		fmt.Fprintf(text, "  %s  %s%s\n", moment(e.Time), what, by(e.User))
	}
	if story.CompletionTime != nil {
		fmt.Fprintf(text, "  %s  %s\n", moment(*story.CompletionTime), story.Outcome)
	}
	template, err := templateOf(h)
	if err != nil {
		return err
	}
	nativedescribe.DescribePodTemplate(template, nativedescribe.NewPrefixWriter(text))
	_, err = fmt.Fprint(o.Out, text)
	return err
}

func moment(t metav1.Time) string { return t.UTC().Format(time.RFC3339) }

func by(user string) string {
	if user == "" {
		return ""
	}
	return " by " + user
}

// templateOf is the pod template that a recorded release was about.
func templateOf(h *rolloutsv1alpha1.RolloutHistory) (*corev1.PodTemplateSpec, error) {
	template := &corev1.PodTemplateSpec{}
	raw, err := rawTemplate(h)
	if err == nil {
		err = json.Unmarshal(raw, template)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the recorded template in %s: %w", h.Name, err)
	}
	return template, nil
}

func rawTemplate(h *rolloutsv1alpha1.RolloutHistory) (json.RawMessage, error) {
	if t := storyOf(h).Template; t != nil {
		return t.Raw, nil
	}
	spec := struct {
		Template json.RawMessage `json:"template"`
	}{}
	if err := json.Unmarshal(h.Spec.Workload.Data.Raw, &spec); err != nil {
		return nil, err
	}
	if spec.Template == nil {
		return nil, errNoTemplate
	}
	return spec.Template, nil
}
