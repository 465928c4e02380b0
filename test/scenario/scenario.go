// SPDX-License-Identifier: Apache-2.0

// Package scenario reads stories about releases and plays them on any cluster, simulated or real: what users do, and what
// they wait for. Test code only.
package scenario

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1beta1"
)

// Story is one scenario file.
type Story struct {
	// Name is the file's, without its extension.
	Name string `json:"-"`
	// About says what the story shows.
	About string `json:"about"`
	// Simulated is why the story is played in the simulated world only; empty: it is played on a real API server, too.
	Simulated string `json:"simulated,omitempty"`
	// Deployment, Rollout and BatchRelease are merge patches for the objects of given/web.yaml; null leaves one out. A
	// BatchRelease is there only where a story has one.
	Deployment   json.RawMessage `json:"deployment,omitempty"`
	Rollout      json.RawMessage `json:"rollout,omitempty"`
	BatchRelease json.RawMessage `json:"batchRelease,omitempty"`
	// Routes are files of given/ next to those three: what routes requests to the pods.
	Routes []string `json:"routes,omitempty"`
	// Outage says that the story takes away what answers requests, so that some are lost.
	Outage bool `json:"outage,omitempty"`
	// Steps is what happens.
	Steps []Step `json:"steps"`
	// Records says that the story is about what is recorded at its end.
	Records bool `json:"records,omitempty"`
	// Unfinished says that the story ends in the middle of a release, so that the Deployment is not restored yet.
	Unfinished bool `json:"unfinished,omitempty"`
}

// Step is one thing that happens: exactly one field is set.
type Step struct {
	// Image sets the image of the Deployment's pods.
	Image string `json:"image,omitempty"`
	// Env sets an environment variable of the Deployment's pods, as NAME=value.
	Env string `json:"env,omitempty"`
	// Scale sets the number of pods.
	Scale *int32 `json:"scale,omitempty"`
	// Approve lets the release go on from where it waits: by a patch of the status in v1beta1 or v1alpha1.
	Approve string `json:"approve,omitempty"`
	// Jump goes to a step.
	Jump *int32 `json:"jump,omitempty"`
	// Plan replaces the sizes of the steps.
	Plan []any `json:"plan,omitempty"`
	// Patch is a merge patch for an object: deployment, rollout, batchrelease or status (of the Rollout).
	Patch map[string]json.RawMessage `json:"patch,omitempty"`
	// Delete deletes the deployment, the rollout, the batchrelease, the canary Deployments, or an object of the routes by
	// its file.
	Delete string `json:"delete,omitempty"`
	// Create creates an object of somebody else.
	Create json.RawMessage `json:"create,omitempty"`
	// Apply creates an object of the story that was left out or deleted: the deployment or the rollout; or writes the
	// Deployment anew as it is in Git, which knows nothing of releases.
	Apply string `json:"apply,omitempty"`
	// Do is something without details: pause, resume, disable, enable the Rollout; restart the manager; stop or start it;
	// lose or mend admission.
	Do string `json:"do,omitempty"`
	// Pass lets time pass.
	Pass string `json:"pass,omitempty"`
	// Until waits.
	Until *Until `json:"until,omitempty"`
}

// Until is what is waited for: everything that is set.
type Until struct {
	Phase     string           `json:"phase,omitempty"`
	State     string           `json:"state,omitempty"`
	Step      int32            `json:"step,omitempty"`
	Reason    string           `json:"reason,omitempty"`    // of the condition Progressing
	Succeeded string           `json:"succeeded,omitempty"` // status of the condition Succeeded
	Message   string           `json:"message,omitempty"`   // part of the Rollout's message, or of its canaryStatus's
	Updated   *int32           `json:"updated,omitempty"`   // canaryReplicas
	Pods      map[string]int32 `json:"pods,omitempty"`      // pods that are not being deleted, by the tag of their image
	Ready     map[string]int32 `json:"ready,omitempty"`     // of those, ready ones
	Labels    map[string]int32 `json:"labels,omitempty"`    // pods by rollout-id/batch-id
	Release   string           `json:"release,omitempty"`   // the BatchRelease's phase and batch state, as Progressing/Ready
	Gone      string           `json:"gone,omitempty"`      // rollout, batchrelease, deployment or canary
	Traffic   string           `json:"traffic,omitempty"`   // where requests go, as the transcript shows it
	Blocked   string           `json:"blocked,omitempty"`   // one of the blockers, by its code, and its object where that is said: ServiceMissing Service web
	Within    string           `json:"within,omitempty"`    // 2m unless it says otherwise
}

