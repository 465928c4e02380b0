// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// What a result may hold at most for a condition to look at it: a query that gives more should add up.
const (
	maxResultValues = 1000
	maxResultText   = 16 << 10 // bytes of text, keys included
	maxResultDepth  = 16
	// maxLooped is how many bytes of text all turns of a loop may look at: a regular expression takes 80 ns for each, and a condition
	// has room for twenty of them.
	maxLooped = 256 << 10
)

// missing is what a result lacks, and how large it is.
type missing struct {
	empty string // what it is instead of a value; "": it is none of these
	nan   bool   // it is NaN, or holds it
	size  measured
}

// measured is the size of a result.
type measured struct {
	values, text int
	nan          bool
}

// lacking says what result lacks, or that no condition can look at it.
func lacking(result any) (missing, error) {
	var size measured
	if err := size.add(result, 0); err != nil {
		return missing{}, err
	}
	m := missing{nan: size.nan, size: size}
	switch r := result.(type) {
	case nil:
		m.empty = "nothing"
	case string:
		if r == "" {
			m.empty = "an empty text"
		}
	case []any, []float64, map[string]any:
		if size.values == 1 {
			m.empty = "an empty list"
		}
	}
	return m, nil
}

func (m *measured) add(result any, depth int) error {
	m.values++
	switch r := result.(type) {
	case nil, bool, int:
	case float64:
		m.nan = m.nan || math.IsNaN(r)
	case string:
		m.text += len(r)
	case []float64:
		for _, f := range r {
			m.nan = m.nan || math.IsNaN(f)
		}
		m.values += len(r)
	case []any:
		for _, x := range r {
			if err := m.inner(x, depth); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, x := range r {
			m.text += len(key)
			if err := m.inner(x, depth); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("the result is a %T, which no condition can look at", result)
	}
	return m.limit()
}

func (m *measured) inner(x any, depth int) error {
	if depth >= maxResultDepth {
		return fmt.Errorf("the result is more than %d deep", maxResultDepth)
	}
	return m.add(x, depth+1)
}

func (m *measured) limit() error {
	if m.values > maxResultValues+1 || m.text > maxResultText {
		return fmt.Errorf("the result is too large: more than %d values or %d bytes of text; ask for less", maxResultValues, maxResultText)
	}
	return nil
}

// shownValues is how many values of a list a message shows.
const shownValues = 5

// describe is a result as messages show it.
func describe(result any) string {
	switch r := result.(type) {
	case nil:
		return "nothing"
	case float64:
		return number(r)
	case string:
		return strconv.Quote(shortened(r, 40))
	case []float64:
		list := make([]any, 0, min(len(r), shownValues+1))
		for _, f := range r[:cap(list)] {
			list = append(list, f)
		}
		return listed(list, len(r))
	case []any:
		return listed(r, len(r))
	case map[string]any:
		return fmt.Sprintf("an object of %d fields", len(r))
	default:
		return fmt.Sprint(r)
	}
}

func listed(values []any, n int) string {
	var parts []string
	for i, x := range values {
		if i == shownValues {
			parts = append(parts, fmt.Sprintf("and %d more", n-i))
			break
		}
		switch x.(type) {
		case []any, []float64:
			parts = append(parts, "a list")
		default:
			parts = append(parts, describe(x))
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// number is f with six significant digits.
func number(f float64) string { return strconv.FormatFloat(f, 'g', 6, 64) }

// shortened is s with at most n characters.
func shortened(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
