// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"encoding/json"
	"math/bits"
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
	guard(l, tables, "concat", guardConcat)
	guard(l, tables, "sort", guardSort)
	for _, name := range []string{"insert", "remove", "maxn"} {
		guard(l, tables, name, guardTable)
	}
	guard(l, strs, "byte", guardString)
	globals, _ := l.GetGlobal("_G").(*lua.LTable)
	guard(l, globals, "unpack", guardTable)
	for _, name := range []string{"pcall", "xpcall"} {
		catching(l, globals, name)
	}
	globals.RawSetString("tostring", l.NewFunction(toString))
	strs.RawSetString("format", l.NewFunction(stringFormat))
	l.SetFuncs(strs, patterned)
	l.SetGlobal("json", l.SetFuncs(l.NewTable(), map[string]lua.LGFunction{"encode": jsonEncode, "decode": jsonDecode}))
}

// guard has a check run before a function. What these do is one instruction to the interpreter, so it cannot be
// stopped while they do it.
func guard(l *lua.LState, library *lua.LTable, name string, check func(*lua.LState)) {
	inner, ok := library.RawGetString(name).(*lua.LFunction)
	if !ok {
		return
	}
	library.RawSetString(name, l.NewFunction(func(l *lua.LState) int {
		check(l)
		return inner.GFunction(l)
	}))
}

// guardRep stops a repetition that is too long.
func guardRep(l *lua.LState) {
	if n := l.CheckInt(2); n > 0 && len(l.CheckString(1)) > maxString/n {
		l.RaiseError("string.rep would make more than %d bytes", maxString)
	}
	charge(l, max(l.CheckInt(2), 0)*len(l.CheckString(1))>>6)
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
	charge(l, list.Len()/4)
	for i := 1; i <= list.Len() && sum <= maxString; i++ {
		sum += len(textOf(list.RawGetInt(i))) + len(l.OptString(2, ""))
	}
	if sum > maxString {
		l.RaiseError("table.concat would make more than %d bytes", maxString)
	}
	charge(l, sum>>6)
}

// guardSort counts the comparisons of a sort.
func guardSort(l *lua.LState) {
	n := l.CheckTable(1).Len()
	charge(l, n*bits.Len(uint(n))/4)
}

// guardTable counts what may have to be moved.
func guardTable(l *lua.LState) { charge(l, l.CheckTable(1).Len()/16) }

// guardString counts what a string may be taken apart into.
func guardString(l *lua.LState) { charge(l, len(l.CheckString(1))/16) }

// guardCall counts the stack that an error is reported with.
func guardCall(l *lua.LState) { charge(l, maxCalls/4) }

// jsonEncode is json.encode: compact, keys sorted, and nothing escaped that JSON does not want escaped. An empty table
// is a list.
func jsonEncode(l *lua.LState) int {
	reader := &reader{left: maxValue}
	v, err := reader.value(l.CheckAny(1), 0)
	charge(l, (maxValue-reader.left)*valueSteps)
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
	text := l.CheckString(1)
	charge(l, len(text)/2) // a list of lists takes two bytes for each
	v, err := decode(text)
	if err != nil {
		l.RaiseError("json.decode: %s", err)
	}
	writer := newWriter(l)
	value, err := writer.value(v, 0)
	charge(l, (maxValue-writer.left)*valueSteps)
	if err != nil {
		l.RaiseError("json.decode: %s", err)
	}
	l.Push(value)
	return 1
}
