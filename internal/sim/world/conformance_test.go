// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1beta1"
)

// kinds are all that can be released in partition style: each behaves as the others do, but for what is said here.
var kinds = map[string]conformer{
	"Deployment":                   {version: "apps/v1", of: "Deployment", keepsOne: true},
	"CloneSet/v1alpha1":            {version: alpha, of: "CloneSet"},
	"CloneSet/v1beta1":             {version: beta, of: "CloneSet"},
	"StatefulSet":                  {version: "apps/v1", of: "StatefulSet", ordered: true, strategy: "{type: RollingUpdate, rollingUpdate: {partition: 0}}"},
	"StatefulSet/OnDelete":         {version: "apps/v1", of: "StatefulSet", ordered: true, strategy: "{type: OnDelete}", staysOnDelete: true},
	"AdvancedStatefulSet/v1alpha1": {version: alpha, of: "StatefulSet", ordered: true},
	"AdvancedStatefulSet/v1beta1":  {version: beta, of: "StatefulSet", ordered: true},
	"AdvancedStatefulSet/unordered": {
		version: beta, of: "StatefulSet", ordered: true, strategy: "{rollingUpdate: {unorderedUpdate: {priorityStrategy: {}}, maxUnavailable: 2}}", parallel: true,
	},
	"DaemonSet":                  {version: "apps/v1", of: "DaemonSet", newcomersNew: true, strategy: rolls},
	"AdvancedDaemonSet/v1alpha1": {version: alpha, of: "DaemonSet", newcomersNew: true},
	"AdvancedDaemonSet/v1beta1":  {version: beta, of: "DaemonSet", newcomersNew: true},
	"ReplicaSet":                 {version: "apps/v1", of: "ReplicaSet", newcomersNew: true, staysOnDelete: true},
}

// strategies are kinds with a strategy of their user's, which have to come to every end.
var strategies = map[string]conformer{
	"AdvancedStatefulSet/OnDelete":  {version: beta, of: "StatefulSet", ordered: true, strategy: "{type: OnDelete}", staysOnDelete: true},
	"DaemonSet/OnDelete":            {version: "apps/v1", of: "DaemonSet", newcomersNew: true, strategy: "{type: OnDelete}", staysOnDelete: true},
	"AdvancedDaemonSet/OnDelete":    {version: beta, of: "DaemonSet", newcomersNew: true, strategy: "{type: OnDelete}", staysOnDelete: true},
	"StatefulSet/partition":         {version: "apps/v1", of: "StatefulSet", ordered: true, strategy: "{type: RollingUpdate, rollingUpdate: {partition: 4}}", staysOnDelete: true},
	"AdvancedStatefulSet/partition": {version: beta, of: "StatefulSet", ordered: true, strategy: "{rollingUpdate: {partition: 4}}", staysOnDelete: true},
	"AdvancedDaemonSet/partition":   {version: beta, of: "DaemonSet", newcomersNew: true, strategy: "{rollingUpdate: {partition: 4}}", staysOnDelete: true},
	"CloneSet/partition":            {version: alpha, of: "CloneSet", strategy: "{partition: 4}", staysOnDelete: true},
	"StatefulSet/paused":            {version: beta, of: "StatefulSet", ordered: true, strategy: "{rollingUpdate: {paused: true}}", staysOnDelete: true},
	"AdvancedDaemonSet/paused":      {version: beta, of: "DaemonSet", newcomersNew: true, strategy: "{rollingUpdate: {paused: true}}", staysOnDelete: true},
	"CloneSet/paused":               {version: alpha, of: "CloneSet", strategy: "{paused: true}", staysOnDelete: true},
	"StatefulSet/Parallel":          {version: "apps/v1", of: "StatefulSet", ordered: true, parallel: true},
	"Deployment/maxSurge 0":         {version: "apps/v1", of: "Deployment", keepsOne: true, spec: "{strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}}"},
	"Deployment/minReadySeconds":    {version: "apps/v1", of: "Deployment", keepsOne: true, spec: "{minReadySeconds: 5}"},
	"Deployment/paused":             {version: "apps/v1", of: "Deployment", keepsOne: true, paused: true},
}

// rolls is the default of the API server.
const rolls = "{type: RollingUpdate, rollingUpdate: {maxUnavailable: 1, maxSurge: 0}}"

