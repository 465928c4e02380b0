// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// statusPatch writes the whole status as we know it, and leaves what we do not know: a newer version of the CRD has fields
// that our types lack, and an update would drop them. It fails where the object has changed in any way since it was seen.
// What we know is written whether or not it differs: the API server insists on required fields whose value is zero on both
// sides. Only a list that stays as it is is left out, since it would be replaced with all that is in its items.
type statusPatch struct{ seen client.Object }

func (*statusPatch) Type() types.PatchType { return types.MergePatchType }

func (p *statusPatch) Data(to client.Object) ([]byte, error) {
	before, err := statusOf(p.seen)
	if err != nil {
		return nil, err
	}
	after, err := statusOf(to)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": p.seen.GetResourceVersion(), "uid": p.seen.GetUID()},
		"status":   overlay(before, after),
	})
}

func statusOf(o client.Object) (map[string]any, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("writing an object as JSON: %w", err)
	}
	var whole struct {
		Status map[string]any `json:"status"`
	}
	if err := json.Unmarshal(raw, &whole); err != nil {
		return nil, fmt.Errorf("reading an object back: %w", err)
	}
	return whole.Status, nil
}

// overlay is the merge patch that sets all of after, and removes what only before has.
func overlay(before, after map[string]any) map[string]any {
	patch := map[string]any{}
	for key := range before {
		if _, kept := after[key]; !kept {
			patch[key] = nil
		}
	}
	for key, value := range after {
		was := before[key]
		switch value := value.(type) {
		case map[string]any:
			inner, _ := was.(map[string]any)
			patch[key] = overlay(inner, value)
		case []any:
			if list, ok := was.([]any); !ok || len(list) == 0 || !reflect.DeepEqual(list, value) {
				patch[key] = value
			}
		default:
			patch[key] = value
		}
	}
	return patch
}
