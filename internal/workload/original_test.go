// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/rollouts/api/v1beta1"
)

// number and percent are values of maxSurge and maxUnavailable; nil is none.
func pods(n int32) *intstr.IntOrString        { return new(intstr.FromInt32(n)) }
func percent(text string) *intstr.IntOrString { return new(intstr.FromString(text)) }
func rolling(surge, unavailable *intstr.IntOrString) appsv1.DeploymentStrategy {
	return appsv1.DeploymentStrategy{
		Type:          appsv1.RollingUpdateDeploymentStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: surge, MaxUnavailable: unavailable},
	}
}

func recreate() appsv1.DeploymentStrategy {
	return appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
}

func template(version string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "web:" + version}}},
	}
}

// newDeployment is a Deployment as a user has it, in the version of its pods.
func newDeployment(version string, strategy appsv1.DeploymentStrategy) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "d", Generation: 1},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(10)), Template: template(version), Strategy: strategy,
			Selector:                &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			ProgressDeadlineSeconds: new(int32(600)),
		},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 1},
	}
}

func newSet(version string, replicas int32, revision string) *appsv1.ReplicaSet {
	set := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "web-" + version, UID: types.UID("set-" + version), Generation: 1,
			Labels:      map[string]string{"app": "web", appsv1.DefaultDeploymentUniqueLabelKey: version},
			Annotations: map[string]string{"deployment.kubernetes.io/revision": revision},
		},
		Spec:   appsv1.ReplicaSetSpec{Replicas: new(replicas), Template: template(version)},
		Status: appsv1.ReplicaSetStatus{ObservedGeneration: 1, Replicas: replicas, ReadyReplicas: replicas, AvailableReplicas: replicas},
	}
	set.Spec.Template.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = version
	return set
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		strategy                   appsv1.DeploymentStrategy
		replicas                   int32
		wantSurge, wantUnavailable int32
	}{
		"the API server's default, 10 pods":    {rolling(nil, nil), 10, 3, 2},
		"the API server's default, 1 pod":      {rolling(nil, nil), 1, 1, 0},
		"no strategy at all":                   {appsv1.DeploymentStrategy{}, 4, 1, 1},
		"numbers":                              {rolling(pods(2), pods(1)), 5, 2, 1},
		"surge alone":                          {rolling(pods(1), pods(0)), 5, 1, 0},
		"unavailable alone":                    {rolling(pods(0), pods(1)), 5, 0, 1},
		"percentages are rounded up and down":  {rolling(percent("30%"), percent("30%")), 5, 2, 1},
		"both round to 0: one pod goes":        {rolling(pods(0), percent("10%")), 5, 0, 1},
		"both are 0: one pod goes":             {rolling(pods(0), pods(0)), 5, 0, 1},
		"0%":                                   {rolling(percent("0%"), percent("0%")), 5, 0, 1},
		"more unavailable than there are":      {rolling(pods(0), pods(9)), 5, 0, 5},
		"all at once":                          {rolling(percent("100%"), percent("100%")), 5, 5, 5},
		"Recreate: all may go, none is added":  {recreate(), 5, 0, 5},
		"no pods":                              {rolling(pods(1), pods(1)), 0, 1, 0},
		"unparsable counts as 0":               {rolling(percent("x"), percent("y")), 5, 0, 1},
		"surge larger than the number of pods": {rolling(pods(7), pods(0)), 5, 7, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			surge, unavailable := current(newDeployment("v1", c.strategy)).limits(c.replicas)
			if surge != c.wantSurge || unavailable != c.wantUnavailable {
				t.Errorf("surge %d, unavailable %d, want %d and %d", surge, unavailable, c.wantSurge, c.wantUnavailable)
			}
		})
	}
}