// conformer is a kind, and what is particular to it.
type conformer struct {
	version, of   string
	strategy      string // the user's own, as YAML
	spec          string // more of the user's own, as YAML
	paused        bool   // by its user, once its pods are there
	parallel      bool   // pods are started all at once
	keepsOne      bool   // percentages below 100 leave one pod
	ordered       bool   // it keeps so many old pods as the partition says, however many there are
	newcomersNew  bool   // whatever pod comes has the new version
	whole         bool   // a second set next to the first cannot be completed later
	staysOnDelete bool   // given back in the middle of a release, no one replaces the other pods
}

// release is a workload of n pods and its Rollout, web.
type release struct {
	*stage
	conformer
	before map[string]any // the workload's spec
}

// conform makes a workload and a Rollout with steps, and waits until it is healthy.
func (c conformer) conform(t *testing.T, n int, steps string) *release {
	t.Helper()
	r := &release{stage: newStage(t, c.version, c.of, c.own(t, n)), conformer: c}
	if c.of == "DaemonSet" && n > 5 {
		r.must(r.AddNodes(t.Context(), n-5))
	}
	ro := &v1beta1.Rollout{}
	r.must(yaml.Unmarshal(fmt.Appendf(nil, `{metadata: {name: web, namespace: default}, spec: {workloadRef: {apiVersion: %s, kind: %s, name: web}, strategy: {canary: %s}}}`,
		c.version, c.of, steps), ro))
	r.must(r.User.Create(t.Context(), ro))
	r.run("made", fmt.Sprintf("1:%d", n))
	r.phase("made", v1beta1.PhaseHealthy)
	r.pause()
	return r
}

// own is the spec of a workload of n pods as its user wants it.
func (c conformer) own(t *testing.T, n int) string {
	t.Helper()
	spec := map[string]any{}
	if c.of != "DaemonSet" {
		spec["replicas"] = n
	}
	if c.parallel {
		spec["podManagementPolicy"] = "Parallel"
	}
	if c.strategy != "" {
		strategy := map[string]any{}
		if err := yaml.Unmarshal([]byte(c.strategy), &strategy); err != nil {
			t.Fatal(err)
		}
		spec["updateStrategy"] = strategy
	}
	if err := yaml.Unmarshal([]byte(c.spec), &spec); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// pause does what the user of a Deployment may have done, and notes the spec that is to come back.
func (r *release) pause() {
	r.Helper()
	if r.paused {
		r.patch("{spec: {paused: true}}")
	}
	r.before = r.spec()
}

// steps are the sizes of steps, each of which waits for approval.
func steps(replicas ...string) string {
	var all []string
	for _, n := range replicas {
		all = append(all, fmt.Sprintf("{replicas: %s}", n))
	}
	return "{steps: [" + strings.Join(all, ", ") + "]}"
}

// run lets time pass until everything is done that can be, and checks the versions of the pods.
func (r *release) run(when, images string) {
	r.Helper()
	r.pass(2 * time.Minute)
	if got := r.images(); got != images {
		r.Errorf("%s: the pods are %q, want %q; the Rollout says %q", when, got, images, r.rollout().Status.Message)
	}
}

func (r *release) rollout() *v1beta1.Rollout {
	r.Helper()
	ro := &v1beta1.Rollout{}
	if !r.Get(r.Context(), "web", ro) {
		return ro
	}
	return ro
}

func (r *release) phase(when string, phase v1beta1.RolloutPhase) {
	r.Helper()
	if ro := r.rollout(); ro.Status.Phase != phase {
		r.Errorf("%s: the Rollout is %s, want %s: %s", when, ro.Status.Phase, phase, ro.Status.Message)
	}
}

// edit changes the Rollout.
func (r *release) edit(patch string) {
	r.Helper()
	raw, err := yaml.YAMLToJSON([]byte(patch))
	r.must(err)
	r.must(r.User.Patch(r.Context(), r.rollout(), client.RawPatch(types.MergePatchType, raw)))
}

// approve lets the release go on, as clients do.
func (r *release) approve() {
	r.Helper()
	if state := r.rollout().Status.CurrentStepState; state != v1beta1.StepPaused {
		r.Errorf("step %d is %s, want it to wait: %s", r.rollout().Status.CurrentStepIndex, state, r.rollout().Status.Message)
	}
	part := "canaryStatus"
	if r.rollout().Spec.Strategy.BlueGreen != nil {
		part = "blueGreenStatus"
	}
	patch := fmt.Appendf(nil, `{"status":{"%s":{"currentStepState":"StepReady"}}}`, part)
	r.must(r.User.Status().Patch(r.Context(), r.rollout(), client.RawPatch(types.MergePatchType, patch)))
}

// spec is the workload's, without its template.
func (r *release) spec() map[string]any {
	r.Helper()
	u := r.blank()
	if !r.Get(r.Context(), "web", u) {
		r.Fatal("there is no workload")
	}
	spec, _, _ := unstructured.NestedMap(u.Object, "spec")
	delete(spec, "template")
	return spec
}

// restored checks that nothing is left of the release on the workload.
func (r *release) restored() {
	r.Helper()
	want, _ := json.Marshal(r.before)
	got, _ := json.Marshal(r.spec())
	if string(want) != string(got) {
		r.Errorf("the spec is %s, was %s", got, want)
	}
	u := r.blank()
	r.Get(r.Context(), "web", u)
	for key, value := range u.GetAnnotations() {
		if strings.Contains(key, "rollouts.kruise.io/") {
			r.Errorf("annotation %s: %s is left", key, value)
		}
	}
	if value, there := u.GetLabels()[v1beta1.LabelStableRevision]; there {
		r.Errorf("label %s: %s is left", v1beta1.LabelStableRevision, value)
	}
}

// scale asks for n pods, or for n nodes.
func (r *release) scale(n int) {
	r.Helper()
	if r.of != "DaemonSet" {
		r.patch(fmt.Sprintf("{spec: {replicas: %d}}", n))
		return
	}
	nodes := &corev1.NodeList{}
	r.must(r.List(r.Context(), nodes))
	if len(nodes.Items) == 0 { // they are in no namespace
		r.must(r.User.List(r.Context(), nodes))
	}
	for i := n; i < len(nodes.Items); i++ {
		r.must(r.User.Delete(r.Context(), &nodes.Items[i]))
	}
	r.must(r.AddNodes(r.Context(), max(0, n-len(nodes.Items))))
}

// pods2 writes how many pods are at each of two versions.
func pods2(old, updated int) string {
	var texts []string
	if old > 0 {
		texts = append(texts, fmt.Sprintf("1:%d", old))
	}
	if updated > 0 {
		texts = append(texts, fmt.Sprintf("2:%d", updated))
	}
	return strings.Join(texts, " ")
}

// size is how many of n pods a step is to have.
func (c conformer) size(step string, n int) int {
	v := intstr.Parse(step)
	size, _ := intstr.GetScaledValueFromIntOrPercent(&v, n, true)
	if c.keepsOne && v.Type == intstr.String && step != "100%" && n > 1 {
		size = min(size, n-1)
	}
	return min(size, n)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, c := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.each(t, conformance)
			c.each(t, ends)
		})
	}
	for name, c := range strategies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.each(t, ends)
		})
	}
}

