// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestAlike(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field string
		a, b  any
		want  bool
	}{
		{"paused", nil, false, true},
		{"paused", nil, true, false},
		{"partition", nil, int64(0), true},
		{"partition", "0%", int64(0), true},
		{"partition", float64(3), int64(3), true},
		{"partition", "100%", int64(0), false},
		{"partition", nil, holdsAll, false},
		{"maxSurge", nil, int64(0), true},
		{"maxUnavailable", nil, int64(0), false}, // kinds differ in what they let be unavailable
		{"minReadySeconds", nil, int64(0), true},
		{"type", "", rollingUpdate, true},
		{"type", nil, onDelete, false},
		{"partition", map[string]any{}, map[string]any{}, true}, // nonsense is no reason to panic
	} {
		if got := alike(c.field, c.a, c.b); got != c.want {
			t.Errorf("%s: %v and %v: alike %v", c.field, c.a, c.b, got)
		}
	}
}

// TestWant: a field is written where its meaning changes, and only there.
func TestWant(t *testing.T) {
	t.Parallel()
	f := strategyFields("partition", "paused")
	for _, c := range []struct {
		before, field string
		value         any
		after         string
	}{
		{`{}`, "paused", false, `{}`},
		{`{"updateStrategy":{"rollingUpdate":{"paused":true}}}`, "paused", false, `{}`},
		{`{"updateStrategy":{"rollingUpdate":{"paused":false}}}`, "paused", false, `{"updateStrategy":{"rollingUpdate":{"paused":false}}}`},
		{`{}`, "paused", true, `{"updateStrategy":{"rollingUpdate":{"paused":true}}}`},
		{`{}`, "partition", int64(0), `{}`},
		{`{"updateStrategy":{"rollingUpdate":{"partition":"0%"}}}`, "partition", int64(0), `{"updateStrategy":{"rollingUpdate":{"partition":"0%"}}}`},
		{`{"updateStrategy":{"rollingUpdate":{"partition":4}}}`, "partition", int64(0), `{"updateStrategy":{"rollingUpdate":{"partition":0}}}`},
		{`{}`, "type", rollingUpdate, `{}`},
		{`{"updateStrategy":{"type":"OnDelete"}}`, "type", rollingUpdate, `{"updateStrategy":{"type":"RollingUpdate"}}`},
	} {
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON([]byte(`{"apiVersion":"a/v1","kind":"A","spec":` + c.before + `}`)); err != nil {
			t.Fatal(err)
		}
		f.want(u, c.field, c.value)
		if got, _ := json.Marshal(u.Object["spec"]); string(got) != c.after {
			t.Errorf("%s, %s to be %v: %s, want %s", c.before, c.field, c.value, got, c.after)
		}
	}
}
