// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// patterned are the functions of the string library that match patterns.
var patterned = map[string]lua.LGFunction{
	"find": stringFind, "match": stringMatch, "gmatch": stringGmatch, "gfind": stringGmatch, "gsub": stringGsub,
}

// stringFind is string.find(text, pattern, from, plain).
func stringFind(l *lua.LState) int {
	text, pattern := l.CheckString(1), l.CheckString(2)
	start := startOf(l, text)
	if start > len(text) {
		l.Push(lua.LNil)
		return 1
	}
	if lua.LVAsBool(l.Get(4)) || !strings.ContainsAny(pattern, `^$*+?.([%-`) {
		charge(l, len(text)>>6)
		at := strings.Index(text[start:], pattern)
		if at < 0 {
			l.Push(lua.LNil)
			return 1
		}
		l.Push(lua.LNumber(start + at + 1))
		l.Push(lua.LNumber(start + at + len(pattern)))
		return 2
	}
	m, anchored := newMatcher(l, text, pattern)
	from, to, found := m.next(start, anchored)
	if !found {
		l.Push(lua.LNil)
		return 1
	}
	l.Push(lua.LNumber(from + 1))
	l.Push(lua.LNumber(to))
	if len(m.captures) == 0 {
		return 2
	}
	return 2 + push(l, m.captured(from, to))
}

// stringMatch is string.match(text, pattern, from).
func stringMatch(l *lua.LState) int {
	text, pattern := l.CheckString(1), l.CheckString(2)
	m, anchored := newMatcher(l, text, pattern)
	from, to, found := m.next(startOf(l, text), anchored)
	if !found {
		l.Push(lua.LNil)
		return 1
	}
	return push(l, m.captured(from, to))
}

// stringGmatch is string.gmatch(text, pattern).
func stringGmatch(l *lua.LState) int {
	text, pattern := l.CheckString(1), l.CheckString(2)
	start := 0
	l.Push(l.NewFunction(func(l *lua.LState) int {
		m, anchored := newMatcher(l, text, pattern)
		from, to, found := m.next(start, anchored)
		if !found || anchored && start > 0 {
			l.Push(lua.LNil)
			return 1
		}
		if start = to; to == from {
			start++
		}
		return push(l, m.captured(from, to))
	}))
	return 1
}

// stringGsub is string.gsub(text, pattern, replacement, most).
func stringGsub(l *lua.LState) int {
	text, pattern := l.CheckString(1), l.CheckString(2)
	replacement := l.CheckAny(3)
	switch replacement.(type) {
	case lua.LString, lua.LNumber, *lua.LTable, *lua.LFunction:
	default:
		l.ArgError(3, "string, function or table expected")
	}
	m, anchored := newMatcher(l, text, pattern)
	out, done := strings.Builder{}, 0
	start, most := 0, l.OptInt(4, len(text)+1)
	for done < most {
		to := m.at(start)
		if to >= 0 {
			done++
			out.WriteString(replaced(l, m, start, to, replacement))
		}
		if out.Len() > maxString {
			l.RaiseError("string.gsub would make more than %d bytes", maxString)
		}
		if to > start {
			start = to
		} else if start == len(text) {
			break
		} else {
			out.WriteByte(text[start])
			start++
		}
		if anchored {
			break
		}
	}
	out.WriteString(text[start:])
	charge(l, out.Len()>>6)
	l.Push(lua.LString(out.String()))
	l.Push(lua.LNumber(done))
	return 2
}

// replaced is what comes instead of a match.
func replaced(l *lua.LState, m *matcher, from, to int, replacement lua.LValue) string {
	captures, all := m.captured(from, to), m.text[from:to]
	var value lua.LValue
	switch r := replacement.(type) {
	case *lua.LTable:
		value = l.GetTable(r, captures[0])
	case *lua.LFunction:
		l.Push(r)
		l.Call(push(l, captures), 1)
		value = l.Get(-1)
		l.Pop(1)
	default:
		return filled(l, replacement.String(), captures, all)
	}
	switch value.(type) {
	case lua.LString, lua.LNumber:
		charge(l, len(value.String())>>6)
		return value.String()
	}
	if lua.LVAsBool(value) {
		l.RaiseError("invalid replacement value (a %s)", value.Type())
	}
	return all
}

// filled is a replacement with its captures.
func filled(l *lua.LState, replacement string, captures []lua.LValue, all string) string {
	if !strings.Contains(replacement, "%") {
		return replacement
	}
	out := strings.Builder{}
	for i := 0; i < len(replacement); i++ {
		if replacement[i] != '%' || i+1 == len(replacement) {
			out.WriteByte(replacement[i])
			continue
		}
		i++
		switch n := int(replacement[i] - '0'); {
		case !isDigit(replacement[i]):
			out.WriteByte(replacement[i])
		case n == 0:
			out.WriteString(all)
		case n <= len(captures):
			out.WriteString(captures[n-1].String())
		default:
			l.RaiseError("the replacement %s has no capture %%%d", cited(replacement), n)
		}
		if out.Len() > maxString {
			l.RaiseError("string.gsub would make more than %d bytes", maxString)
		}
	}
	return out.String()
}

// startOf is where a function is to begin: its third argument counts from 1, or from the end.
func startOf(l *lua.LState, text string) int {
	switch start := l.OptInt(3, 1); {
	case start > 0:
		return min(start-1, len(text)+1)
	case start < 0:
		return max(len(text)+start, 0)
	default:
		return 0
	}
}

func push(l *lua.LState, values []lua.LValue) int {
	for _, v := range values {
		l.Push(v)
	}
	return len(values)
}
