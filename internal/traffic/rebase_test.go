// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"encoding/json"
	"testing"
)

// TestRebaseOfLists: what a user did to a list that a script has added entries to, changed in place, or both, is done to the
// user's list, and everything else stays where it was.
func TestRebaseOfLists(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ original, rendered, now, want string }{
		"a named entry is edited, beside one of the script's": {
			`[{"name":"cart","r":1},{"name":"pay","r":2}]`, `[{"h":1,"r":9},{"name":"cart","r":1},{"name":"pay","r":2}]`,
			`[{"h":1,"r":9},{"name":"cart","r":1,"t":5},{"name":"pay","r":2}]`, `[{"name":"cart","r":1,"t":5},{"name":"pay","r":2}]`,
		},
		"an entry that the script has changed is edited, beside one of the script's": {
			`[{"m":1,"r":1},{"m":2,"r":2}]`, `[{"h":1,"r":9},{"m":1,"r":7},{"m":2,"r":2}]`, `[{"h":1,"r":9},{"m":1,"r":7,"t":5},{"m":2,"r":2}]`, `[{"m":1,"r":1,"t":5},{"m":2,"r":2}]`,
		},
		"one is added between": {
			`[{"m":1},{"m":2}]`, `[{"h":1},{"m":1},{"m":2}]`, `[{"h":1},{"m":1},{"m":3},{"m":2}]`, `[{"m":1},{"m":3},{"m":2}]`,
		},
		"one is added in front":        {`[{"m":1}]`, `[{"h":1},{"m":1}]`, `[{"m":3},{"h":1},{"m":1}]`, `[{"m":3},{"m":1}]`},
		"one is taken away":            {`[{"m":1},{"m":2}]`, `[{"h":1},{"m":1},{"m":2}]`, `[{"h":1},{"m":2}]`, `[{"m":2}]`},
		"the script's is taken away":   {`[{"m":1},{"m":2}]`, `[{"h":1},{"m":1},{"m":2}]`, `[{"m":1},{"m":2}]`, `[{"m":1},{"m":2}]`},
		"the script's is edited":       {`[{"m":1}]`, `[{"h":1,"r":9},{"m":1}]`, `[{"h":1,"r":8},{"m":1}]`, `[{"m":1}]`},
		"the script has taken one":     {`[{"m":1},{"m":2}]`, `[{"m":2}]`, `[{"m":2,"t":5}]`, `[{"m":1},{"m":2,"t":5}]`},
		"plain values, one is added":   {`["a","b"]`, `["x","a","b"]`, `["x","a","b","c"]`, `["a","b","c"]`},
		"equal entries, one is edited": {`[{"m":1},{"m":1}]`, `[{"h":1},{"m":1},{"m":1}]`, `[{"h":1},{"m":1},{"m":1,"t":5}]`, `[{"m":1},{"m":1,"t":5}]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lists [3]any
			for i, text := range []string{c.original, c.rendered, c.now} {
				if err := json.Unmarshal([]byte(text), &lists[i]); err != nil {
					t.Fatal(err)
				}
			}
			if got := encode(newRebase(nil).value(lists[0], lists[1], lists[2])); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