func (c conformer) each(t *testing.T, tests map[string]func(*testing.T, conformer)) {
	t.Helper()
	for test, do := range tests {
		t.Run(test, func(t *testing.T) {
			t.Parallel()
			do(t, c)
		})
	}
}

// conformance is what every kind has to do.
var conformance = map[string]func(*testing.T, conformer){
	"percent of 5":       func(t *testing.T, c conformer) { c.through(t, 5, "20%", "50%", "100%") },
	"percent of 7":       func(t *testing.T, c conformer) { c.through(t, 7, "20%", "50%", "100%") },
	"nearly all of 10":   func(t *testing.T, c conformer) { c.through(t, 10, "95%", "100%") },
	"numbers":            func(t *testing.T, c conformer) { c.through(t, 6, "1", "4", "6") },
	"more than there is": func(t *testing.T, c conformer) { c.through(t, 5, "2", "9") },

	"other changes pass": func(t *testing.T, c conformer) {
		r := c.conform(t, 5, steps("1", "100%"))
		r.patch("{metadata: {labels: {team: a}}}")
		r.scale(6)
		r.run("scaled", "1:6")
		r.phase("scaled", v1beta1.PhaseHealthy)
	},
	"held": func(t *testing.T, c conformer) {
		r := c.conform(t, 5, steps("1", "100%"))
		r.Frozen = true
		r.image("2")
		r.run("without a manager", "1:5")
		r.Frozen = false
		r.run("with a manager", "1:4 2:1")
	},
	"pod labels": func(t *testing.T, c conformer) {
		r := c.conform(t, 5, steps("1", "3", "100%"))
		r.patch(`{metadata: {labels: {rollouts.kruise.io/rollout-id: "r1"}}}`)
		r.image("2")
		r.run("step 1", "1:4 2:1")
		r.approve()
		r.run("step 2", "1:2 2:3")
		batches := map[string]int{}
		for _, pod := range r.pods() {
			id, batch := pod.Labels[v1beta1.LabelRolloutID], pod.Labels[v1beta1.LabelBatchID]
			if updated := pod.Spec.Containers[0].Image == "web:2"; updated != (id == "r1") {
				t.Errorf("%s of %s has the id %q", pod.Name, pod.Spec.Containers[0].Image, id)
			}
			batches[batch]++
		}
		if batches["1"] != 1 || batches["2"] != 2 || batches[""] != 2 {
			t.Errorf("pods by batch: %v", batches)
		}
	},
	"failure threshold": func(t *testing.T, c conformer) {
		r := c.conform(t, 5, `{failureThreshold: 50%, steps: [{replicas: 2}, {replicas: 100%}]}`)
		r.image("2")
		r.run("step 1", "1:3 2:2")
		r.spoil("2")
		r.run("one broken", "1:3 2:2")
		if state := r.rollout().Status.CurrentStepState; state != v1beta1.StepPaused {
			t.Errorf("the step is %s", state)
		}
	},
	"scale out": func(t *testing.T, c conformer) {
		r := c.conform(t, 5, steps("40%", "100%"))
		r.image("2")
		r.run("step 1", "1:3 2:2")
		r.scale(10)
		switch {
		case c.newcomersNew: // what comes has the new version: more than the step asks for
			r.run("scaled out", "1:3 2:7")
		default:
			r.run("scaled out", "1:6 2:4")
		}
		r.approve()
		r.run("approved", "2:10")
		r.phase("approved", v1beta1.PhaseHealthy)
	},
	"scale in": func(t *testing.T, c conformer) {
		r := c.conform(t, 10, steps("40%", "100%"))
		r.image("2")
		r.run("step 1", "1:6 2:4")
		r.scale(5)
		r.pass(2 * time.Minute)
		if n := strings.Count(r.versions(), "2"); n < 2 {
			t.Errorf("of 5 pods %d are new: %s", n, r.images())
		}
		r.approve()
		r.run("approved", "2:5")
		r.phase("approved", v1beta1.PhaseHealthy)
	},
	"restarted": func(t *testing.T, c conformer) {
		r := c.conform(t, 5, steps("1", "3", "100%"))
		r.image("2")
		for range 12 {
			_, err := r.Round(t.Context())
			r.must(err)
			r.Restart()
		}
		r.run("step 1", "1:4 2:1")
		r.approve()
		r.Restart()
		r.run("step 2", "1:2 2:3")
		r.approve()
		r.run("all", "2:5")
		r.phase("all", v1beta1.PhaseHealthy)
		r.restored()
	},
}

