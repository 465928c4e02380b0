// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/sim/world"
	"kruise.io/rollouts/test/scenario"
)

// A tale is a release that is played to its end, or shows why it does not get there.
type tale func(ctx context.Context, s *stage) error

// told is a tale that is a story of a file.
func told(name string) tale {
	return func(ctx context.Context, s *stage) error {
		stories, err := scenario.Load(scenarios)
		if err != nil {
			return err
		}
		for _, story := range stories {
			if story.Name != name {
				continue
			}
			s.outage = true // what is refused may cost requests
			play, err := scenario.Start(ctx, s, story, scenarios)
			if err != nil {
				return err
			}
			if err := play.Run(ctx); err != nil {
				return err
			}
			if err := s.settle(ctx); err != nil {
				return err
			}
			difference, err := play.GivenBack(ctx)
			if difference != "" {
				err = errors.Join(err, errors.New(difference))
			}
			return err
		}
		return fmt.Errorf("there is no story %q", name)
	}
}

// release plays a tale from its beginning to its end.
func release(told scenario.Tale) tale {
	return func(ctx context.Context, s *stage) error {
		s.outage = true // gateways are not simulated of all kinds
		if err := s.AddNodes(ctx, 3); err != nil {
			return err
		}
		objects, err := told.Given(world.Namespace)
		for i := 0; i < len(objects) && err == nil; i++ {
			err = s.User.Create(ctx, objects[i])
		}
		if err != nil {
			return err
		}
		return errors.Join(s.begin(ctx, objects[0]), s.finish(ctx))
	}
}

// simple is the release of a workload that nothing routes requests to.
func simple(kind string) scenario.Tale {
	return scenario.Tale{Workload: kind, Strategy: `{canary: {steps: [{replicas: 1}, {replicas: 100%}]}}`}
}

// begin changes the image once the Rollout is healthy, and waits until the first step waits.
func (s *stage) begin(ctx context.Context, w *unstructured.Unstructured) error {
	if err := s.reach(ctx, v1beta1.PhaseHealthy, ""); err != nil {
		return err
	}
	if err := s.User.Patch(ctx, w, client.RawPatch("application/merge-patch+json", []byte(scenario.Change))); err != nil {
		return err
	}
	return s.reach(ctx, v1beta1.PhaseProgressing, v1beta1.StepPaused)
}