// Load reads all stories of a directory.
func Load(dir string) ([]*Story, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no stories in %s (%w)", dir, err)
	}
	stories := make([]*Story, 0, len(files))
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading a story: %w", err)
		}
		story := &Story{Name: strings.TrimSuffix(filepath.Base(file), ".yaml")}
		if err := yaml.UnmarshalStrict(raw, story); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		stories = append(stories, story)
	}
	return stories, nil
}

// given are the objects of a story as its user has them in Git; nil where there is none.
type given struct {
	deployment *appsv1.Deployment
	rollout    *v1beta1.Rollout
	release    *v1beta1.BatchRelease
	routes     []*unstructured.Unstructured
}

func (s *Story) given(dir string) (given, error) {
	g := given{}
	for _, object := range []struct {
		file   string
		change json.RawMessage
		into   client.Object
		always bool
	}{
		{"deployment.yaml", s.Deployment, &appsv1.Deployment{}, true},
		{"rollout.yaml", s.Rollout, &v1beta1.Rollout{}, true},
		{"batchrelease.yaml", s.BatchRelease, &v1beta1.BatchRelease{}, false},
	} {
		if string(object.change) == "null" || object.change == nil && !object.always {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(dir, "given", object.file))
		if err != nil {
			return g, fmt.Errorf("reading what is given: %w", err)
		}
		if raw, err = yaml.YAMLToJSON(raw); err != nil {
			return g, fmt.Errorf("reading %s: %w", object.file, err)
		}
		if object.change != nil {
			if raw, err = jsonpatch.MergePatch(raw, object.change); err != nil {
				return g, fmt.Errorf("changing %s: %w", object.file, err)
			}
		}
		if err := yaml.UnmarshalStrict(raw, object.into); err != nil {
			return g, fmt.Errorf("reading %s: %w", object.file, err)
		}
		switch o := object.into.(type) {
		case *appsv1.Deployment:
			g.deployment = o
		case *v1beta1.Rollout:
			g.rollout = o
		case *v1beta1.BatchRelease:
			g.release = o
		}
	}
	for _, name := range s.Routes {
		raw, err := os.ReadFile(filepath.Join(dir, "given", name+".yaml"))
		if err != nil {
			return g, fmt.Errorf("reading what is given: %w", err)
		}
		u := &unstructured.Unstructured{}
		if raw, err = yaml.YAMLToJSON(raw); err == nil {
			err = u.UnmarshalJSON(raw)
		}
		if err != nil {
			return g, fmt.Errorf("reading %s: %w", name, err)
		}
		g.routes = append(g.routes, u)
	}
	return g, nil
}

// String says in a few words what happens.
func (s Step) String() string {
	switch {
	case s.Image != "":
		return "set image " + s.Image
	case s.Env != "":
		return "set env " + s.Env
	case s.Scale != nil:
		return fmt.Sprintf("scale to %d", *s.Scale)
	case s.Approve != "":
		return "approve (" + s.Approve + ")"
	case s.Jump != nil:
		return fmt.Sprintf("jump to step %d", *s.Jump)
	case s.Plan != nil:
		return fmt.Sprintf("edit the plan: %v", s.Plan)
	case s.Patch != nil:
		raw, _ := json.Marshal(s.Patch)
		return "patch " + string(raw)
	case s.Delete != "":
		return "delete the " + s.Delete
	case s.Apply != "":
		return "apply the " + s.Apply + " from Git"
	case s.Do != "":
		return s.Do
	case s.Pass != "":
		return s.Pass + " pass"
	default:
		raw, _ := json.Marshal(s.Until)
		return "until " + string(raw)
	}
}

func (u *Until) limit() time.Duration {
	if d, err := time.ParseDuration(u.Within); err == nil {
		return d
	}
	return 2 * time.Minute
}

// conditionOf finds a condition of a Rollout.
func conditionOf(ro *v1beta1.Rollout, t v1beta1.RolloutConditionType) v1beta1.RolloutCondition {
	for _, c := range ro.Status.Conditions {
		if c.Type == t {
			return c
		}
	}
	return v1beta1.RolloutCondition{Status: metav1.ConditionUnknown}
}