// ends are the ways in which a release ends.
var ends = map[string]func(*testing.T, conformer){
	"never ready, and back": func(t *testing.T, c conformer) {
		r := c.conform(t, 5, steps("2", "100%"))
		r.breaks("2", "never-ready")
		least := r.fewest(func() { r.pass(5 * time.Minute) })
		if state := r.rollout().Status.CurrentStepState; state != v1beta1.StepUpgrade {
			t.Errorf("the step is %s", state)
		}
		if least < 3 {
			t.Errorf("only %d pods were ready", least)
		}
		r.mends("1")
		r.run("back", "1:5")
		r.phase("back", v1beta1.PhaseHealthy)
		r.allReady()
		r.restored()
	},
	"crashing, then the next version": func(t *testing.T, c conformer) {
		r := c.conform(t, 5, steps("2", "100%"))
		r.breaks("2", "crash")
		r.pass(2 * time.Minute)
		r.mends("3")
		r.pass(5 * time.Minute)
		r.approve()
		r.run("approved", "3:5")
		r.allReady()
		r.phase("approved", v1beta1.PhaseHealthy)
		r.restored()
	},
	"one more version": func(t *testing.T, c conformer) {
		r := c.conform(t, 5, steps("1", "3", "100%"))
		r.image("2")
		r.run("step 1", "1:4 2:1")
		r.approve()
		r.run("step 2", "1:2 2:3")
		r.image("3")
		r.pass(2 * time.Minute)
		if n := strings.Count(r.versions(), "3"); n != 1 {
			t.Errorf("step 1 of version 3 has the pods %s", r.images())
		}
		if i := r.rollout().Status.CurrentStepIndex; i != 1 {
			t.Errorf("it is in step %d", i)
		}
		r.approve()
		r.pass(2 * time.Minute)
		r.approve()
		r.run("all", "3:5")
		r.phase("all", v1beta1.PhaseHealthy)
		r.restored()
	},
	"back": func(t *testing.T, c conformer) {
		r := c.conform(t, 5, steps("1", "3", "100%"))
		r.image("2")
		r.run("step 1", "1:4 2:1")
		r.approve()
		r.run("step 2", "1:2 2:3")
		r.image("1")
		least := r.fewest(func() { r.run("back", "1:5") })
		if least < 3 {
			t.Errorf("only %d pods were ready", least)
		}
		r.phase("back", v1beta1.PhaseHealthy)
		if m := r.rollout().Status.Message; !strings.Contains(m, "canceled") {
			t.Errorf("it says %q", m)
		}
		r.restored()
		r.image("3")
		r.run("once more", "1:4 3:1")
	},
	"back at once": func(t *testing.T, c conformer) {
		r := c.conform(t, 5, steps("1", "100%"))
		r.image("2")
		r.image("1")
		r.run("back", "1:5")
		r.phase("back", v1beta1.PhaseHealthy)
		r.restored()
	},
	"disabled": func(t *testing.T, c conformer) {
		r := c.conform(t, 5, steps("1", "100%"))
		r.image("2")
		r.run("step 1", "1:4 2:1")
		r.edit("{spec: {disabled: true}}")
		r.run("disabled", c.letGo())
		r.phase("disabled", v1beta1.PhaseDisabled)
		r.restored()
	},
	"deleted": func(t *testing.T, c conformer) {
		r := c.conform(t, 5, steps("1", "100%"))
		r.image("2")
		r.run("step 1", "1:4 2:1")
		r.must(r.User.Delete(t.Context(), r.rollout()))
		r.run("deleted", c.letGo())
		if r.rollout().Name != "" {
			t.Error("the Rollout is still there")
		}
		r.restored()
	},
	// With the feature gate KeepWorkloadPausedOnRolloutDeletion. The next release restores what its user had before the first.
	"left where it is": func(t *testing.T, c conformer) {
		r := c.left(t)
		r.image("3")
		r.pass(2 * time.Minute)
		if n := strings.Count(r.versions(), "3"); n != 1 {
			t.Errorf("step 1 of version 3 has the pods %s", r.images())
		}
		r.approve()
		r.run("approved", "3:5")
		r.phase("approved", v1beta1.PhaseHealthy)
		r.restored()
	},
	"left, and back": func(t *testing.T, c conformer) {
		r := c.left(t)
		r.image("1")
		if c.of == "ReplicaSet" { // it has no strategy to keep, and nothing is left on it: which version was stable, no one knows
			r.pass(2 * time.Minute)
			r.approve()
		}
		r.run("back", "1:5")
		r.phase("back", v1beta1.PhaseHealthy)
		r.restored()
	},
	// The same gate keeps nothing that goes back, however early.
	"back at once, with the gate": func(t *testing.T, c conformer) {
		r := c.conform(t, 5, steps("2", "100%"))
		r.KeepPaused = true
		r.Restart()
		for rounds := range 4 {
			r.image("2")
			for range rounds {
				_, err := r.Round(t.Context())
				r.must(err)
			}
			r.image("1")
			r.run(fmt.Sprintf("back after %d rounds", rounds), "1:5")
			r.phase("back", v1beta1.PhaseHealthy)
			r.restored()
		}
	},
	// The last step was approved, and is not all there is: whatever the user's own strategy does with the rest, it ends.
	"last step not all": func(t *testing.T, c conformer) {
		r := c.conform(t, 5, steps("1"))
		r.image("2")
		r.run("step 1", "1:4 2:1")
		r.approve()
		finished := c.letGo()
		if c.of == "ReplicaSet" { // it has no strategy
			finished = "2:5"
		}
		r.run("approved", finished)
		r.phase("approved", v1beta1.PhaseHealthy)
		r.restored()
		if m := r.rollout().Status.Message; finished != "2:5" && !strings.Contains(m, "4 pods of other versions") {
			t.Errorf("it does not say that old pods stay: %q", m)
		}
	},
	"admission missed": func(t *testing.T, c conformer) {
		r := c.conform(t, 5, steps("2", "100%"))
		r.AdmissionDown = true
		r.image("2")
		r.AdmissionDown = false
		r.pass(2 * time.Minute)
		if updated := strings.Count(r.versions(), "2"); updated > 3 {
			t.Errorf("nothing was held: %s", r.images())
		}
		r.phase("missed", v1beta1.PhaseProgressing)
		r.image("1")
		r.run("back", "1:5")
		r.phase("back", v1beta1.PhaseHealthy)
		r.restored()
	},
}

