// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// A Script is Lua source with the name that its errors go by.
type Script struct{ Name, Source string }

// Limits of a script. They count what it does instead of the time it takes, so that the same script on the same object
// always ends the same; the steps take well below a second.
const (
	maxSource  = 64 << 10  // bytes
	maxSteps   = 2_000_000 // instructions, and one for each 64 bytes of strings that an instruction has before it
	maxString  = 1 << 20   // bytes of a string a function returns
	maxCalls   = 128       // calls within calls
	maxValues  = 16 << 10  // registers
	maxNesting = 64        // tables within tables, in and out
	maxValue   = 1 << 17   // values in what comes out, and one for each 64 bytes of a string
	maxArray   = 1 << 16   // index from which a table stores values one by one
)

func init() {
	// The interpreter fills a table up to the index that is written, so that one assignment could take a gigabyte.
	lua.MaxArrayIndex = maxArray
}

// Program is a compiled Script.
type Program struct {
	name  string
	proto *lua.FunctionProto
}

// Compile reads the source. Errors name the script and the line.
func (s Script) Compile() (*Program, error) {
	if len(s.Source) > maxSource {
		return nil, fmt.Errorf("script %s is longer than %d bytes", s.Name, maxSource)
	}
	chunk, err := parse.Parse(strings.NewReader(s.Source), s.Name)
	if err != nil {
		if syntax := (*parse.Error)(nil); errors.As(err, &syntax) {
			if syntax.Pos.Line == parse.EOF {
				return nil, fmt.Errorf("script %s ends too early: %s", s.Name, syntax.Message)
			}
			return nil, fmt.Errorf("script %s:%d: %s near %q", s.Name, syntax.Pos.Line, syntax.Message, syntax.Token)
		}
		return nil, fmt.Errorf("script %s: %w", s.Name, err)
	}
	proto, err := lua.Compile(chunk, s.Name)
	if err != nil {
		return nil, fmt.Errorf("script %s: %w", s.Name, err)
	}
	return &Program{name: s.Name, proto: proto}, nil
}

// Run gives the script its object as the global obj and returns what it returns. Errors name the
// script and the line.
func (p *Program) Run(obj map[string]any) (any, error) {
	l := lua.NewState(lua.Options{SkipOpenLibs: true, CallStackSize: maxCalls, RegistrySize: maxValues / 16, RegistryMaxSize: maxValues})
	defer l.Close()
	open(l)
	in, err := toLua(l, obj, 0)
	if err != nil {
		return nil, fmt.Errorf("script %s: %w", p.name, err)
	}
	l.SetGlobal("obj", in)
	l.SetContext(&budget{l: l, left: maxSteps})
	l.Push(l.NewFunctionFromProto(p.proto))
	if err := l.PCall(0, 1, nil); err != nil {
		return nil, fmt.Errorf("script %s", reason(err, p.name))
	}
	out, err := fromLua(l.Get(-1))
	if err != nil {
		return nil, fmt.Errorf("script %s: %w", p.name, err)
	}
	return out, nil
}

// reason is what went wrong, with script and line and without the interpreter's stack.
func reason(err error, name string) string {
	text := err.Error()
	if failed := (*lua.ApiError)(nil); errors.As(err, &failed) && failed.Object != nil && failed.Object != lua.LNil {
		text = failed.Object.String()
	}
	text, _, _ = strings.Cut(text, "\nstack traceback")
	if !strings.HasPrefix(text, name+":") {
		text = name + ": " + text
	}
	return strings.TrimSpace(text)
}

// errBudget is how a script ends that does too much.
var errBudget = errors.New("the script does too much; it may take a second and a few megabytes")

// budget is the context of a script. The interpreter asks it for Done before every instruction, which is where
// instructions are counted; strings weigh in, because one instruction can double them.
type budget struct {
	l    *lua.LState
	left int
}

// spent is the channel of a budget that is used up.
var spent = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Done counts an instruction, and is closed when there are no more.
func (b *budget) Done() <-chan struct{} {
	if b.left <= 0 {
		return spent
	}
	b.left--
	for i := b.l.GetTop(); i > 0; i-- {
		if s, ok := b.l.Get(i).(lua.LString); ok {
			b.left -= len(s) >> 6
		}
	}
	return nil
}

// Err is why the script was stopped.
func (b *budget) Err() error {
	if b.left <= 0 {
		return errBudget
	}
	return nil
}

// Deadline and Value make budget a context.
func (*budget) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value holds nothing.
func (*budget) Value(any) any { return nil }

var _ context.Context = (*budget)(nil)
