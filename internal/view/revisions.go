// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Revision is one version of the pod template and the pods that run it.
type Revision struct {
	Number int64    `json:"number,omitempty"` // as `kubectl rollout history` counts
	Hash   string   `json:"hash"`
	Role   Role     `json:"role,omitempty"`
	Images []string `json:"images,omitempty"`
	Wanted int32    `json:"wanted"` // pods asked for
	Ready  int32    `json:"ready"`
	Pods   []Pod    `json:"pods,omitempty"`
}

// Role is what a revision is in the release.
type Role string

// Roles. A revision that is neither is one of history, or one whose pods are on their way out.
const (
	Stable   Role = "stable"
	Updating Role = "updating"
	Old      Role = ""
)

// revisionAnnotation is where the native controller counts templates.
const revisionAnnotation = "deployment.kubernetes.io/revision"

// Number is the native controller's count of a ReplicaSet's template; 0 where it has set none.
func Number(set *appsv1.ReplicaSet) int64 {
	n, err := strconv.ParseInt(set.Annotations[revisionAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Hash is the revision of a ReplicaSet as pods carry it.
func Hash(set *appsv1.ReplicaSet) string { return set.Labels[appsv1.DefaultDeploymentUniqueLabelKey] }

// roles are the two revisions that a release is about.
type roles struct{ stable, updating string }

func rolesOf(s Seen, sub shared, running bool) roles {
	live := ""
	if s.Deployment != nil {
		for _, set := range s.ReplicaSets {
			if SameTemplate(&set.Spec.Template, &s.Deployment.Spec.Template) {
				live = Hash(set)
			}
		}
	}
	released := first(known(s, sub.revision), known(s, sub.PodTemplateHash), live, sub.revision, sub.PodTemplateHash)
	if !running {
		return roles{stable: first(live, released)}
	}
	r := roles{stable: sub.StableRevision, updating: released}
	if r.stable == "" && s.Deployment != nil {
		r.stable = s.Deployment.Labels[rolloutsv1beta1.LabelStableRevision]
	}
	if r.updating == r.stable { // on the way back
		r.updating = ""
	}
	return r
}

// known returns hash if it is one of the ReplicaSets' or the pods': older controllers computed their own.
func known(s Seen, hash string) string {
	for _, set := range s.ReplicaSets {
		if Hash(set) == hash {
			return hash
		}
	}
	for _, p := range s.Pods {
		if podRevision(p) == hash {
			return hash
		}
	}
	return ""
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func (r roles) of(hash string) Role {
	switch hash {
	case "":
		return Old
	case r.updating:
		return Updating
	case r.stable:
		return Stable
	default:
		return Old
	}
}

// revisions are those that have pods or a role; the one being released first, then the newest.
func revisions(s Seen, sub shared, running bool) []Revision {
	roles := rolesOf(s, sub, running)
	result := []Revision{}
	for _, set := range s.ReplicaSets {
		rev := Revision{
			Number: Number(set), Hash: Hash(set), Role: roles.of(Hash(set)), Images: Images(&set.Spec.Template.Spec),
			Wanted: desired(set.Spec.Replicas), Ready: set.Status.ReadyReplicas,
			Pods: pods(s, func(p *corev1.Pod) bool { return metav1.IsControlledBy(p, set) }),
		}
		if rev.Role != Old || rev.Wanted > 0 || set.Status.Replicas > 0 || len(rev.Pods) > 0 {
			result = append(result, rev)
		}
	}
	if s.ReplicaSets == nil { // a workload that numbers its templates in other ways
		result = byPods(s, roles)
	}
	slices.SortStableFunc(result, func(a, b Revision) int {
		if updating := a.Role == Updating; updating != (b.Role == Updating) {
			if updating {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Number, a.Number), strings.Compare(a.Hash, b.Hash))
	})
	return result
}

// byPods are the revisions that pods run.
func byPods(s Seen, roles roles) []Revision {
	result := []Revision{}
	have := map[string]bool{}
	for _, p := range s.Pods {
		hash := podRevision(p)
		if have[hash] {
			continue
		}
		have[hash] = true
		rev := Revision{Hash: hash, Role: roles.of(hash), Images: Images(&p.Spec)}
		rev.Pods = pods(s, func(p *corev1.Pod) bool { return podRevision(p) == hash })
		for _, pod := range rev.Pods {
			rev.Wanted++
			if pod.Ready {
				rev.Ready++
			}
		}
		result = append(result, rev)
	}
	return result
}

// Images are those of all containers, each once.
func Images(spec *corev1.PodSpec) []string {
	images := []string{}
	for _, c := range spec.Containers {
		if !slices.Contains(images, c.Image) {
			images = append(images, c.Image)
		}
	}
	return images
}

// SameTemplate compares pod templates but for the label that the native controller adds.
func SameTemplate(a, b *corev1.PodTemplateSpec) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	delete(a.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(b.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return equality.Semantic.DeepEqual(a, b)
}

// History is every revision there is, the oldest first: those that nothing runs any more, too.
func History(s Seen) []Revision {
	r := Of(Seen{Rollout: s.Rollout})
	roles := rolesOf(s, progress(s.Rollout), r.Running())
	result := []Revision{}
	for _, set := range s.ReplicaSets {
		result = append(result, Revision{
			Number: Number(set), Hash: Hash(set), Role: roles.of(Hash(set)), Images: Images(&set.Spec.Template.Spec),
			Wanted: desired(set.Spec.Replicas), Ready: set.Status.ReadyReplicas,
		})
	}
	slices.SortStableFunc(result, func(a, b Revision) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), strings.Compare(a.Hash, b.Hash))
	})
	return result
}
