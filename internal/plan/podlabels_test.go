// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// TestMarks has the rules and examples of docs/wire.md, pod labelling. Pods are written as id/batch, "-" without.
func TestMarks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		replicas int32
		batches  []string
		current  int
		id       string
		pods     []string
		want     []string
	}{
		"the first batch":                                {10, []string{"1", "50%"}, 0, "7", []string{"-"}, []string{"7/1"}},
		"without an id the revision is it":               {10, []string{"1", "50%"}, 0, "", []string{"-"}, []string{"v2/1"}},
		"the second batch adds to the first":             {10, []string{"1", "50%"}, 1, "7", []string{"7/1", "-", "-", "-", "-"}, []string{"7/1", "7/2", "7/2", "7/2", "7/2"}},
		"a lost label goes where there is room":          {10, []string{"2", "50%"}, 1, "7", []string{"7/1", "-", "7/2", "7/2", "7/2"}, []string{"7/1", "7/1", "7/2", "7/2", "7/2"}},
		"unlabelled pods: the latest batch first":        {10, []string{"1", "2", "5"}, 2, "7", []string{"-", "-"}, []string{"7/3", "7/3"}},
		"all unlabelled":                                 {10, []string{"1", "3"}, 1, "7", []string{"-", "-", "-"}, []string{"7/2", "7/2", "7/1"}},
		"more pods than the batches have room":           {10, []string{"1", "2"}, 0, "7", []string{"-", "-", "-"}, []string{"7/1", "-", "-"}},
		"scaled from 4 to 8 in the second of 25 and 50%": {8, []string{"25%", "50%"}, 1, "7", []string{"7/1", "7/2", "-", "-"}, []string{"7/1", "7/2", "7/2", "7/1"}},
		"another id labels anew":                         {10, []string{"1", "3"}, 1, "8", []string{"7/1", "7/2", "7/2"}, []string{"8/2", "8/2", "8/1"}},
		"what is no batch number":                        {10, []string{"1"}, 0, "7", []string{"7/x"}, []string{"7/1"}},
		"batches that shrink take no pods back":          {10, []string{"3", "2"}, 1, "7", []string{"7/1", "7/1", "7/1"}, []string{"7/1", "7/1", "7/1"}},
		"labels of a batch beyond the current one stay":  {10, []string{"2", "5"}, 0, "7", []string{"7/2", "-"}, []string{"7/2", "7/1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			br := &v1beta1.BatchRelease{}
			br.Spec.ReleasePlan.RolloutID = c.id
			for _, b := range c.batches {
				br.Spec.ReleasePlan.Batches = append(br.Spec.ReleasePlan.Batches, v1beta1.ReleaseBatch{CanaryReplicas: intstr.Parse(b)})
			}
			w := workload.State{Replicas: c.replicas, Update: "v2"}
			at := map[string]int{}
			for i, labels := range c.pods {
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p%d", i)}}
				if labels != "-" {
					id, batch, _ := strings.Cut(labels, "/")
					pod.Labels = map[string]string{v1beta1.LabelRolloutID: id, v1beta1.LabelBatchID: batch}
				}
				at[pod.Name] = i
				w.UpdatedPods = append(w.UpdatedPods, pod)
			}
			got := slices.Clone(c.pods)
			for _, change := range marks(br, w, c.current) {
				labels := change.To.GetLabels()
				got[at[change.To.GetName()]] = labels[v1beta1.LabelRolloutID] + "/" + labels[v1beta1.LabelBatchID]
				if labels[appsv1.ControllerRevisionHashLabelKey] != "v2" {
					t.Errorf("labels %v", labels)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("\n got %v\nwant %v", got, c.want)
			}
		})
	}
}

func TestBatchSize(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size     string
		replicas int32
		want     int32
	}{
		"a number":                     {"3", 10, 3},
		"more than there are":          {"30", 10, 10},
		"negative":                     {"-1", 10, 0},
		"percent, rounded up":          {"25%", 5, 2},
		"95% is not all":               {"95%", 10, 9},
		"99% of 2":                     {"99%", 2, 1},
		"99% of 1 is all":              {"99%", 1, 1},
		"100%":                         {"100%", 10, 10},
		"100% of nothing":              {"100%", 0, 0},
		"0%":                           {"0%", 10, 0},
		"what does not parse is none":  {"many", 10, 0},
		"more than 100% is not 100%":   {"120%", 10, 9},
		"a percentage of a whole step": {"1%", 10, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := v1beta1.PodsOf(intstr.Parse(c.size), c.replicas, true); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

// TestBatchReady has the rules of docs/wire.md, batch readiness.
func TestBatchReady(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		w         workload.State
		threshold string
		size      int32
		want      bool
	}{
		"all ready":                       {workload.State{Replicas: 10, Updated: 5, UpdatedReady: 5, Others: 5}, "", 5, true},
		"one is not":                      {workload.State{Replicas: 10, Updated: 5, UpdatedReady: 4, Others: 5}, "", 5, false},
		"too few":                         {workload.State{Replicas: 10, Updated: 4, UpdatedReady: 4, Others: 6}, "", 5, false},
		"old pods are still there":        {workload.State{Replicas: 10, Updated: 5, UpdatedReady: 5, Others: 6}, "", 5, false},
		"not seen by its controller":      {workload.State{Replicas: 10, Updated: 5, UpdatedReady: 5, Others: 5, Stale: true}, "", 5, false},
		"20 pods, 10% may fail, 9 ready":  {workload.State{Replicas: 20, Updated: 10, UpdatedReady: 9, Others: 10}, "10%", 10, true},
		"20 pods, 10% may fail, 8 ready":  {workload.State{Replicas: 20, Updated: 10, UpdatedReady: 8, Others: 10}, "10%", 10, false},
		"all may fail, but one":           {workload.State{Replicas: 2, Updated: 1, UpdatedReady: 0, Others: 1}, "100%", 1, false},
		"nothing asked for":               {workload.State{Replicas: 10, Others: 10}, "", 0, true},
		"no replicas":                     {workload.State{}, "", 0, true},
		"no replicas, not seen":           {workload.State{Stale: true}, "", 0, false},
		"more than asked for, of a jump":  {workload.State{Replicas: 10, Updated: 8, UpdatedReady: 8, Others: 2}, "", 5, true},
		"more than asked for, some ready": {workload.State{Replicas: 10, Updated: 8, UpdatedReady: 5, Others: 2}, "", 5, true},
		"no more come, as many as serve":  {workload.State{Replicas: 12, Updated: 10, UpdatedReady: 10, Others: 10, Beside: true, Ceiling: 10}, "", 12, true},
		"no more come, one is not ready":  {workload.State{Replicas: 12, Updated: 10, UpdatedReady: 9, Others: 10, Beside: true, Ceiling: 10}, "", 12, false},
		"no more come, fewer than serve":  {workload.State{Replicas: 10, Updated: 8, UpdatedReady: 8, Others: 10, Beside: true, Ceiling: 8}, "", 10, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &batchReleasePlanner{BatchReleaseInput: BatchReleaseInput{Workload: c.w, Release: &v1beta1.BatchRelease{}}}
			if c.threshold != "" {
				m.Release.Spec.ReleasePlan.FailureThreshold = new(intstr.Parse(c.threshold))
			}
			if got := m.ready(c.size, 100); got != c.want {
				t.Errorf("ready: %v, want %v", got, c.want)
			}
		})
	}
}
