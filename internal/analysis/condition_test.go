// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"math"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestConditionsThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                            "column 1",
		"result <":                                    "column 8: unexpected token EOF",
		"result < 5)":                                 "column 11",
		"reslt < 5":                                   "column 1: unknown name reslt",
		"result < 5 && len(x)":                        "column 19: unknown name x",
		"1 + 1":                                       "expected bool",
		"len(result)":                                 "expected bool",
		"result < 5 &&\n  y < 1":                      "line 2, column 3: unknown name y",
		`now() > date("2024-01-01")`:                  "is refused",
		`duration("1h") == duration("60m")`:           "duration is refused",
		`repeat("x", 1000000) == ""`:                  "column 1: repeat is refused",
		`toJSON(result) == ""`:                        "toJSON is refused",
		"reduce(result, #acc + #, 0) > 1":             "column 1: reduce is refused",
		"sortBy(result, #)[0] == 1":                   "sortBy is refused",
		"len(groupBy(result, #)) == 1":                "groupBy is refused",
		"let a = result; let b = a + a; b == a":       "let is refused",
		"all(result, all(result, # < 1))":             "column 13: a loop in a loop",
		"all(map(result, # + 1), # < 1)":              "", // one after the other
		"all(result, # in 1..10)":                     "",
		"all(1..1000000, result < #)":                 "column 6: a range is of two numbers",
		"all(1..result, # < 5)":                       "column 6: a range is of two numbers",
		"asInt() == 1":                                "column 1",
		"isNil(result, 1)":                            "column 1: too many arguments",
		strings.Repeat("result < 5 && ", 80) + "true": "has 1124 characters; at most 1024 are allowed",
		"result[0] < 0.05":                            "",
		"len(result) == 0 || result[0] < 0.05":        "",
		"result.a.b < 5 and not (result.c == 'x')":    "",
		"result": "",
	} {
		_, err := CompileCondition(text)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", text, err, want)
		case err != nil && strings.Contains(err.Error(), "\n"):
			t.Errorf("%s: more than a line: %v", text, err)
		}
	}
}

