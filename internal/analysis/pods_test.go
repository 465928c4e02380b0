// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fleet are as many ready pods of either side as are asked for, as they are at a time.
func fleet(young, old int) []Pod {
	var pods []Pod
	for i := range young + old {
		p := Pod{Name: fmt.Sprintf("old-%d", i), Created: begin.Add(-time.Hour), Ready: true, ReadySince: begin.Add(-time.Hour)}
		if i < young {
			p.Name, p.New = fmt.Sprintf("new-%d", i), true
		}
		p.UID = p.Name
		pods = append(pods, p)
	}
	return pods
}

// waiting puts the containers of pods into trouble.
func waiting(reason string, pods ...*Pod) {
	for _, p := range pods {
		p.Trouble = troubles[reason]
		p.Trouble.Container, p.Trouble.Reason = "app", reason
		p.Ready = false
	}
}

func crashed(at time.Time, reason string, pods ...*Pod) {
	for _, p := range pods {
		p.Restarts++
		p.Restarted = Ended{Container: "app", Reason: reason, ExitCode: 137, At: at}
		if reason == outOfMemory {
			p.OutOfMemory = p.Restarted
		}
	}
}

// TestPodSignals plays what happens to pods, second by second, with a look every ten. What is wanted is the first outcome other than
// Successful, and when.
func TestPodSignals(t *testing.T) {
	for _, c := range []struct {
		name       string
		young, old int
		// happens changes pods at a second of the run.
		happens func(second int, now time.Time, pods []Pod)
		want    Outcome
		after   int // seconds, at least
		before  int // seconds, at most; 0: in the same look
		message string
	}{
		{name: "all well", young: 3, old: 10, want: Successful},
		{name: "no pods", want: Successful},
		{
			name: "image", young: 3, old: 10,
			happens: func(_ int, _ time.Time, pods []Pod) { waiting("ImagePullBackOff", &pods[1]) },
			want:    Failed, after: 60, message: "pod new-1, container app: ImagePullBackOff; 1 of 3 new pods, 0 of 10 old ones",
		},
		{
			name: "image, by turns", young: 3, old: 10,
			happens: func(second int, _ time.Time, pods []Pod) {
				pods[0].Trouble = Trouble{}
				if second%30 != 20 {
					waiting([]string{"ErrImagePull", "ImagePullBackOff"}[second/10%2], &pods[0])
				}
			},
			want: Failed, after: 60,
		},
		{
			name: "image, pulled after a while", young: 3, old: 10,
			happens: func(second int, _ time.Time, pods []Pod) {
				pods[0].Trouble = Trouble{}
				if second <= 40 {
					waiting("ErrImagePull", &pods[0])
				}
			},
			want: Successful,
		},
		{
			name: "no name of an image", young: 3, old: 10,
			happens: func(_ int, _ time.Time, pods []Pod) { waiting("InvalidImageName", &pods[0]) },
			want:    Failed, message: "InvalidImageName",
		},
		{
			name: "image, for old pods as well", young: 2, old: 10,
			happens: func(_ int, _ time.Time, pods []Pod) {
				waiting("ImagePullBackOff", &pods[0], &pods[2], &pods[3], &pods[4], &pods[5], &pods[6])
			},
			want: Inconclusive, after: 60, message: "1 of 2 new pods, 5 of 10 old ones",
		},
		{
			name: "image, for fewer of the old pods", young: 2, old: 10,
			happens: func(_ int, _ time.Time, pods []Pod) { waiting("ImagePullBackOff", &pods[0], &pods[2]) },
			want:    Failed, after: 60,
		},
		{
			name: "only old pods", young: 2, old: 10,
			happens: func(_ int, _ time.Time, pods []Pod) { waiting("ImagePullBackOff", &pods[2], &pods[3]) },
			want:    Successful,
		},
		{
			name: "config", young: 1, old: 10,
			happens: func(_ int, _ time.Time, pods []Pod) { waiting("CreateContainerConfigError", &pods[0]) },
			want:    Failed, after: 60, message: "CreateContainerConfigError",
		},
		{
			name: "crash loop that runs now and then", young: 4, old: 10,
			happens: func(second int, now time.Time, pods []Pod) {
				pods[0].Trouble, pods[0].Ready = Trouble{}, true
				switch {
				case second%40 == 10:
					crashed(now, "Error", &pods[0])
					fallthrough
				case second%40 >= 20:
					waiting("CrashLoopBackOff", &pods[0])
				}
			},
			want: Failed, after: 40, before: 60, message: "pod new-0, container app: restarted 2 times, Error, exit code 137; 1 of 4 new pods, 0 of 10 old ones",
		},
		{
			name: "a pod that is being deleted", young: 1, old: 10,
			happens: func(second int, now time.Time, pods []Pod) {
				pods[0].Away = true
				waiting("CrashLoopBackOff", &pods[0])
				crashed(now, outOfMemory, &pods[0])
			},
			want: Successful,
		},
		{
			name: "a node that comes back", young: 1, old: 10,
			happens: func(second int, now time.Time, pods []Pod) {
				pods[0].Away = second > 0 && second < 100
				pods[0].Ready = second == 0 || second > 100
				if second < 100 {
					crashed(now, "Error", &pods[0])
				}
			},
			want: Successful,
		},
		{
			name: "two run out of memory", young: 4, old: 10,
			happens: func(second int, now time.Time, pods []Pod) {
				if second == 10 || second == 30 {
					crashed(now, outOfMemory, &pods[second/20])
				}
			},
			want: Failed, after: 30, message: "pod new-0, container app: OOMKilled; 2 of 4 new pods, 0 of 10 old ones",
		},
		{
			name: "one runs out of memory", young: 4, old: 10,
			happens: func(second int, now time.Time, pods []Pod) {
				if second == 10 {
					crashed(now, outOfMemory, &pods[0])
				}
			},
			want: Successful,
		},
		{
			name: "two did before the run", young: 4, old: 10,
			happens: func(second int, _ time.Time, pods []Pod) {
				if second == 0 {
					crashed(begin.Add(-time.Second), outOfMemory, &pods[0], &pods[1])
				}
			},
			want: Successful,
		},
		{
			name: "one, and another ten minutes later", young: 4, old: 10,
			happens: func(second int, now time.Time, pods []Pod) {
				if second == 10 || second == 650 {
					crashed(now, outOfMemory, &pods[second/640])
				}
			},
			want: Successful,
		},
		{
			name: "old ones run out of memory, too", young: 4, old: 4,
			happens: func(second int, now time.Time, pods []Pod) {
				if second == 10 {
					crashed(now, outOfMemory, &pods[0], &pods[1], &pods[4], &pods[5])
				}
			},
			want: Inconclusive, after: 10, message: "OOMKilled: 2 of 4 new pods, 2 of 4 old ones",
		},
		{
			name: "restarts of one of four, every two minutes", young: 4, old: 10,
			happens: func(second int, now time.Time, pods []Pod) {
				if second%120 == 50 {
					crashed(now, "Error", &pods[0])
				}
			},
			want: Failed, after: 170, before: 180, message: "pod new-0, container app: restarted 2 times, Error, exit code 137; 1 of 4 new pods, 0 of 10 old ones",
		},
		{
			name: "restarts of one of four, every two minutes, and one of an old pod", young: 4, old: 10,
			happens: func(second int, now time.Time, pods []Pod) {
				if second%120 == 50 {
					crashed(now, "Error", &pods[0])
				}
				if second == 60 {
					crashed(now, "Error", &pods[len(pods)-1])
				}
			},
			want: Failed, after: 240, before: 1800, message: "restarts, such as of pod new-0, container app: Error, exit code 137; in ",
		},
		{
			name: "restarts of all pods, old and new", young: 4, old: 10,
			happens: func(second int, now time.Time, pods []Pod) {
				for i := range pods {
					if (second+20*i)%200 == 0 {
						crashed(now, "Error", &pods[i])
					}
				}
			},
			want: Successful,
		},
		{
			name: "restarts with exit code 0", young: 4, old: 10,
			happens: func(second int, _ time.Time, pods []Pod) {
				if second%60 == 50 {
					pods[0].Restarts++
				}
			},
			want: Successful,
		},
		{
			name: "not ready again and again", young: 4, old: 10,
			happens: func(second int, now time.Time, pods []Pod) {
				if ready := second/20%2 == 0; ready != pods[1].Ready {
					pods[1].Ready, pods[1].ReadySince = ready, now
				}
			},
			want: Failed, after: 100, message: "pod new-1 stopped being ready 3 times in five minutes; 1 of 4 new pods, 0 of 10 old ones",
		},
		{
			name: "not ready again and again, and ready whenever one looks", young: 4, old: 10,
			happens: func(second int, now time.Time, pods []Pod) {
				if second > 0 && second%30 == 0 {
					pods[1].ReadySince = now
				}
			},
			want: Failed, after: 90,
		},
		{
			name: "old pods flap as well", young: 4, old: 4,
			happens: func(second int, now time.Time, pods []Pod) {
				if second > 0 && second%30 == 0 {
					pods[1].ReadySince, pods[5].ReadySince = now, now
				}
			},
			want: Inconclusive, after: 90, message: "1 of 4 new pods, 1 of 4 old ones",
		},
		{
			name: "all lose readiness now and then, new ones more often", young: 4, old: 12,
			happens: func(second int, now time.Time, pods []Pod) {
				if second%600 == 30 {
					pods[4].ReadySince = now
				}
				if second > 0 && second%120 == 0 {
					for i := range 4 {
						pods[i].ReadySince = now
					}
				}
			},
			want: Failed, after: 120, before: 1200, message: "lost readiness, such as of pod new-0; in ",
		},
		{
			name: "once", young: 4, old: 10,
			happens: func(second int, now time.Time, pods []Pod) {
				if second == 50 {
					pods[0].ReadySince = now
				}
			},
			want: Successful,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			pods := fleet(c.young, c.old)
			var seen PodsSeen
			for second := 0; second <= 1800; second += 10 {
				now := begin.Add(time.Duration(second) * time.Second)
				if c.happens != nil {
					c.happens(second, now, pods)
				}
				var outcome Outcome
				var message string
				seen, outcome, message = PodSignals(stored(t, seen), pods, now)
				if outcome == Successful {
					if message != "" {
						t.Fatalf("after %d s: a message of nothing: %s", second, message)
					}
					continue
				}
				if outcome != c.want || second < c.after || second > max(c.before, c.after) || !strings.Contains(message, c.message) {
					t.Fatalf("after %d s: %s, %q", second, outcome, message)
				}
				return
			}
			if c.want != Successful {
				t.Fatalf("nothing was found: %+v", seen)
			}
		})
	}
}

