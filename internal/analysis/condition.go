// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// A condition is an expression of github.com/expr-lang/expr over result, which is what a provider gave: a number, a text, a list, or
// what JSON holds. Templates of Argo Rollouts are written in it, and mean the same here, with one difference: nothing is promoted on
// a NaN, an empty list or nothing at all. Where no condition asks about these, the outcome is NoData.

// maxCondition is how long a condition may be, in characters, and maxNodes of how many parts.
const (
	maxCondition = 1024
	maxNodes     = 1000
	memoryBudget = 1e5 // what expr counts: elements it makes
)

// environment is what a condition sees. A struct with a field of any: a map that holds nil refuses result[0] when it is compiled.
type environment struct {
	Result any `expr:"result"`
}

// Condition is a compiled condition of a template. It may be used by many at once.
type Condition struct {
	text    string
	program *vm.Program
	asks    asked
}

// String is the condition as it was written.
func (c *Condition) String() string { return c.text }

// CompileCondition compiles what a template says. What it refuses, and why, is for the author of the template: unknown names, what is
// not true or false, syntax, and what costs more than a condition may, with the column counted from 1.
func CompileCondition(text string) (condition *Condition, err error) {
	defer func() {
		if r := recover(); r != nil {
			condition, err = nil, fmt.Errorf("cannot be compiled: %v", r)
		}
	}()
	if n := len([]rune(text)); n > maxCondition {
		return nil, fmt.Errorf("has %d characters; at most %d are allowed", n, maxCondition)
	}
	asks, err := inspect(text)
	if err != nil {
		return nil, err
	}
	program, err := expr.Compile(text, options()...)
	if err != nil {
		return nil, at(err)
	}
	return &Condition{text: text, program: program, asks: asks}, nil
}

// options are what conditions are compiled with.
func options() []expr.Option {
	return append([]expr.Option{
		expr.Env(environment{}),
		expr.AsBool(),
		expr.MaxNodes(maxNodes),
		expr.Function("isNaN", isNaN, new(func(any) bool)),
		expr.Function("isInf", isInf, new(func(any) bool)),
		expr.Function("isNil", func(x ...any) (any, error) { return x[0] == nil, nil }, new(func(any) bool)),
		expr.Function("default", orElse, new(func(any, any) any)),
		expr.Function("asInt", asInt, new(func(any) int)),
		expr.Function("asFloat", asFloat, new(func(any) float64)),
	}, disabled()...)
}

// at is an error of expr in one line, with the place.
func at(err error) error {
	var e *file.Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Line > 1 {
		return fmt.Errorf("line %d, column %d: %s", e.Line, e.Column+1, e.Message)
	}
	return fmt.Errorf("column %d: %s", e.Column+1, e.Message)
}

// holds evaluates c. An error is one of the condition or of what it was given.
func (c *Condition) holds(result any) (bool, error) {
	machine := vm.VM{MemoryBudget: memoryBudget}
	out, err := machine.Run(c.program, environment{Result: result})
	if err != nil {
		return false, at(err)
	}
	b, ok := out.(bool)
	if !ok {
		return false, fmt.Errorf("gives %s, not true or false", describe(out))
	}
	return b, nil
}

func isNaN(x ...any) (any, error) {
	f, ok := x[0].(float64)
	if !ok {
		return nil, fmt.Errorf("isNaN takes a float, not %s", describe(x[0]))
	}
	return math.IsNaN(f), nil
}

func isInf(x ...any) (any, error) {
	f, ok := x[0].(float64)
	if !ok {
		return nil, fmt.Errorf("isInf takes a float, not %s", describe(x[0]))
	}
	return math.IsInf(f, 0), nil
}

func orElse(x ...any) (any, error) {
	if x[0] == nil {
		return x[1], nil
	}
	return x[0], nil
}

func asFloat(x ...any) (any, error) {
	switch v := x[0].(type) {
	case float64:
		return v, nil
	case int:
		return float64(v), nil
	case string:
		if f, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil {
			return f, nil
		}
	}
	return nil, fmt.Errorf("asFloat takes a number, not %s", describe(x[0]))
}

func asInt(x ...any) (any, error) {
	switch v := x[0].(type) {
	case int:
		return v, nil
	case float64:
		if math.Abs(v) < 1<<53 {
			return int(v), nil
		}
	case string:
		if i, err := strconv.Atoi(strings.TrimSpace(v)); err == nil {
			return i, nil
		}
	}
	return nil, fmt.Errorf("asInt takes a whole number, not %s", describe(x[0]))
}
