// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
	"pgregory.net/rapid"
)

// run runs a script without a limit of time: what ends it is the same on every machine.
func run(source string, obj map[string]any) (any, error) {
	p, err := Script{Name: "mine", Source: source}.Compile()
	if err != nil {
		return nil, err
	}
	return p.run(obj, time.Hour)
}

// TestScript: what scripts can do.
func TestScript(t *testing.T) {
	for name, test := range map[string]struct{ source, want string }{
		"whole numbers":         {`return {a = 6 / 2, b = 0.5, c = -1}`, `{"a":3,"b":0.5,"c":-1}`},
		"lists":                 {`local l = {} table.insert(l, "x") return l`, `["x"]`},
		"an empty table":        {`return {}`, `[]`},
		"empty as they were":    {`return obj.empty`, `{"list":[],"map":{}}`},
		"an emptied map":        {`obj.one.a = nil return obj.one`, `{}`},
		"a list of a copy":      {`local c = {} for i, v in ipairs(obj.list) do c[i] = v end return c`, `[1,2]`},
		"what Lua cannot hold":  {`return {obj.big, obj.null ~= nil}`, `[9223372036854775807,true]`},
		"json.encode":           {`return json.encode({b = {1, "<&>"}, a = json.decode("{}")})`, `"{\"a\":{},\"b\":[1,\"\u003c\u0026\u003e\"]}"`},
		"json.decode":           {`return json.decode('{"a": [1, 2.5, {"b": null}]}').a[2]`, `2.5`},
		"gmatch":                {`local n = 0 for w in string.gmatch("a,b,c", "[^,]+") do n = n + 1 end return n`, `3`},
		"gsub and find":         {`return string.gsub("a-b", "%-", "+") .. string.find("abc", "c", 1, true)`, `"a+b3"`},
		"methods":               {`return ("%s=%d"):format("a", 3)`, `"a=3"`},
		"sort":                  {`local l = {3, 1, 2} table.sort(l, function(a, b) return a > b end) return l`, `[3,2,1]`},
		"pcall":                 {`local ok, err = pcall(error, "x") return {ok, err}`, `[false,"mine:1: x"]`},
		"math":                  {`return math.floor(2.7) + math.max(1, 5)`, `7`},
		"nothing":               {``, `null`},
		"pairs in order of key": {`local s = "" for k in pairs(obj.order) do s = s .. k end return s`, `"abcdefgh"`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := run(test.source, map[string]any{
				"big": int64(math.MaxInt64), "null": nil, "list": []any{int64(1), int64(2)}, "one": map[string]any{"a": "b"},
				"empty": map[string]any{"list": []any{}, "map": map[string]any{}},
				"order": map[string]any{"h": "", "g": "", "f": "", "e": "", "d": "", "c": "", "b": "", "a": ""},
			})
			if err != nil || encode(got) != test.want {
				t.Errorf("got %s, %v; want %s", encode(got), err, test.want)
			}
		})
	}
}

