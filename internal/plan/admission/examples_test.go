// SPDX-License-Identifier: Apache-2.0

package admission_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan/admission"
)

var fenced = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// TestExamplesAreAdmitted: what the page about analyses shows as a whole is what admission takes.
func TestExamplesAreAdmitted(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/analysis.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, block := range fenced.FindAllStringSubmatch(string(page), -1) {
		for document := range strings.SplitSeq(block[1], "\n---\n") {
			head := struct {
				Kind string `json:"kind"`
			}{}
			if err := yaml.Unmarshal([]byte(document), &head); err != nil {
				t.Errorf("%v in\n%s", err, document)
				continue
			}
			var errs field.ErrorList
			switch head.Kind {
			case "Rollout":
				errs = admission.ValidateRollout(parse[v1beta1.Rollout](t, document), nil, nil, shipped)
			case "AnalysisTemplate":
				errs = admission.ValidateTemplate(parse[v1beta1.AnalysisTemplate](t, document), nil)
			case "ClusterAnalysisTemplate":
				errs = admission.ValidateTemplate(parse[v1beta1.ClusterAnalysisTemplate](t, document), nil)
			}
			seen[head.Kind]++
			if len(errs) > 0 {
				t.Errorf("%v in\n%s", errs.ToAggregate(), document)
			}
		}
	}
	if seen["Rollout"] == 0 || seen["AnalysisTemplate"] == 0 {
		t.Errorf("the page shows %v", seen)
	}
}