// stored takes what is kept through a status.
func stored(t interface{ Fatal(...any) }, seen PodsSeen) PodsSeen {
	text, err := json.Marshal(seen)
	if err != nil {
		t.Fatal(err)
	}
	var again PodsSeen
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	return again
}

// TestPodsOfThisRun: restarts of a pod that was created in the run count from 0, those of one that is older from where they were.
func TestPodsOfThisRun(t *testing.T) {
	for _, c := range []struct {
		created time.Time
		want    int32
	}{{begin.Add(time.Second), 3}, {begin.Add(-time.Second), 0}} {
		seen, _, _ := PodSignals(PodsSeen{}, nil, begin)
		p := Pod{UID: "x", Name: "x", New: true, Created: c.created, Restarts: 3, Restarted: Ended{Container: "app", ExitCode: 1}}
		seen, _, _ = PodSignals(seen, []Pod{p}, begin.Add(10*time.Second))
		if got := seen.Pods[podKey(p)].Gained; got != c.want {
			t.Errorf("created at %v: got %d, want %d", c.created, got, c.want)
		}
	}
}

// TestPodsSeenIsBounded: of more than 50 pods of a side it is always the same 50 that are looked at, and those that are gone are forgotten.
func TestPodsSeenIsBounded(t *testing.T) {
	many := fleet(80, 80)
	seen, _, _ := PodSignals(PodsSeen{}, many, begin)
	if len(seen.Pods) != 2*maxPods {
		t.Fatalf("%d pods", len(seen.Pods))
	}
	first := many[0]
	first.Name, first.UID = "a-new-one-that-comes-first", "another"
	again, _, _ := PodSignals(seen, append([]Pod{first}, many...), begin.Add(10*time.Second))
	if !reflect.DeepEqual(again.Pods, seen.Pods) {
		t.Error("another pod has taken a place")
	}
	if text, err := json.Marshal(again); err != nil || len(text) > 6000 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if again, _, _ = PodSignals(again, fleet(1, 1), begin.Add(20*time.Second)); len(again.Pods) != 2 {
		t.Errorf("%d pods are remembered of 2", len(again.Pods))
	}
}

