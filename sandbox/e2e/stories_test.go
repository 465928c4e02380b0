// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/sandbox/product"
	"kruise.io/rollouts/test/scenario"
)

// stage is a namespace of a real cluster.
type stage struct {
	*place
	namespace string
	playing   func() // before each step of a story
}

func (s *stage) Client() client.Client { return s.user }
func (s *stage) Namespace() string     { return s.namespace }

func (s *stage) Until(ctx context.Context, limit time.Duration, done func() bool) error {
	return eventually(ctx, limit, done)
}

// Pass lets less time pass than a story says: nothing in them is about how long it is.
func (s *stage) Pass(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(min(d, 2*time.Second)):
		return nil
	}
}

func (s *stage) Do(ctx context.Context, what string) error {
	if what != "restart the manager" {
		return fmt.Errorf("how does one do that: %q", what)
	}
	return s.manager.restart(ctx)
}

func (s *stage) Playing(scenario.Step) {
	if s.playing != nil {
		s.playing()
	}
}

// newStage makes a namespace in the place that tests share.
func newStage(t *testing.T) *stage {
	t.Helper()
	return home.newStage(t)
}

func (p *place) newStage(t *testing.T) *stage {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "story-"}}
	if err := p.user.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return &stage{place: p, namespace: ns.Name}
}

// TestStories plays the stories of the simulated world, which end here as they do there.
func TestStories(t *testing.T) {
	root, err := product.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "test", "scenarios")
	stories, err := scenario.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, story := range stories {
		t.Run(story.Name, func(t *testing.T) {
			if story.Simulated != "" {
				t.Skip(story.Simulated)
			}
			// A manager that is restarted is everybody's.
			if !slices.ContainsFunc(story.Steps, func(s scenario.Step) bool { return s.Do == "restart the manager" }) {
				t.Parallel()
			}
			play(t, newStage(t), story, dir)
		})
	}
}

func play(t *testing.T, s *stage, story *scenario.Story, dir string) {
	t.Helper()
	ctx := t.Context()
	p, err := scenario.Start(ctx, s, story, dir)
	if err != nil {
		t.Fatal(err)
	}
	tool := s.applier(
		schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, schema.GroupVersionKind{Version: "v1", Kind: "Service"},
		schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
		schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"},
	)
	s.playing = func() { tool.look(t) }
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if story.Records { // its transcript is what is recorded
		checkRecords(t, s, filepath.Join(dir, story.Name+".golden"))
		return
	}
	want := lastLine(t, filepath.Join(dir, story.Name+".golden"))
	var got, difference string
	err = eventually(ctx, patience, func() bool {
		sight, err := scenario.See(ctx, s.user, s.namespace)
		got = squeeze(sight.String())
		if err == nil {
			difference, err = p.GivenBack(ctx)
		}
		return err == nil && got == want && difference == ""
	})
	if err != nil {
		t.Errorf("%v: it ends as\n%s\nand in the simulated world as\n%s\n%s", err, got, want, difference)
	}
	tool.look(t)
}

// checkRecords: as many releases are recorded as in the simulated world, each with who began it.
func checkRecords(t *testing.T, s *stage, golden string) {
	t.Helper()
	raw, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	list := &v1alpha1.RolloutHistoryList{}
	if err := s.user.List(t.Context(), list, client.InNamespace(s.namespace)); err != nil {
		t.Fatal(err)
	}
	if want := strings.Count(string(raw), "\nrecord "); len(list.Items) != want {
		t.Errorf("%d releases are on record, want %d", len(list.Items), want)
	}
	for _, h := range list.Items {
		if h.Spec.Release == nil || h.Spec.Release.User == "" || len(h.Spec.Release.Change) == 0 {
			t.Errorf("%s does not say who changed what: %+v", h.Name, h.Spec.Release)
		}
	}
}

// lastLine is the end of a transcript, without its time.
func lastLine(t *testing.T, golden string) string {
	t.Helper()
	raw, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^ +[0-9hms]+s (.*)$`).FindAllStringSubmatch(string(raw), -1)
	return squeeze(lines[len(lines)-1][1])
}

func squeeze(line string) string { return strings.Join(strings.Fields(line), " ") }