// finish approves what waits, until the release is over and nothing is left of it.
func (s *stage) finish(ctx context.Context) error {
	ro := &v1beta1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: "web"}}
	s.Get(ctx, "web", ro)
	part := "canaryStatus"
	if ro.Spec.Strategy.BlueGreen != nil {
		part = "blueGreenStatus"
	}
	approval := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"status":{%q:{"currentStepState":"StepReady"}}}`, part))
	if err := s.User.Status().Patch(ctx, ro, approval); err != nil {
		return err
	}
	if err := s.reach(ctx, v1beta1.PhaseHealthy, v1beta1.StepCompleted); err != nil {
		return err
	}
	return s.Until(ctx, time.Minute, func() bool { return !s.Get(ctx, "web", &v1beta1.BatchRelease{}) })
}

func (s *stage) reach(ctx context.Context, phase v1beta1.RolloutPhase, state v1beta1.CanaryStepState) error {
	ro := &v1beta1.Rollout{}
	err := s.Until(ctx, 2*time.Minute, func() bool {
		s.Get(ctx, "web", ro)
		return ro.Status.Phase == phase && (state == "" || stateOf(ro) == state)
	})
	if err != nil {
		return fmt.Errorf("the Rollout is %s %s and not %s %s: %s: %w", ro.Status.Phase, stateOf(ro), phase, state, ro.Status.Message, err)
	}
	return nil
}

func stateOf(ro *v1beta1.Rollout) v1beta1.CanaryStepState {
	if b := ro.Status.BlueGreenStatus; b != nil {
		return b.CurrentStepState
	}
	return ro.Status.CurrentStepState
}

// tales show what the manager writes, all of it.
func tales() map[string]tale {
	all := map[string]tale{
		"a Deployment":                          told("approved"),
		"one that is superseded":                told("superseded"),
		"pods beside a Deployment by a Service": told("canary-traffic"),
		"by an Ingress":                         told("traffic-ingress"),
		"a BatchRelease without Rollout":        told("stand-alone"),
		"a Deployment on record":                recorded("Deployment"),
		"a ReplicaSet on record":                recorded("ReplicaSet"),
		"a record written over":                 writtenOver,
		"a renamed autoscaler":                  renamedAutoscaler,
	}
	for _, t := range scenario.Tales {
		all[t.Name] = release(t)
	}
	return all
}

// recorded wants the release of a kind recorded, as a whole.
func recorded(kind string) tale {
	return func(ctx context.Context, s *stage) error {
		if err := release(simple(kind))(ctx, s); err != nil {
			return err
		}
		record, err := s.record(ctx)
		if err == nil && !strings.Contains(string(record.Spec.Workload.Data.Raw), unknown) {
			err = fmt.Errorf("what our types do not know is not on record: %s", record.Spec.Workload.Data.Raw)
		}
		return err
	}
}

// record is the only one.
func (s *stage) record(ctx context.Context) (*v1alpha1.RolloutHistory, error) {
	histories := &v1alpha1.RolloutHistoryList{}
	if err := s.List(ctx, histories); err != nil {
		return nil, err
	}
	if n := len(histories.Items); n != 1 {
		return nil, fmt.Errorf("%d releases are on record, want 1", n)
	}
	return &histories.Items[0], nil
}

// writtenOver releases a workload, and another one of its name until its record is written over the first one.
func writtenOver(ctx context.Context, s *stage) error {
	if err := release(simple("Deployment"))(ctx, s); err != nil {
		return err
	}
	record, err := s.record(ctx)
	if err != nil {
		return err
	}
	last := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"10"}}}`, v1beta1.AnnotationReleaseNumber))
	if err := s.User.Patch(ctx, record, last); err != nil {
		return err
	}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: "web"}}
	if err := s.User.Delete(ctx, d, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
		return err
	}
	if err := s.Until(ctx, time.Minute, func() bool { return !s.Get(ctx, "web", d) }); err != nil {
		return fmt.Errorf("the Deployment stays: %w", err)
	}
	again, err := simple("Deployment").Given(world.Namespace)
	if err != nil {
		return err
	}
	if err := s.User.Create(ctx, again[0]); err != nil {
		return err
	}
	if err := s.Pass(ctx, time.Minute); err != nil {
		return err
	}
	if err := errors.Join(s.begin(ctx, again[0]), s.finish(ctx)); err != nil {
		return err
	}
	if record, err = s.record(ctx); err == nil && record.Annotations[v1beta1.AnnotationReleaseNumber] != "11" {
		err = fmt.Errorf("the record is of release %s", record.Annotations[v1beta1.AnnotationReleaseNumber])
	}
	return err
}

// renamedAutoscaler has the target of an autoscaler corrected that an older version has renamed.
func renamedAutoscaler(ctx context.Context, s *stage) error {
	const blueGreen = "blue-green by an HTTPRoute"
	i := slices.IndexFunc(scenario.Tales, func(t scenario.Tale) bool { return t.Name == blueGreen })
	objects, err := scenario.Tales[i].Given(world.Namespace)
	for i := 0; i < len(objects) && err == nil; i++ {
		err = s.User.Create(ctx, objects[i])
	}
	if err != nil {
		return err
	}
	return s.Until(ctx, time.Minute, func() bool {
		scaler := &autoscalingv1.HorizontalPodAutoscaler{}
		return s.Get(ctx, "web", scaler) && !strings.Contains(scaler.Spec.ScaleTargetRef.Name, "DisableByRollout")
	})
}
