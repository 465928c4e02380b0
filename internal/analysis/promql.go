// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"regexp"
	"strconv"
	"strings"
)

// selector are the matchers of a series. What people named is quoted: as a string of PromQL, which has Go's escapes, and in a regular
// expression before that. nil selects nothing, and is never written: an empty matcher would select what lacks the label.
type selector []string

func (s selector) is(label, value string) selector { return append(s, label+"="+strconv.Quote(value)) }

// matches takes a regular expression, which PromQL anchors at both ends.
func (s selector) matches(label, re string) selector {
	return append(s, label+"=~"+strconv.Quote(re))
}

func (s selector) matchesNot(label, re string) selector {
	return append(s, label+"!~"+strconv.Quote(re))
}

// quoteRE is a regular expression that matches text only.
func quoteRE(text string) string { return regexp.QuoteMeta(text) }

// maxPods is of how many pods of each side series are asked for.
const maxPods = 50

// anyOf is a regular expression that matches these names only.
func anyOf(names []string) string {
	names = names[:min(len(names), maxPods)]
	quoted := make([]string, 0, len(names))
	for _, name := range names {
		quoted = append(quoted, quoteRE(name))
	}
	return strings.Join(quoted, "|")
}

// of is the sum of a counter's series by labels, with one more label that is the same for all.
func (s selector) of(counter, added, value string, by ...string) string {
	return "label_replace(sum by (" + strings.Join(by, ", ") + ") (" + counter + "{" + strings.Join(s, ", ") + `}), "` + added + `", "` + value + `", "", "")`
}

// Names of metrics and labels, and lists of matchers, as PromQL has them. People write these into a Rollout, and what is no name could
// ask for the series of others.
var (
	metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	matchers   = regexp.MustCompile(`^\s*` + matcher + `(\s*,\s*` + matcher + `)*\s*$`)
)

const matcher = `[a-zA-Z_][a-zA-Z0-9_]*\s*(=|!=|=~|!~)\s*"([^"\\\n]|\\["\\.ntr])*"`