// left is a release of 5 pods that is left in its first step, with the feature gate that keeps it there.
func (c conformer) left(t *testing.T) *release {
	t.Helper()
	r := c.conform(t, 5, steps("1", "100%"))
	r.KeepPaused = true
	r.Restart()
	r.image("2")
	r.run("step 1", "1:4 2:1")
	r.leave("1:4 2:1")
	return r
}

// leave deletes the Rollout of a release whose workload stays where it is, and makes it again.
func (r *release) leave(images string) {
	r.Helper()
	ro := r.rollout()
	r.must(r.User.Delete(r.Context(), ro))
	r.run("left", images)
	if r.rollout().Name != "" {
		r.Error("the Rollout is still there")
	}
	again := &v1beta1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: ro.Namespace, Name: ro.Name}, Spec: ro.Spec}
	r.must(r.User.Create(r.Context(), again))
	r.run("made again", images)
	r.phase("made again", v1beta1.PhaseHealthy)
	if m := r.rollout().Status.Message; !strings.Contains(m, "pods of several versions") {
		r.Errorf("it does not say what is there: %q", m)
	}
}

// letGo is how 1 new pod and 4 old ones end when no one releases them any more.
func (c conformer) letGo() string {
	if c.staysOnDelete {
		return "1:4 2:1"
	}
	return "2:5"
}

