// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	lua "github.com/yuin/gopher-lua"
)

// What a script has in words: values and errors. The interpreter names tables, functions and the like by their addresses,
// which are others in every run; a status or an object with one in it would be written without end
// (TestScriptsEndTheSame).

// maxMessage is how many characters an error of a script may have: it goes into statuses and events.
const maxMessage = 500

// shortened is an error of a script as one short line of what can be printed.
func shortened(err error) error { return errors.New(oneLine(err.Error())) }

// oneLine makes one line of a text: no control characters, no spaces next to each other, and no more than maxMessage.
func oneLine(text string) string {
	line := make([]rune, 0, min(len(text), maxMessage))
	for _, r := range text {
		if !unicode.IsPrint(r) {
			r = ' '
		}
		if r == ' ' && (len(line) == 0 || line[len(line)-1] == ' ') {
			continue
		}
		if len(line) == maxMessage {
			line[maxMessage-1] = '…'
			break
		}
		line = append(line, r)
	}
	return strings.TrimSuffix(string(line), " ")
}

// maxCited is how many bytes of a string an error cites, so that it has room for what is wrong with it.
const maxCited = 100

// cited is a string of a script as an error cites it.
func cited(text string) string {
	if len(text) <= maxCited {
		return strconv.Quote(text)
	}
	return strconv.Quote(text[:maxCited]) + "…"
}

// reason is what went wrong, with script and line and without the interpreter's stack.
func reason(err error, name string) string {
	text := err.Error()
	if failed := (*lua.ApiError)(nil); errors.As(err, &failed) && failed.Object != nil {
		switch raised := failed.Object.(type) {
		case lua.LString, lua.LNumber:
			text = withoutAddress(raised.String())
		case *lua.LNilType:
			text = "the script raised nil instead of a message"
		default:
			text = fmt.Sprintf("the script raised a %s instead of a message", raised.Type())
		}
	}
	text, _, _ = strings.Cut(text, "\nstack traceback")
	if !strings.HasPrefix(text, name+":") {
		text = name + ": " + text
	}
	return text
}

// addressed is the one message of the interpreter that has an address in it.
var addressed = regexp.MustCompile(`(attempt to index a non-table object\(\w+\) with key '\w+): 0x[0-9a-f]+'`)

// withoutAddress is a message without the address of a key.
func withoutAddress(message string) string { return addressed.ReplaceAllString(message, "$1'") }

// textOf is a value as tostring says it: the kind only, of what the interpreter would give an address.
func textOf(v lua.LValue) string {
	switch v.(type) {
	case lua.LString, lua.LNumber, lua.LBool:
		return v.String()
	default:
		return v.Type().String()
	}
}

// toString is tostring.
func toString(l *lua.LState) int {
	v := l.CheckAny(1)
	if _, ok := l.GetMetaField(v, "__tostring").(*lua.LFunction); ok {
		l.Push(l.ToStringMeta(v))
	} else {
		l.Push(lua.LString(textOf(v)))
	}
	return 1
}

// kindName is what string.format is given for a value that has no text. It is no value of Lua, so that no verb finds an
// address in it.
type kindName string

// stringFormat is string.format.
func stringFormat(l *lua.LState) int {
	guardFormat(l)
	format, values := l.CheckString(1), []any{}
	for i := 2; i <= l.GetTop(); i++ {
		switch v := l.Get(i).(type) {
		case lua.LString, lua.LNumber, lua.LBool:
			values = append(values, v)
		default:
			values = append(values, kindName(textOf(v)))
		}
	}
	verbs := strings.Count(format, "%") - strings.Count(format, "%%")
	l.Push(lua.LString(fmt.Sprintf(format, values[:min(verbs, len(values))]...)))
	return 1
}

// catching makes pcall and xpcall give messages without addresses, to handlers, too.
func catching(l *lua.LState, globals *lua.LTable, name string) {
	inner, ok := globals.RawGetString(name).(*lua.LFunction)
	if !ok {
		return
	}
	globals.RawSetString(name, l.NewFunction(func(l *lua.LState) int {
		guardCall(l)
		if handler, ok := l.Get(2).(*lua.LFunction); ok && name == "xpcall" {
			l.Replace(2, handling(l, handler))
		}
		n := inner.GFunction(l)
		if said, ok := l.Get(-1).(lua.LString); ok && n == 2 && l.Get(-2) == lua.LFalse {
			l.Replace(-1, lua.LString(withoutAddress(string(said))))
		}
		return n
	}))
}

// handling is a handler that sees no addresses.
func handling(l *lua.LState, handler *lua.LFunction) *lua.LFunction {
	return l.NewFunction(func(l *lua.LState) int {
		raised := l.Get(1)
		if said, ok := raised.(lua.LString); ok {
			raised = lua.LString(withoutAddress(string(said)))
		}
		l.Push(handler)
		l.Push(raised)
		l.Call(1, 1)
		return 1
	})
}