// TestScriptLimits: what scripts cannot do, and how that is said.
func TestScriptLimits(t *testing.T) {
	deep := any("x")
	for range maxNesting + 1 {
		deep = []any{deep}
	}
	for name, test := range map[string]struct{ source, err string }{
		"syntax":             {"local a\nlocal = 3", `script mine:2: syntax error near "="`},
		"end":                {"if obj then", "script mine ends too early"},
		"its line":           {"local a\nreturn a.b", "script mine:2: attempt to index a non-table object(nil) with key 'b'"},
		"its own error":      {"\nerror('no such class')", "script mine:2: no such class"},
		"an error table":     {"error({})", "script mine: the script raised a table instead of a message"},
		"no io":              {"return io.open('/etc/passwd')", "non-table object(nil)"},
		"no os":              {"return os.getenv('HOME')", "non-table object(nil)"},
		"no debug":           {"return debug.traceback()", "non-table object(nil)"},
		"no channels":        {"return channel.make()", "non-table object(nil)"},
		"no coroutines":      {"return coroutine.create(function() end)", "non-table object(nil)"},
		"no load":            {"return load(function() end)", "call a non-function object"},
		"no loadstring":      {"return loadstring('')", "call a non-function object"},
		"no dofile":          {"return dofile('x')", "call a non-function object"},
		"no require":         {"return require('os')", "call a non-function object"},
		"no print":           {"print('x')", "call a non-function object"},
		"no chance":          {"return math.random()", "call a non-function object"},
		"no environments":    {"return getfenv(0)", "call a non-function object"},
		"no end":             {"while true do end", "does too much"},
		"no end, caught":     {"while true do pcall(function() while true do end end) end", "does too much"},
		"no end in a sort":   {"local l = {1, 2} table.sort(l, function() while true do end end)", "does too much"},
		"no bottom":          {"local function f() return 1 + f() end return f()", "stack overflow"},
		"a long string":      {"local s = 'x' while true do s = s .. s end", "does too much"},
		"many strings":       {"local t, s = {}, string.rep('x', 100000) for i = 1, 1e9 do t[i] = s .. i end", "does too much"},
		"a large table":      {"local t = {} for i = 1, 1e9 do t[i] = {} end", "does too much"},
		"rep":                {"return string.rep('xx', 1e9)", "string.rep would make more than"},
		"method rep":         {"return ('x'):rep(1e9)", "string.rep would make more than"},
		"format":             {"return string.format('%999999999d', 1)", "widths"},
		"concat":             {"local t, s = {}, string.rep('x', 1e5) for i = 1, 20 do t[i] = s end return table.concat(t)", "table.concat would make more than"},
		"gsub":               {"local s = string.rep('x', 1e4) return string.gsub(s, 'x', s)", "string.gsub would make more than"},
		"gsub by table":      {"local s = string.rep('x', 1e4) return string.gsub(s, 'x', {x = s})", "string.gsub would make more than"},
		"doubled tables":     {"local t = {} for i = 1, 60 do t = {t, t} end return t", "too large"},
		"doubled in JSON":    {"local t = {string.rep('x', 1e5)} for i = 1, 60 do t = {t, t} end return json.encode(t)", "too large"},
		"a hard pattern":     {"return string.find(string.rep('a', 500), '.-.-.-.-.-.-b')", "does too much"},
		"many maybes":        {"return string.find(('a'):rep(24), ('a?'):rep(24) .. ('a'):rep(24))", "does too much"},
		"hard, caught":       {"while true do pcall(string.find, ('a'):rep(300), '.*.*.*b') end", "does too much"},
		"a deep pattern":     {"return string.find(('a'):rep(3000), ('a?'):rep(3000))", "too complex"},
		"sorts":              {"local t = {} for i = 1, 15000 do t[i] = i end while true do table.sort(t) end", "does too much"},
		"moves":              {"local t = {} for i = 1, 15000 do t[i] = i end while true do table.insert(t, 1, 1) end", "does too much"},
		"much JSON":          {"local s = '[' .. ('{},'):rep(10000) .. '{}]' for i = 1, 100 do json.decode(s) end", "does too much"},
		"unpack":             {"return unpack({}, 1, 1e8)", "registry overflow"},
		"a table of itself":  {"local t = {} t[1] = t return t", "nested deeper"},
		"a deep object":      {"return 1", "nested deeper"},
		"a function":         {"return {print = function() end}", "a function cannot be written as JSON"},
		"neither":            {"return {1, a = 2}", "neither list nor map"},
		"with holes":         {"return {[3] = 1}", "no value at 1"},
		"not a number":       {"return 0 / 0", "no number of JSON"},
		"broken JSON":        {"return json.decode('{')", "json.decode"},
		"too long a script":  {strings.Repeat("-- x\n", maxSource), "longer than"},
		"far in a table":     {"local t = {} t[60000000] = 1 return t", "not at 1, 2, 3"},
		"a metatable's loop": {"local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end return t.x", "stack overflow"},
	} {
		t.Run(name, func(t *testing.T) {
			obj := map[string]any{}
			if name == "a deep object" {
				obj["deep"] = deep
			}
			before, after := runtime.MemStats{}, runtime.MemStats{}
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := run(test.source, obj)
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("got %v, want %s", err, test.err)
			}
			if err != nil && (!strings.HasPrefix(err.Error(), "script mine") || strings.Contains(err.Error(), "stack traceback")) {
				t.Errorf("unclear: %v", err)
			}
			if took := time.Since(start); took > 20*time.Second { // a tenth of that on a machine at rest
				t.Errorf("took %v", took)
			}
			runtime.ReadMemStats(&after)
			if made := after.TotalAlloc - before.TotalAlloc; made > 512<<20 {
				t.Errorf("made %d MiB", made>>20)
			}
		})
	}
}