// through releases in steps, and checks the pods after each.
func (c conformer) through(t *testing.T, n int, sizes ...string) {
	r := c.conform(t, n, steps(sizes...))
	r.image("2")
	for i, size := range sizes {
		if i == len(sizes)-1 {
			break
		}
		updated := c.size(size, n)
		r.run("step "+strconv.Itoa(i+1), pods2(n-updated, updated))
		if at := r.rollout().Status.CurrentStepIndex; int(at) != i+1 {
			t.Errorf("it is in step %d, want %d", at, i+1)
		}
		r.approve()
	}
	r.run("all", pods2(0, n))
	if sizes[len(sizes)-1] != "100%" { // else there is nothing left to approve
		r.approve()
		r.run("approved", pods2(0, n))
	}
	r.phase("all", v1beta1.PhaseHealthy)
	r.restored()
}

// breaks sets a version whose pods do not become ready.
func (r *release) breaks(tag, how string) {
	r.Helper()
	r.patch(fmt.Sprintf(`{spec: {template: {metadata: {annotations: {"sandbox.kruise.io/%s": "true"}}, spec: {containers: [{name: main, image: "web:%s"}]}}}}`, how, tag))
}

// mends sets a version whose pods do.
func (r *release) mends(tag string) {
	r.Helper()
	r.patch(fmt.Sprintf(`{spec: {template: {metadata: {annotations: null}, spec: {containers: [{name: main, image: "web:%s"}]}}}}`, tag))
}

// spoil makes the first pod of a version not ready any more.
func (r *release) spoil(tag string) {
	r.Helper()
	for _, pod := range r.pods() {
		if pod.Spec.Containers[0].Image != "web:"+tag {
			continue
		}
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		pod.Annotations["sandbox.kruise.io/never-ready"] = "true"
		r.must(r.User.Update(r.Context(), &pod))
		return
	}
}

// versions are those of all pods, one character each.
func (r *release) versions() string {
	r.Helper()
	var b strings.Builder
	for _, pod := range r.pods() {
		b.WriteString(strings.TrimPrefix(pod.Spec.Containers[0].Image, "web:"))
	}
	return b.String()
}

func (r *release) allReady() {
	r.Helper()
	for _, pod := range r.pods() {
		ready := false
		for _, c := range pod.Status.Conditions {
			ready = ready || c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}
		if !ready {
			r.Errorf("pod %s is not ready", pod.Name)
		}
	}
}