// TestPodSignalsAreTotal draws pods, times and statuses that make no sense.
func TestPodSignalsAreTotal(t *testing.T) {
	number := rapid.SampledFrom([]int64{0, -1, 1, 60, 1 << 40, math.MaxInt64, math.MinInt64, begin.Unix(), begin.Unix() + 1000})
	rapid.Check(t, func(t *rapid.T) {
		seen := PodsSeen{Started: number.Draw(t, "started"), At: number.Draw(t, "at"), Minute: number.Draw(t, "minute"), Pods: map[string]PodSeen{}}
		for _, p := range fleet(1, 1) {
			seen.Pods[podKey(p)] = PodSeen{
				Restarts: int32(number.Draw(t, "restarts")), Gained: int32(number.Draw(t, "gained")), Flapped: int32(number.Draw(t, "flapped")),
				FlapTimes: []int64{number.Draw(t, "flap")}, OOM: number.Draw(t, "oom"), Kind: Kind(rapid.SampledFrom([]string{"", "crash", "x"}).Draw(t, "kind")),
				Since: number.Draw(t, "since"), Last: number.Draw(t, "last"),
			}
		}
		for range 3 {
			pods := fleet(rapid.IntRange(0, 2).Draw(t, "new"), rapid.IntRange(0, 2).Draw(t, "old"))
			for i := range pods {
				pods[i].Restarts = int32(number.Draw(t, "restarts"))
				pods[i].Ready = rapid.Bool().Draw(t, "ready")
			}
			var outcome Outcome
			seen, outcome, _ = PodSignals(seen, pods, time.Unix(number.Draw(t, "now"), 0))
			if outcome != Failed && outcome != Inconclusive && outcome != Successful {
				t.Fatalf("no outcome: %q", outcome)
			}
			if !seen.Restarts.plausible() || !seen.Flaps.plausible() {
				t.Fatalf("no state: %+v", seen)
			}
		}
	})
}

