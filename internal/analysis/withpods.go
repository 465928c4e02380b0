// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// CanaryPods and StablePods stand in a query for the names of pods, which come and go while it is asked again and again. A status
// shows the query with them.
const (
	CanaryPods = "rollouts-canary-pods"
	StablePods = "rollouts-stable-pods"
)

// noPods stands for names where there are none: no pod has such a name, and the counters of the other side are wanted nevertheless.
const noPods = "-"

// quoted are names as they stand between the quotes of a matcher.
func quoted(names []string) string {
	text := strconv.Quote(cmp.Or(anyOf(names), noPods))
	return text[1 : len(text)-1]
}

// WithPods is a query with the names of pods, of each side the 50 that were ready first.
func WithPods(query string, pods []Pod) string {
	var canary, stable []string
	slices.SortFunc(pods, func(a, b Pod) int {
		switch {
		case a.Ready && !b.Ready:
			return -1
		case b.Ready && !a.Ready:
			return 1
		}
		return cmp.Or(a.ReadySince.Compare(b.ReadySince), strings.Compare(a.Name, b.Name))
	})
	for _, p := range pods {
		if p.New {
			canary = append(canary, p.Name)
		} else {
			stable = append(stable, p.Name)
		}
	}
	return strings.NewReplacer(CanaryPods, quoted(canary), StablePods, quoted(stable)).Replace(query)
}
