// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// TestScriptsEndTheSame: the same script on the same object ends the same each time, byte for byte, and its errors are short
// lines. What differs would be written without end: each pass would find another result, or another message for the status.
func TestScriptsEndTheSame(t *testing.T) {
	const key = "attempt to index a non-table object(nil) with key 'table'"
	address := regexp.MustCompile(`0x[0-9a-f]{6,}`)
	for name, test := range map[string]struct{ source, want string }{
		"a raised table":        {`error({code = 1})`, "script mine: the script raised a table instead of a message"},
		"a raised function":     {`error(print or type)`, "script mine: the script raised a function instead of a message"},
		"a raised userdata":     {`error(obj.null)`, "script mine: the script raised a userdata instead of a message"},
		"a raised nil":          {`error(nil)`, "script mine: the script raised nil instead of a message"},
		"a raised number":       {`error(5)`, "script mine: 5"},
		"a raised table, met":   {`local ok, e = pcall(error, {code = 1}) return e.code`, "1"},
		"lines and escapes":     {`error("a\nb\r\n\tc\27[31mred\0\127", 0)`, "script mine: a b c [31mred"},
		"marks of direction":    {`error("a\226\128\174b", 0)`, "script mine: a b"},
		"bytes":                 {`error("a\255\254b", 0)`, "script mine: a\uFFFD\uFFFDb"},
		"a huge error":          {`error(("x"):rep(1000000), 0)`, "script mine: " + strings.Repeat("x", maxMessage-len("script mine: ")-1) + "…"},
		"a huge syntax error":   {`local x "` + strings.Repeat("y", 10000) + `"`, "…"},
		"a huge key":            {`return {1, [("x"):rep(100000)] = 1}`, `x"… and a value at 1`},
		"tostring":              {`return tostring({})`, `"table"`},
		"tostring of all":       {`return tostring(type) .. tostring(obj.null) .. tostring(function() end) .. tostring(nil) .. tostring(true) .. tostring(1.5) .. tostring("s")`, `"functionuserdatafunctionniltrue1.5s"`},
		"tostring by its own":   {`return tostring(setmetatable({}, {__tostring = function() return "mine" end}))`, `"mine"`},
		"tostring of a table's": {`return tostring(setmetatable({}, {__tostring = {}}))`, `"table"`},
		"format":                {`return string.format("%s %s %v %5s %q", {}, type, obj.null, {}, "a")`, `"table function userdata table \"a\""`},
		"format by methods":     {`return ("%s=%s"):format({}, nil)`, `"table=nil"`},
		"format, wrong verbs":   {`return ("%p %d %x %#v %+v %T"):format({}, type, {}, obj.null, nil, {}) .. ("%p%p"):format(nil, true)`, "%!p("},
		"concat":                {`return {} .. "a"`, "cannot perform concat operation between table and string"},
		"table.concat":          {`return table.concat({{}})`, "invalid value (table)"},
		"an address as a key":   {`local a return a[{}]`, key},
		"the same, set":         {`local a a[{}] = 1`, key},
		"the same, caught":      {`local a local ok, e = pcall(function() return a[{}] end) return e`, key},
		"the same, handled":     {`local a local ok, e = xpcall(function() return a[{}] end, function(e) return "saw " .. e end) return e`, key},
		"the same, thrown on":   {`local a local ok, e = xpcall(function() return a[{}] end, function(e) error(e) end) return e`, key},
		"what a handler makes":  {`local ok, e = xpcall(function() error("x", 0) end, function(e) return {e} end) return e[1]`, `"x"`},
		"what is no address":    {`local ok, e = pcall(error, "table: 0x12", 0) return e`, `"table: 0x12"`},
		"pairs":                 {`local t, s = {}, "" for i = 1, 100 do t["k" .. i] = i t[{}] = i t[i / 7] = i end for k, v in pairs(t) do s = s .. v .. "," end return s`, `"`},
		"pairs of an object":    {`local s = "" for k in pairs(obj.many) do s = s .. k end return s`, `"a0a1b0b1`},
		"next":                  {`local t, s, k, v = {}, "", nil, nil for i = 1, 100 do t["k" .. i] = i end repeat k, v = next(t, k) s = s .. tostring(k) until not k return s`, `"k1k2`},
		"several faults":        {`return {a = 0 / 0, b = 1 / 0, c = type, d = {1, a = 2}, [1.5] = 1}`, "script mine: NaN is no number of JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			many := map[string]any{}
			for i := range 50 {
				many[fmt.Sprintf("%c%d", 'a'+i%25, i/25)] = int64(i)
			}
			first := ""
			for i := range 50 {
				out, err := run(test.source, map[string]any{"null": nil, "many": many})
				got := encode(out)
				if err != nil {
					got = err.Error()
					if utf8.RuneCountInString(got) > maxMessage || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
						t.Fatalf("no short line: %q", got)
					}
				}
				if i == 0 {
					first = got
				}
				if got != first {
					t.Fatalf("run %d gave %q, the first one %q", i, got, first)
				}
			}
			if !strings.Contains(first, test.want) || address.MatchString(first) {
				t.Errorf("got %q, want %q", first, test.want)
			}
		})
	}
}
