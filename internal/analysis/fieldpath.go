// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"kruise.io/rollouts/api/v1beta1"
)

// pathPart is one part of a field path: a name after a dot, or a key in brackets, as the downward API writes them.
var pathPart = regexp.MustCompile(`^(?:\.?([A-Za-z0-9_-]+)|\['([^']+)'\])`)

// fieldOf reads a field of a Rollout: a text, a number or a bool.
func fieldOf(ro *v1beta1.Rollout, path string) (string, error) {
	parts, err := fieldPath(path)
	if err != nil || ro == nil {
		return "", err
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(ro)
	if err != nil {
		return "", invalid("fieldPath %s: %v", path, err)
	}
	value, found, err := unstructured.NestedFieldNoCopy(fields, parts...)
	if err != nil || !found {
		return "", invalid("the Rollout has no field %s", path)
	}
	switch value.(type) {
	case string, bool, int64, float64:
		return fmt.Sprint(value), nil
	default:
		return "", invalid("field %s of the Rollout is no text and no number", path)
	}
}

// fieldPath takes a path apart, and refuses one that does not begin with metadata, spec or status.
func fieldPath(path string) (parts []string, err error) {
	for rest := path; rest != ""; {
		found := pathPart.FindStringSubmatch(rest)
		if found == nil {
			return nil, invalid("fieldPath %q cannot be read; write one such as metadata.labels['app']", trimmed(path, 64))
		}
		parts = append(parts, found[1]+found[2])
		rest = rest[len(found[0]):]
	}
	if len(parts) < 2 || parts[0] != "metadata" && parts[0] != "spec" && !steady[strings.Join(parts, ".")] {
		return nil, invalid("fieldPath %q has to begin with metadata or spec, or to be %s", trimmed(path, 64), strings.Join(slices.Sorted(maps.Keys(steady)), ", "))
	}
	return parts, nil
}

// steady are the fields of a status that stay as they are during a release. With any other one an analysis would start over with
// every write.
var steady = map[string]bool{
	"status.canaryStatus.stableRevision": true, "status.canaryStatus.canaryRevision": true, "status.canaryStatus.podTemplateHash": true,
	"status.blueGreenStatus.stableRevision": true, "status.blueGreenStatus.updatedRevision": true, "status.blueGreenStatus.podTemplateHash": true,
}
