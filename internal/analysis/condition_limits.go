// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"slices"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/parser"
)

// Whoever may write a template must not be able to stop the manager with a condition. expr counts the elements it makes, and neither
// steps nor texts, so what multiplies work is refused before: loops in loops, and names for values, by which thirty short lines
// double a text to a gigabyte. What is left takes time by the length of the condition and the square of the result's size, which is
// limited, too.

// allowed are the functions of expr in conditions. Left out are those that know the time (a judge that asks the clock twice has two
// answers), those that make large things of small ones, and those that read texts as something else.
var allowed = []string{
	"all", "none", "any", "one", "filter", "map", "find", "findIndex", "findLast", "findLastIndex", "count", "sum",
	"len", "type", "abs", "ceil", "floor", "round", "int", "float", "string", "trim", "trimPrefix", "trimSuffix", "upper", "lower",
	"indexOf", "lastIndexOf", "hasPrefix", "hasSuffix", "max", "min", "mean", "median", "first", "last", "get", "take", "keys", "values",
	"reverse", "sort",
}

func disabled() []expr.Option {
	var options []expr.Option
	for _, f := range builtin.Builtins {
		if !slices.Contains(allowed, f.Name) {
			options = append(options, expr.DisableBuiltin(f.Name))
		}
	}
	return options
}

// maxRange is how many numbers a range such as 1..10 may have.
const maxRange = 1000

// asked are the questions about a missing result that a condition answers by itself, and what else is known of it before there is one.
type asked struct {
	empty bool // nothing, an empty list, an empty text
	nan   bool
	// loops: there is a loop, whose every turn may look at all texts of the result.
	loops bool
}

func (a asked) or(other asked) asked {
	return asked{empty: a.empty || other.empty, nan: a.nan || other.nan, loops: a.loops || other.loops}
}

// inspect looks at the parts of a condition: what it asks about, and whether it costs more than it may.
func inspect(text string) (asked, error) {
	tree, err := parser.Parse(text)
	if err != nil {
		return asked{}, at(err)
	}
	v := &inspector{}
	ast.Walk(&tree.Node, v)
	if v.refused != "" {
		return asked{}, fmt.Errorf("column %d: %s", v.column+1, v.refused)
	}
	return v.asks, nil
}

// inspector visits all parts of a condition.
type inspector struct {
	asks    asked
	refused string
	column  int
}

func (v *inspector) refuse(node ast.Node, why string) {
	if v.refused == "" {
		v.refused, v.column = why, node.Location().From
	}
}

// Visit implements ast.Visitor.
func (v *inspector) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.PredicateNode:
		v.asks.loops = true
		if loops(n.Node) {
			v.refuse(n, "a loop in a loop; let the query do it")
		}
	case *ast.VariableDeclaratorNode:
		v.refuse(n, "let is refused; write the value where it is used")
	case *ast.BinaryNode:
		v.binary(n)
	case *ast.NilNode:
		v.asks.empty = true
	case *ast.StringNode:
		v.asks.empty = v.asks.empty || n.Value == ""
	case *ast.BuiltinNode:
		// DisableBuiltin leaves out those that loop: TestConditionsThatAreRefused without this.
		if !slices.Contains(allowed, n.Name) {
			v.refuse(n, n.Name+" is refused; let the query do it")
		}
		v.call(n.Name)
	case *ast.CallNode:
		if name, ok := n.Callee.(*ast.IdentifierNode); ok {
			v.call(name.Value)
		}
	}
}

func (v *inspector) binary(n *ast.BinaryNode) {
	switch n.Operator {
	case "??":
		v.asks.empty = true
	case "..":
		from, ok := n.Left.(*ast.IntegerNode)
		to, ok2 := n.Right.(*ast.IntegerNode)
		if !ok || !ok2 || to.Value-from.Value >= maxRange {
			v.refuse(n, fmt.Sprintf("a range is of two numbers, and of at most %d", maxRange))
		}
	}
}

func (v *inspector) call(name string) {
	switch name {
	case "isNaN":
		v.asks.nan = true
	case "isNil", "len", "default":
		v.asks.empty = true
	}
}

// loops reports whether there is a loop in a part of a condition.
func loops(node ast.Node) bool {
	found := &loopFinder{}
	ast.Walk(&node, found)
	return found.found
}

type loopFinder struct{ found bool }

// Visit implements ast.Visitor.
func (f *loopFinder) Visit(node *ast.Node) {
	if _, ok := (*node).(*ast.PredicateNode); ok {
		f.found = true
	}
}