// TestHoldAndFree checks that whatever a release does to a Deployment's spec is undone to the letter, with nothing but
// the object to go by.
func TestHoldAndFree(t *testing.T) {
	t.Parallel()
	strategies := map[string]appsv1.DeploymentStrategy{
		"defaults":    rolling(percent("25%"), percent("25%")),
		"nil values":  rolling(nil, nil),
		"numbers":     rolling(pods(1), pods(0)),
		"zero surge":  rolling(pods(0), pods(3)),
		"zeros":       rolling(percent("0%"), pods(1)),
		"all at once": rolling(percent("100%"), percent("100%")),
		"Recreate":    recreate(),
	}
	deadlines := map[string]*int32{"default deadline": new(int32(600)), "no deadline": nil, "short deadline": new(int32(30))}
	for strategyName, strategy := range strategies {
		for deadlineName, deadline := range deadlines {
			for minReady := range map[int32]bool{0: true, 30: true} {
				t.Run(strategyName+", "+deadlineName, func(t *testing.T) {
					t.Parallel()
					user := newDeployment("v1", strategy)
					user.Annotations = map[string]string{"note": "mine"}
					user.Labels = map[string]string{"team": "mine"}
					user.Spec.MinReadySeconds, user.Spec.ProgressDeadlineSeconds = minReady, deadline
					want := user.DeepCopy()

					held := user.DeepCopy()
					o, _ := originalOf(held)
					o.hold(held)
					checkHeld(t, held)
					held.Annotations[v1beta1.AnnotationControlInfo] = "{}"
					moved := held.DeepCopy()
					o, engaged := originalOf(moved)
					if !engaged {
						t.Fatal("a held Deployment does not say what it was")
					}
					o.move(moved, 1, pods(1))
					if moved.Spec.Paused || moved.Spec.MinReadySeconds != neverReady || *moved.Spec.ProgressDeadlineSeconds != neverOverdue {
						t.Errorf("a moving Deployment is %+v", moved.Spec)
					}
					for state, d := range map[string]*appsv1.Deployment{"held": held, "moving": moved} {
						freed, _ := deployment{}.Free(Objects{Workload: d}).(*appsv1.Deployment)
						if !equality.Semantic.DeepEqual(freed.Spec, want.Spec) {
							t.Errorf("%s, then freed: %+v, want %+v", state, freed.Spec, want.Spec)
						}
						if !equality.Semantic.DeepEqual(freed.ObjectMeta, want.ObjectMeta) {
							t.Errorf("%s, then freed: metadata %+v, want %+v", state, freed.ObjectMeta, want.ObjectMeta)
						}
					}
				})
			}
		}
	}
}

func checkHeld(t *testing.T, d *appsv1.Deployment) {
	t.Helper()
	r := d.Spec.Strategy.RollingUpdate
	switch {
	case !d.Spec.Paused:
		t.Error("a held Deployment is not paused")
	case d.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType || r == nil:
		t.Errorf("a held Deployment has the strategy %+v", d.Spec.Strategy)
	case r.MaxSurge == nil || r.MaxSurge.IntValue() != 0:
		t.Errorf("a held Deployment has maxSurge %v: the native controller would add pods", r.MaxSurge)
	case r.MaxUnavailable == nil || r.MaxUnavailable.Type == intstr.Int && r.MaxUnavailable.IntVal == 0 || r.MaxUnavailable.StrVal == "0%":
		t.Errorf("a held Deployment has maxUnavailable %v: the API server refuses two zeros", r.MaxUnavailable)
	case d.Spec.MinReadySeconds == neverReady:
		t.Error("a held Deployment counts no pod as available")
	}
}

// TestFreeWhatIsLeft checks that a Deployment whose annotations were lost in the middle of a release gets values that
// work.
func TestFreeWhatIsLeft(t *testing.T) {
	t.Parallel()
	d := newDeployment("v1", rolling(percent("25%"), percent("25%")))
	o, _ := originalOf(d)
	o.move(d, 1, pods(1))
	d.Annotations = nil
	freed, _ := deployment{}.Free(Objects{Workload: d}).(*appsv1.Deployment)
	if freed.Spec.MinReadySeconds != 0 || *freed.Spec.ProgressDeadlineSeconds != defaultDeadline || freed.Spec.Paused {
		t.Errorf("freed %+v", freed.Spec)
	}
	again, _ := deployment{}.Free(Objects{Workload: freed}).(*appsv1.Deployment)
	if !equality.Semantic.DeepEqual(again, freed) {
		t.Error("freeing twice is not freeing once")
	}
}

// TestFreeLeavesOthersAlone checks that a Deployment that no release holds keeps everything, paused included.
func TestFreeLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	d := newDeployment("v1", rolling(nil, pods(2)))
	d.Spec.Paused = true
	freed, _ := deployment{}.Free(Objects{Workload: d}).(*appsv1.Deployment)
	if !equality.Semantic.DeepEqual(freed.Spec, d.Spec) {
		t.Errorf("freed %+v, want %+v", freed.Spec, d.Spec)
	}
}

// TestFreeRecreate checks that a user's own Recreate comes back only once there is one version: before, it would end all
// the other pods at once.
func TestFreeRecreate(t *testing.T) {
	t.Parallel()
	d := newDeployment("v2", recreate())
	o, _ := originalOf(d)
	o.hold(d)
	several := Objects{Workload: d, Sets: []*appsv1.ReplicaSet{newSet("v1", 2, "1"), newSet("v2", 3, "2")}}
	on, _ := deployment{}.Free(several).(*appsv1.Deployment)
	if on.Spec.Paused || on.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType || !(deployment{}).State(Objects{Workload: on}, time.Time{}).Engaged {
		t.Errorf("on the way: %+v", on.Spec)
	}
	several.Workload, several.Sets[0] = on, newSet("v1", 0, "1")
	if freed, _ := (deployment{}).Free(several).(*appsv1.Deployment); freed.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType || len(freed.Annotations) > 0 {
		t.Errorf("at the end: %+v", freed)
	}
}
