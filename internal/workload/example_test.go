// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The driver below is the example of CONTRIBUTING.md, word by word: that it compiles is the test of what is said there.

// newGameServerSet drives game.example.com GameServerSets by spec.partition, the pods that keep their version.
func newGameServerSet(gvk schema.GroupVersionKind) Driver {
	return partitioned{
		gvk:      gvk,
		fields:   fields{"partition": {"spec", "partition"}},
		held:     values{"partition": holdsAll},
		replicas: specReplicas,
		revisions: func(u *unstructured.Unstructured) (stable, update string) {
			return text(u, "status", "currentRevision"), text(u, "status", "updateRevision")
		},
		partition: func(_ *unstructured.Unstructured, s State, t Target) any {
			return int64(max(0, s.Replicas-t.Updated))
		},
		unavailable: func(*unstructured.Unstructured, int32) int32 { return 1 },
		minReady:    []string{"spec", "minReadySeconds"},
	}
}

func TestContributing(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	start := strings.Index(string(source), "// newGameServerSet")
	end := start + strings.Index(string(source)[start:], "\n}\n")
	if example := string(source)[start:end] + "\n}\n"; !strings.Contains(string(doc), "```go\n"+example+"```") {
		t.Errorf("CONTRIBUTING.md does not have the example as it is here:\n%s", example)
	}
	if newGameServerSet(schema.GroupVersionKind{Group: "game.example.com", Version: "v1", Kind: "GameServerSet"}).New() == nil {
		t.Error("the example makes no object")
	}
}