// TestPatterns: patterns match as those of the interpreter do.
func TestPatterns(t *testing.T) {
	item := rapid.OneOf(
		rapid.SampledFrom([]string{"a", "b", ".", "%a", "%A", "%d", "%s", "%w", "%W", "%.", "%%", "[ab]", "[^a]", "[a-c1]", "[%d_]", "[]]", "-"}),
		rapid.SampledFrom([]string{"%b()", "%baa", "()", "(a*)", "(.-)", "(%w+)"}),
	)
	quantified := rapid.Custom(func(t *rapid.T) string {
		part := item.Draw(t, "part")
		if strings.HasPrefix(part, "%b") || strings.HasPrefix(part, "(") {
			return part
		}
		return part + rapid.SampledFrom([]string{"", "", "*", "+", "-", "?"}).Draw(t, "quantifier")
	})
	pattern := rapid.Custom(func(t *rapid.T) string {
		return rapid.SampledFrom([]string{"", "", "^"}).Draw(t, "start") + strings.Join(rapid.SliceOfN(quantified, 1, 4).Draw(t, "parts"), "") +
			rapid.SampledFrom([]string{"", "", "$"}).Draw(t, "end")
	})
	const source = `
		local t, p = obj.text, obj.pattern
		local out = {{string.find(t, p)}, {string.find(t, p, 2)}, {string.find(t, p, -2)}, {string.find(t, p, 1, true)}, {string.match(t, p)},
			{string.gsub(t, p, "<%0%%>")}, {string.gsub(t, p, "x", 2)}, {string.gsub(t, p, {a = "1", b = false})}, {string.gsub(t, p, function(x) return x and "[" .. x .. "]" end)}}
		if p:sub(1, 1) ~= "^" then
			local all = {}
			for x in string.gmatch(t, p) do all[#all + 1] = x end
			out[#out + 1] = all
		end
		return out`
	rapid.Check(t, func(t *rapid.T) {
		obj := map[string]any{
			"text":    rapid.StringOfN(rapid.SampledFrom([]rune("aabbc1_ ().-]%\x00")), 0, 12, -1).Draw(t, "text"),
			"pattern": pattern.Draw(t, "pattern"),
		}
		l := lua.NewState()
		defer l.Close()
		in, err := toLua(l, obj)
		must(t, err)
		l.SetGlobal("obj", in)
		must(t, l.DoString(source))
		want, err := fromLua(l.Get(-1))
		must(t, err)
		got, err := run(source, obj)
		must(t, err)
		if encode(got) != encode(want) {
			t.Fatalf("got %s, want %s", encode(got), encode(want))
		}
	})
}

// TestScriptsAreApart: nothing of a run is left to the next.
func TestScriptsAreApart(t *testing.T) {
	p, err := Script{Name: "mine", Source: `string.x = (string.x or 0) + 1 seen = (seen or 0) + 1 return seen + string.x`}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := p.Run(nil); err != nil || got != int64(2) {
			t.Errorf("got %v, %v", got, err)
		}
	}
}

// TestValues: any JSON goes through Lua and comes out the same.
func TestValues(t *testing.T) {
	leaf := rapid.OneOf(
		rapid.String().AsAny(), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Just[any](nil),
		rapid.Float64Range(-1e9, 1e9).Filter(func(f float64) bool { return f != math.Trunc(f) }).AsAny(),
	)
	value := rapid.OneOf(leaf, rapid.SliceOfN(leaf, 0, 4).AsAny(), rapid.MapOfN(rapid.String(), leaf, 0, 4).AsAny())
	rapid.Check(t, func(t *rapid.T) {
		fields := rapid.MapOfN(rapid.String(), rapid.OneOf(value, rapid.MapOfN(rapid.String(), value, 0, 3).AsAny(), rapid.SliceOfN(value, 0, 3).AsAny()), 0, 4).Draw(t, "value")
		in, err := decode(encode(fields))
		must(t, err)
		l := lua.NewState(lua.Options{SkipOpenLibs: true})
		defer l.Close()
		v, err := toLua(l, in)
		must(t, err)
		out, err := fromLua(v)
		must(t, err)
		if encode(out) != encode(in) {
			t.Fatalf("got %s, want %s", encode(out), encode(in))
		}
	})
}

// FuzzScript: whatever is written, it ends in time, holds little, and does not panic.
func FuzzScript(f *testing.F) {
	for _, s := range []string{"return obj", "x =", "error(nil)", "return setmetatable({}, {__kind = 1})", "return string.format('%c%q', 1, 'x')"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		took, grown := costs(func() { _, _ = run(source, map[string]any{"annotations": map[string]any{"a": "b"}}) })
		if took > 4*maxTime || grown > 2*maxMemory { // of a machine that does other things, too
			t.Errorf("took %s and held %d MiB", took, grown>>20)
		}
	})
}
