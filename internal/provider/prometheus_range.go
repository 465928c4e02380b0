// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// times returns the range of a range query, nil for an instant one.
func (c *Clients) times(given *rolloutsv1beta1.PrometheusRangeQuery) (*prometheusv1.Range, error) {
	if given == nil {
		return nil, nil
	}
	now := c.options.Now()
	start, err := instant("start", given.Start, now)
	if err != nil {
		return nil, err
	}
	end, err := instant("end", given.End, now)
	if err != nil {
		return nil, err
	}
	step, err := time.ParseDuration(given.Step)
	switch {
	case err != nil || step < time.Millisecond:
		return nil, misconfigured(`rangeQuery.step has to be a duration, such as "1m"`)
	case end.Before(start):
		return nil, misconfigured("rangeQuery.start is after its end")
	}
	return &prometheusv1.Range{Start: start, End: end, Step: step}, nil
}

// instant evaluates an expression of a time: now() and duration("1h"), added and subtracted.
func instant(field, text string, now time.Time) (time.Time, error) {
	// Strings are of either quotes in templates, and Go knows one.
	parsed, err := parser.ParseExpr(strings.ReplaceAll(text, "'", `"`))
	if err == nil && len(text) <= 1024 {
		if value, ok := evaluated(parsed, now).(time.Time); ok {
			return value, nil
		}
	}
	return time.Time{}, misconfigured(fmt.Sprintf(`rangeQuery.%s has to be a time, such as now() - duration("1h")`, field))
}

// evaluated returns the value of an expression: a time, a duration, or nil where it has neither. The syntax is one that Go's own
// parser reads. The library of conditions would read it, too, but it finds methods by their names, for which the linker then keeps
// every method of the manager: half as much again.
func evaluated(text ast.Expr, now time.Time) any {
	switch e := text.(type) {
	case *ast.ParenExpr:
		return evaluated(e.X, now)
	case *ast.CallExpr:
		return called(e, now)
	case *ast.BinaryExpr:
		return combined(evaluated(e.X, now), evaluated(e.Y, now), e.Op)
	}
	return nil
}

func called(call *ast.CallExpr, now time.Time) any {
	function, ok := call.Fun.(*ast.Ident)
	switch {
	case !ok:
		return nil
	case function.Name == "now" && len(call.Args) == 0:
		return now
	case function.Name == "duration" && len(call.Args) == 1:
		literal, ok := call.Args[0].(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return nil
		}
		if d, err := time.ParseDuration(strings.Trim(literal.Value, "`\"")); err == nil {
			return d
		}
	}
	return nil
}

func combined(left, right any, by token.Token) any {
	d, ok := right.(time.Duration)
	switch by {
	case token.ADD:
		if t, later := right.(time.Time); later {
			if before, isDuration := left.(time.Duration); isDuration {
				return t.Add(before)
			}
		}
	case token.SUB:
		d = -d
	default:
		return nil
	}
	switch left := left.(type) {
	case time.Time:
		if ok {
			return left.Add(d)
		}
	case time.Duration:
		if ok {
			return left + d
		}
	}
	return nil
}