func compiled(t interface{ Fatalf(string, ...any) }, text string) *Condition {
	if text == "" {
		return nil
	}
	c, err := CompileCondition(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

func TestAssess(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		success, failure string
		result           any
		want             Outcome
		message          string
	}{
		// What the two conditions mean together.
		{"", "", 5.0, Successful, ""},
		{"result < 5", "", 4.0, Successful, ""},
		{"result < 5", "", 5.0, Failed, "5: successCondition does not hold: result < 5"},
		{"", "result > 5", 5.0, Successful, ""},
		{"", "result > 5", 5.0123456789, Failed, "5.01235: failureCondition holds: result > 5"},
		{"result < 5", "result > 10", 4.0, Successful, ""},
		{"result < 5", "result > 10", 11.0, Failed, "failureCondition holds"},
		{"result < 5", "result > 10", 7.0, Inconclusive, "7: neither condition holds"},
		{"result > 5", "result > 10", 11.0, Failed, "failureCondition holds"},

		// A vector is a list, also one of one series.
		{"result[0] < 0.05", "", []float64{.04}, Successful, ""},
		{"result[0] < 0.05", "", []any{.06}, Failed, "[0.06]"},
		{"result < 0.05", "", []float64{.04}, Error, "column 8"},
		{"all(result, # < 0.05)", "", []float64{.04, .06}, Failed, "[0.04, 0.06]"},
		{"len(result) == 0 || result[0] < 0.05", "", []float64{}, Successful, ""},
		{"len(result) == 0 || result[0] < 0.05", "", []float64{.06}, Failed, ""},
		{"len(result) == 0", "", 5.0, Error, "invalid argument for len"},

		// Nothing is promoted on nothing.
		{"", "", nil, NoData, "the provider has nothing"},
		{"", "", []float64{}, NoData, "the provider has an empty list"},
		{"", "", nan, NoData, "the provider has NaN"},
		{"", "", "", NoData, "the provider has an empty text"},
		{"", "result >= 0.05", nan, NoData, "NaN"},
		{"", "result[0] >= 0.05", []float64{nan}, NoData, "NaN"},
		{"", "result[1] >= 0.05", []float64{0, nan}, NoData, "NaN"},
		{"", "result[0].x >= 0.05", []any{map[string]any{"x": nan}}, NoData, "NaN"},
		{"result[0] < 0.05", "", []float64{}, NoData, "an empty list"},
		{"result[0] < 0.05", "", nil, NoData, "nothing"},
		{"all(result, # < 0.05)", "", []float64{}, NoData, "an empty list"},
		{"none(result, isNaN(#))", "", []float64{}, NoData, "an empty list"},
		{"len(keys(result)) == 0 || result.a < 1", "", map[string]any{}, Successful, ""},
		{"result.a < 1", "", map[string]any{}, NoData, "an empty list"},

		// Unless it is asked about.
		{"isNaN(result) || result < 0.05", "", nan, Successful, ""},
		{"result < 0.05", "isNaN(result)", nan, Failed, "NaN: failureCondition holds"},
		{"len(result) == 0 || isNaN(result[0])", "", []float64{nan}, Successful, ""},
		{"", "len(result) > 0 && result[0] >= 0.05", []float64{nan}, NoData, "NaN"},
		{"isNil(result)", "", nil, Successful, ""},
		{"result == nil", "", nil, Successful, ""},
		{"result == ''", "", "", Successful, ""},
		{"default(result, 0) < 0.05", "", nil, Successful, ""},
		{"default(result, 0) < 0.05", "", .01, Successful, ""},
		{"(result ?? 1) < 0.05", "", nil, Failed, ""},
		{"default(result, 0) < 0.05", "", []float64{1}, Error, "column 20"},
		{"default(result, 0) < 0.05", "", []float64{}, NoData, "the provider has "},
		{"default(result[0], 0) < 0.05", "", []float64{}, NoData, "the provider has "},
		{"default(result.a, 0) < 0.05", "", map[string]any{"b": 1.0}, Successful, ""},

		// Functions.
		{"isNaN(result)", "", []float64{1}, Error, "isNaN takes a float, not [1]"},
		{"isNaN(result)", "", 1, Error, "isNaN takes a float, not 1"},
		{"isInf(result)", "", math.Inf(-1), Successful, ""},
		{"isInf(result)", "", math.MaxFloat64, Failed, ""},
		{"isInf(result)", "", "x", Error, `isInf takes a float, not "x"`},
		{"asFloat(result) < 0.5", "", " 0.25 ", Successful, ""},
		{"asFloat(result) < 0.5", "", 1, Failed, ""},
		{"asFloat(result) < 0.5", "", "0.2.5", Error, "asFloat takes a number"},
		{"asFloat(result) < 0.5", "", true, Error, "asFloat takes a number, not true"},
		{"asInt(result) == 3", "", "3", Successful, ""},
		{"asInt(result) == 3", "", 3.9, Successful, ""},
		{"asInt(result) == 3", "", 1e300, Error, "asInt takes a whole number"},
		{"asInt(result) == 3", "", math.Inf(1), Error, "asInt takes a whole number"},

		// What a web provider gives.
		{"result", "", true, Successful, ""},
		{"result", "", "true", Error, "column 1: invalid operation: bool(string)"},
		{"result.data.ok && result.n in 1..3", "", map[string]any{"data": map[string]any{"ok": true}, "n": 2.0}, Successful, ""},
		{"result.status == 'up'", "", map[string]any{"status": "down"}, Failed, "an object of 1 fields"},
		{"result.list[3] == 1", "", map[string]any{"list": []any{1.0}}, Error, "index out of range"},

		// Limits.
		{"result[0] < 1", "", make([]float64, 1000), Successful, ""},
		{"result[0] < 1", "", make([]float64, 1001), Error, "too large"},
		{"result == 'x'", "", strings.Repeat("x", maxResultText+1), Error, "too large"},
		{"all(result.l, result.s != 'b')", "", map[string]any{"s": strings.Repeat("a", 1000), "l": make([]float64, 300)}, Error, "a condition with a loop"},
		{"all(result.l, result.s != 'b')", "", map[string]any{"s": strings.Repeat("a", 1000), "l": make([]float64, 200)}, Successful, ""},
		{"result.s != 'b'", "", map[string]any{"s": strings.Repeat("a", 1000), "l": make([]float64, 300)}, Successful, ""},
		{"result == 1", "", deep(maxResultDepth + 1), Error, "deep"},
		{"result == 1", "", struct{}{}, Error, "which no condition can look at"},
		{"result[0] < 0", "", []float64{1, 2, 3, 4, 5, 6, 7}, Failed, "[1, 2, 3, 4, 5, and 2 more]"},
		{"len(map(filter(result, # >= 0), string(#) + string(#))) == 1000", "", make([]float64, 1000), Successful, ""},
	} {
		got, message := Assess(compiled(t, c.success), compiled(t, c.failure), c.result)
		if got != c.want || !strings.Contains(message, c.message) {
			t.Errorf("success %q, failure %q, %v: got %s, %q, want %s, %q", c.success, c.failure, describe(c.result), got, message, c.want, c.message)
		}
		if (message == "") != (got == Successful) {
			t.Errorf("success %q, failure %q: %s with the message %q", c.success, c.failure, got, message)
		}
		if len([]rune(message)) > maxMessage {
			t.Errorf("success %q, failure %q: a message of %d characters", c.success, c.failure, len([]rune(message)))
		}
	}
}

func deep(n int) any {
	if n == 0 {
		return 1.0
	}
	return []any{deep(n - 1)}
}

// TestMemoryOfConditions: what a loop makes is counted, and ends in an error.
func TestMemoryOfConditions(t *testing.T) {
	var terms []string
	for range 30 {
		terms = append(terms, "len(map(result, [#,#,#,#])) > 0")
	}
	outcome, message := Assess(compiled(t, strings.Join(terms, "&&")), nil, make([]float64, 1000))
	if outcome != Error || !strings.Contains(message, "memory budget exceeded") {
		t.Errorf("%s: %s", outcome, message)
	}
}

// TestAssessIsTotal draws conditions and results: there is always an outcome, and never Successful on a result that is nothing, unless
// a condition asks about it.
func TestAssessIsTotal(t *testing.T) {
	words := []string{
		"result", "result[0]", "result.a", "result[0].b[1]", "#", "(", ")", "[", "]", "{", "}", ",", ".", "..", "?", ":", ";", "|", "??", "?.",
		"<", "==", "&&", "||", "!", "+", "-", "*", "/", "%", "**", "in", "not", "matches", "contains", "0", "1", "0.05", "'x'", "nil", "true",
		"all(", "any(", "filter(", "count(", "sum(", "len(", "isNaN(", "isNil(", "default(", "asInt(", "asFloat(", "max(", "sort(", "let x = ", "if ",
	}
	values := rapid.SampledFrom([]any{
		nil, true, 1, 0.0, math.NaN(), math.Inf(1), "", "x", "1",
		[]any{},
		[]any{nil},
		[]any{1.0, "x"},
		[]float64{},
		[]float64{math.NaN()},
		[]float64{1, 2},
		map[string]any{},
		map[string]any{"a": nil},
		map[string]any{"a": []any{1.0}},
		struct{}{},
		make(chan int), int64(5), deep(20),
	})
	condition := func(t *rapid.T, name string) *Condition {
		parts := rapid.SliceOfN(rapid.SampledFrom(words), 0, 8).Draw(t, name)
		c, err := CompileCondition(strings.Join(parts, " "))
		if err != nil {
			return nil
		}
		return c
	}
	rapid.Check(t, func(t *rapid.T) {
		success, failure := condition(t, "success"), condition(t, "failure")
		result := values.Draw(t, "result")
		outcome, message := Assess(success, failure, result)
		switch outcome {
		case Successful, Failed, Inconclusive, Error, NoData:
		default:
			t.Fatalf("no outcome: %q, %q", outcome, message)
		}
		lacks, err := lacking(result)
		if err == nil && outcome == Successful && unanswered(lacks, askedBy(success, failure)) != "" {
			t.Fatalf("promoted on %v", result)
		}
	})
}

// TestConditionIsUsedByMany: one is compiled once and used by all workers.
func TestConditionIsUsedByMany(t *testing.T) {
	c := compiled(t, "all(result, # < 0.05) && len(filter(result, # > 0)) == 1")
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for range 100 {
				if outcome, message := Assess(c, nil, []float64{0, .01}); outcome != Successful {
					t.Errorf("%s: %s", outcome, message)
				}
			}
		})
	}
	workers.Wait()
}