func TestPodOf(t *testing.T) {
	at := metav1.NewTime(begin)
	terminated := func(reason string, code int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: code, FinishedAt: at}}
	}
	wait := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	always := corev1.ContainerRestartPolicyAlways
	for _, c := range []struct {
		name string
		pod  corev1.Pod
		node bool // NotReady
		want Pod
	}{
		{name: "empty"},
		{
			name: "ready",
			pod: corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
				{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: at},
			}}},
			want: Pod{Ready: true, ReadySince: begin},
		},
		{name: "deleted", pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &at}}, want: Pod{Away: true}},
		{name: "evicted", pod: corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"}}, want: Pod{Away: true}},
		{
			name: "preempted",
			pod: corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
				{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "PreemptionByScheduler"},
			}}},
			want: Pod{Away: true},
		},
		{name: "node is gone", node: true, want: Pod{Away: true}},
		{
			name: "init container without its image",
			pod:  corev1.Pod{Status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{{Name: "init", State: wait("ErrImagePull")}}}},
			want: Pod{Trouble: Trouble{Kind: ImageTrouble, Container: "init", Reason: "ErrImagePull"}},
		},
		{
			name: "waits for others",
			pod:  corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "app", State: wait("ContainerCreating")}}}},
		},
		{
			name: "init containers are tried again, sidecars restart",
			pod: corev1.Pod{
				Spec: corev1.PodSpec{InitContainers: []corev1.Container{{Name: "init"}, {Name: "proxy", RestartPolicy: &always}}},
				Status: corev1.PodStatus{
					InitContainerStatuses: []corev1.ContainerStatus{
						{Name: "init", RestartCount: 7, LastTerminationState: terminated("Error", 1)},
						{Name: "proxy", RestartCount: 2, LastTerminationState: terminated("Error", 2)},
					},
					ContainerStatuses: []corev1.ContainerStatus{{Name: "app", RestartCount: 1, LastTerminationState: terminated("Completed", 0)}},
				},
			},
			want: Pod{Restarts: 3, Restarted: Ended{Container: "proxy", Reason: "Error", ExitCode: 2, At: begin}},
		},
		{
			name: "out of memory",
			pod: corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
				{Name: "app", RestartCount: 1, LastTerminationState: terminated("OOMKilled", 137)},
			}}},
			want: Pod{
				Restarts: 1, Restarted: Ended{Container: "app", Reason: "OOMKilled", ExitCode: 137, At: begin},
				OutOfMemory: Ended{Container: "app", Reason: "OOMKilled", ExitCode: 137, At: begin},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := PodOf(&c.pod, false, !c.node); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
