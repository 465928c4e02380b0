// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"encoding/json"
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// withheld are the functions of the base library that load code, print, or reach into the interpreter.
var withheld = []string{
	"collectgarbage", "dofile", "getfenv", "load", "loadfile", "loadstring", "module", "newproxy", "print", "require", "setfenv", "_printregs",
}

// open gives a script its libraries: base, table, string, math and json.
func open(l *lua.LState) {
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}, {lua.StringLibName, lua.OpenString}, {lua.MathLibName, lua.OpenMath}} {
		l.Push(l.NewFunction(library.open))
		l.Push(lua.LString(library.name))
		l.Call(1, 0)
	}
	for _, name := range withheld {
		l.SetGlobal(name, lua.LNil)
	}
	strs, tables, maths := l.GetGlobal("string").(*lua.LTable), l.GetGlobal("table").(*lua.LTable), l.GetGlobal("math").(*lua.LTable)
	strs.RawSetString("dump", lua.LNil)
	maths.RawSetString("random", lua.LNil) // the same object has to come out every time
	maths.RawSetString("randomseed", lua.LNil)
	guard(l, strs, "rep", guardRep)
	guard(l, strs, "format", guardFormat)
	guard(l, tables, "concat", guardConcat)
	for _, name := range []string{"find", "match", "gmatch", "gsub"} {
		guard(l, strs, name, guardPattern)
	}
	l.SetGlobal("json", l.SetFuncs(l.NewTable(), map[string]lua.LGFunction{"encode": jsonEncode, "decode": jsonDecode}))
}

// guard has a check run before a function. What these do is one instruction to the interpreter, so it cannot be
// stopped while they do it.
func guard(l *lua.LState, library *lua.LTable, name string, check func(*lua.LState)) {
	inner, ok := library.RawGetString(name).(*lua.LFunction)
	if !ok {
		return
	}
	guarded := l.NewFunction(func(l *lua.LState) int {
		check(l)
		return inner.GFunction(l)
	})
	guarded.Upvalues = inner.Upvalues // gmatch keeps its iterator there
	library.RawSetString(name, guarded)
}

// guardRep stops a repetition that is too long.
func guardRep(l *lua.LState) {
	if n := l.CheckInt(2); n > 0 && len(l.CheckString(1)) > maxString/n {
		l.RaiseError("string.rep would make more than %d bytes", maxString)
	}
}

// guardFormat stops a width that Lua's own implementation refuses, too.
func guardFormat(l *lua.LState) {
	digits := 0
	for _, c := range l.CheckString(1) {
		if digits++; c < '0' || c > '9' {
			digits = 0
		}
		if digits > 3 {
			l.RaiseError("string.format takes widths below 1000")
		}
	}
}

// guardConcat stops a list whose strings are too long together.
func guardConcat(l *lua.LState) {
	sum, list := 0, l.CheckTable(1)
	for i := 1; i <= list.Len() && sum <= maxString; i++ {
		sum += len(list.RawGetInt(i).String()) + len(l.OptString(2, ""))
	}
	if sum > maxString {
		l.RaiseError("table.concat would make more than %d bytes", maxString)
	}
}

// guardPattern stops a pattern that may be tried in too many ways: each repetition in it multiplies them by the length
// of the text.
func guardPattern(l *lua.LState) {
	text, pattern := l.CheckString(1), l.CheckString(2)
	ways := float64(len(text) + 1)
	for range strings.Count(pattern, "*") + strings.Count(pattern, "+") + strings.Count(pattern, "-") {
		ways *= math.Max(float64(len(text)), 1) / 2
	}
	if ways > 1e10 {
		l.RaiseError("the pattern %q repeats too often for a text of %d bytes", pattern, len(text))
	}
	longest := 0
	switch replacement := l.Get(3).(type) {
	case lua.LString:
		longest = len(replacement)
	case *lua.LTable:
		replacement.ForEach(func(_, v lua.LValue) { longest = max(longest, len(v.String())) })
	}
	if (len(text)+1)*longest > 16*maxString {
		l.RaiseError("string.gsub would make more than %d bytes", maxString)
	}
}

// jsonEncode is json.encode: compact, keys sorted, and nothing escaped that JSON does not want escaped. An empty table
// is a list.
func jsonEncode(l *lua.LState) int {
	v, err := fromLua(l.CheckAny(1))
	if err != nil {
		l.RaiseError("json.encode: %s", err)
	}
	text := &strings.Builder{}
	encoder := json.NewEncoder(text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		l.RaiseError("json.encode: %s", err)
	}
	l.Push(lua.LString(strings.TrimSuffix(text.String(), "\n")))
	return 1
}

// jsonDecode is json.decode.
func jsonDecode(l *lua.LState) int {
	v, err := decode(l.CheckString(1))
	if err != nil {
		l.RaiseError("json.decode: %s", err)
	}
	value, err := toLua(l, v, 0)
	if err != nil {
		l.RaiseError("json.decode: %s", err)
	}
	l.Push(value)
	return 1
}
