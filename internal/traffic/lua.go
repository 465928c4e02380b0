// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// A Script is Lua source with the name that its errors go by.
type Script struct{ Name, Source string }

// Limits of a script. Most count what it does instead of what it takes, so that the same script on the same object always
// ends the same. What an instruction takes is bounded, but not the same: memory and time are for what goes on regardless,
// such as assignments to t[16000], each of which makes 256 KiB, and are far from what any honest script takes.
const (
	maxSource  = 64 << 10  // bytes
	maxSteps   = 1_000_000 // instructions, and one for each 64 bytes of strings that an instruction has before it
	maxString  = 1 << 20   // bytes of a string a function returns
	maxCalls   = 128       // calls within calls
	maxValues  = 16 << 10  // registers
	maxNesting = 64        // tables within tables, in and out
	maxValue   = 1 << 16   // values in what goes in and comes out, and one for each 64 bytes of a string
	maxArray   = 1 << 14   // index from which a table stores values one by one; every # may check as many
	valueSteps = 4         // what a value costs that goes through JSON
	maxRunning = 2         // scripts at a time, so that a slow one does not stop all others
	maxMemory  = 128 << 20 // bytes by which the process may have grown since a script began
	maxTime    = 2 * time.Second
)

func init() {
	// The interpreter fills a table up to the index that is written, so that one assignment could take a gigabyte.
	lua.MaxArrayIndex = maxArray
}

// running has room for the scripts that may run.
var running = make(chan struct{}, maxRunning)

// Program is a compiled Script.
type Program struct {
	name  string
	proto *lua.FunctionProto
}

// Compile reads the source. Errors name the script and the line, in one short one.
func (s Script) Compile() (*Program, error) {
	p, err := s.compile()
	if err != nil {
		return nil, shortened(err)
	}
	return p, nil
}

func (s Script) compile() (*Program, error) {
	if len(s.Source) > maxSource {
		return nil, scriptFault(s.Name, fmt.Errorf("script %s is longer than %d bytes", s.Name, maxSource))
	}
	chunk, err := parse.Parse(strings.NewReader(s.Source), s.Name)
	if err != nil {
		if syntax := (*parse.Error)(nil); errors.As(err, &syntax) {
			if syntax.Pos.Line == parse.EOF {
				return nil, scriptFault(s.Name, fmt.Errorf("script %s ends too early: %s", s.Name, syntax.Message))
			}
			return nil, scriptFault(s.Name, fmt.Errorf("script %s:%d: %s near %s", s.Name, syntax.Pos.Line, syntax.Message, cited(syntax.Token)))
		}
		return nil, scriptFault(s.Name, fmt.Errorf("script %s: %w", s.Name, err))
	}
	proto, err := lua.Compile(chunk, s.Name)
	if err != nil {
		return nil, scriptFault(s.Name, fmt.Errorf("script %s: %w", s.Name, err))
	}
	return &Program{name: s.Name, proto: proto}, nil
}

// Run gives the script its object as the global obj and returns what it returns. Errors name the
// script and the line, in one short one.
func (p *Program) Run(obj map[string]any) (any, error) { return p.run(obj, maxTime) }

func (p *Program) run(obj map[string]any, most time.Duration) (any, error) {
	out, err := p.result(obj, most)
	if err != nil {
		return nil, shortened(err)
	}
	return out, nil
}

func (p *Program) result(obj map[string]any, most time.Duration) (any, error) {
	running <- struct{}{}
	defer func() { <-running }()
	l := lua.NewState(lua.Options{SkipOpenLibs: true, CallStackSize: maxCalls, RegistrySize: maxValues / 16, RegistryMaxSize: maxValues})
	defer l.Close()
	open(l)
	in, err := toLua(l, obj)
	if err != nil {
		return nil, scriptFault(p.name, fmt.Errorf("script %s: %w", p.name, err))
	}
	l.SetGlobal("obj", in)
	began := time.Now() //nolint:forbidigo // what is rendered does not depend on it, only for how long
	l.SetContext(&budget{l: l, left: maxSteps, began: began, most: most, before: heap()})
	l.Push(l.NewFunctionFromProto(p.proto))
	if err := l.PCall(0, 1, nil); err != nil {
		return nil, scriptFault(p.name, fmt.Errorf("script %s", reason(err, p.name)))
	}
	out, err := fromLua(l.Get(-1))
	if err != nil {
		return nil, scriptFault(p.name, fmt.Errorf("script %s: %w", p.name, err))
	}
	return out, nil
}

// How a script ends that takes too much.
var (
	errBudget = fmt.Errorf("the script does too much: it may take %d steps", maxSteps)
	errMemory = fmt.Errorf("the script takes too much memory: it may take %d MiB", maxMemory>>20)
	errTime   = fmt.Errorf("the script takes too long: it may take %s", maxTime)
)

// budget is the context of a script. The interpreter asks it for Done before every instruction, which is where
// instructions are counted; strings weigh in, because one instruction can double them.
type budget struct {
	l      *lua.LState
	left   int
	asked  int
	began  time.Time
	most   time.Duration
	before uint64 // heap when the script began
	over   error  // why it is over
}

// spent is the channel of a budget that is used up.
var spent = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Done counts an instruction, and is closed when there are no more.
func (b *budget) Done() <-chan struct{} {
	if b.Err() != nil {
		return spent
	}
	top := b.l.GetTop()
	b.left -= 1 + top/16
	for i := top; i > 0; i-- {
		if s, ok := b.l.Get(i).(lua.LString); ok {
			b.left -= len(s) >> 6
		}
	}
	if b.asked++; b.asked%64 == 0 {
		b.measure()
	}
	return nil
}

// measure checks the clock and the heap; what is garbage there does not count. A script of which more than half stays
// would have garbage collected all the time: it ends, too.
func (b *budget) measure() {
	if time.Since(b.began) > b.most { //nolint:forbidigo // as above
		b.over = errTime
	}
	if heap() <= b.before+maxMemory {
		return
	}
	runtime.GC() // seldom: once for each so many bytes made
	if heap() > b.before+maxMemory/2 {
		b.over = errMemory
	}
}

// heap is how many bytes the process has allocated and not freed.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// charge takes steps from the budget of a script for what it has a function do. With too few left it ends the script.
func charge(l *lua.LState, steps int) {
	if b, ok := l.Context().(*budget); ok {
		b.left -= steps
		if err := b.Err(); err != nil {
			l.RaiseError("%s", err)
		}
	}
}

// Err is why the script was stopped.
func (b *budget) Err() error {
	if b.over == nil && b.left <= 0 {
		b.over = errBudget
	}
	return b.over
}

// Deadline and Value make budget a context.
func (*budget) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value holds nothing.
func (*budget) Value(any) any { return nil }

var _ context.Context = (*budget)(nil)
