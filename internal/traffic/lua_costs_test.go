// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// hostile are scripts that were found to take much while they do little, each in its own way.
var hostile = map[string]string{
	"tables":             "local t = {} for i = 1, 1e9 do local x = {} x.a = 1 t[i] = x end",
	"tables by number":   "local t = {} for i = 1, 1e9 do local x = {} x[1.5] = 1 x.a = 1 t[i] = x end",
	"tables filled up":   "local t = {} for i = 1, 1e9 do local x = {} x[16000] = 1 t[i] = x end",
	"keys":               "local t = {} for i = 1, 1e9 do t[{}] = i end",
	"lists of arguments": "local t = {} local f = function(...) for i = 1, 1e9 do t[i] = {...} end end f(unpack({}, 1, 5000))",
	"many arguments":     "local function f(...) local n = select('#', ...) return f(...) end f(unpack({}, 1, 5000))",
	"many results":       "local function f() return unpack({}, 1, 10000) end while true do f() end",
	"lengths":            "local t = {} for i = 1, 16000 do t[i] = 1 end for i = 16000, 1, -1 do t[i] = nil end while true do local x = #t end",
	"errors":             "local function f(n) if n > 0 then return 1 + f(n-1) end while true do pcall(error, 'x') end end f(100)",
	"strings":            "local s, t, i = ('x'):rep(1e5), {}, 0 while true do i = i + 1 t[i] = s .. i end",
	"concat":             "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(500) end while true do table.concat(t) end",
	"sort":               "local t = {} for i = 1, 10000 do t[i] = (i * 7919) % 10007 end while true do table.sort(t) end",
	"remove":             "local t = {} for i = 1, 15000 do t[i] = 1 end while true do table.remove(t, 1) table.insert(t, 1) end",
	"gsub":               "local s = ('x'):rep(1e5) while true do s:gsub('x', '%0') end",
	"match":              "while true do string.match(('a'):rep(1000), '(.-)(.-)(.-)b') end",
	"sets":               "while true do string.match(('a'):rep(1000), '[' .. ('bcdefghij'):rep(100) .. ']') end",
	"encode":             "local t = {} for i = 1, 15000 do t[i] = {} end while true do json.encode(t) end",
	"decode":             "local s = '[' .. ('{\"a\":1},'):rep(10000) .. '{}]' while true do json.decode(s) end",
	"broken JSON":        "local s = '[' .. ('[],'):rep(200000) while true do pcall(json.decode, s) end",
	"format":             "while true do string.format('%999d%999d%999d%999d%999d%999d', 1, 1, 1, 1, 1, 1) end",
	"metatables":         "local t = setmetatable({}, {}) for i = 1, 90 do t = setmetatable({}, {__index = t}) end while true do local x = t.x end",
}

// TestScriptCosts: whatever a script does, it ends in time, and what it holds stays bounded.
func TestScriptCosts(t *testing.T) {
	for name, source := range hostile {
		t.Run(name, func(t *testing.T) {
			p, err := Script{Name: "mine", Source: source}.Compile()
			must(t, err)
			took, grown := costs(func() { _, err = p.Run(nil) })
			t.Logf("%d ms, %d MiB: %v", took.Milliseconds(), grown>>20, err)
			if err == nil || !strings.Contains(err.Error(), "the script ") {
				t.Errorf("got %v, want it cut off", err)
			}
			if took > 4*maxTime {
				t.Errorf("took %s", took)
			}
			if grown > 2*maxMemory {
				t.Errorf("held %d MiB", grown>>20)
			}
		})
	}
}

// costs is how long f takes, and by how much the heap grows meanwhile, garbage and all.
func costs(f func()) (took time.Duration, grown int64) {
	runtime.GC()
	before, began := heap(), time.Now()
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		ticks := time.NewTicker(time.Millisecond)
		defer ticks.Stop()
		seen := uint64(0)
		for {
			select {
			case <-ticks.C:
				seen = max(seen, heap())
			case <-stop:
				most <- max(seen, heap())
				return
			}
		}
	}()
	f()
	took = time.Since(began)
	close(stop)
	return took, int64(<-most) - int64(before)
}

// TestLargeObjects: a script is given what people write, and not what takes a gigabyte.
func TestLargeObjects(t *testing.T) {
	rule := map[string]any{"route": []any{
		map[string]any{"destination": map[string]any{"host": "api"}, "weight": int64(60)}, map[string]any{"destination": map[string]any{"host": "other"}, "weight": int64(40)},
	}}
	virtualService := func(rules int) map[string]any {
		return map[string]any{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "spec": map[string]any{"http": slices.Repeat([]any{rule}, rules)}}
	}
	traefikService := func(services []any) map[string]any {
		return map[string]any{"apiVersion": "traefik.io/v1alpha1", "kind": "TraefikService", "spec": map[string]any{"weighted": map[string]any{"services": services}}}
	}
	for name, test := range map[string]struct {
		object map[string]any
		err    string
	}{
		"1,000 routes":     {virtualService(1000), ""},
		"130,000 services": {traefikService(slices.Repeat([]any{map[string]any{}}, 130_000)), "too large"},
		"lists of lists":   {traefikService(slices.Repeat([]any{slices.Repeat([]any{map[string]any{}}, 300)}, 300)), "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			u := &unstructured.Unstructured{Object: test.object}
			u.SetNamespace("shop")
			r, err := newCustom(rolloutsv1beta1.ObjectRef{APIVersion: u.GetAPIVersion(), Kind: u.GetKind(), Name: "web"}, config)
			must(t, err)
			took, grown := costs(func() { _, err = r.Render(Objects{r.Refs()[0]: u}, &Route{Weight: new(int32(20))}) })
			t.Logf("%d ms, %d MiB: %v", took.Milliseconds(), grown>>20, err)
			if test.err == "" {
				must(t, err)
			} else if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("got %v, want %s", err, test.err)
			}
			if grown > 2*maxMemory {
				t.Errorf("held %d MiB", grown>>20)
			}
		})
	}
}
