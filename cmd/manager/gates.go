// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// keepPausedGate is the gate that is off unless it is set.
const keepPausedGate = "KeepWorkloadPausedOnRolloutDeletion"

// known are the feature gates of the API's first implementation. Manifests set them; what they switched is always on
// here, or not there yet.
var known = map[string]string{
	"AdvancedDeployment": "Deployments in batches: always on",
	"RolloutHistory":     "RolloutHistories of releases; on unless set to false",
	"AppendPodSelector":  "no effect in this version",
	keepPausedGate:       "a workload stays at the present batch when the Rollout is deleted or disabled; off unless set",
}

// gates are feature gates given on the command line, merged where the flag is given several times.
type gates struct{ set map[string]bool }

func newGates() gates { return gates{set: map[string]bool{}} }

// Set reads name=true|false, comma-separated. A name no one knows is an error.
func (g *gates) Set(s string) error {
	for pair := range strings.SplitSeq(s, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		on, err := strconv.ParseBool(value)
		switch {
		case known[name] == "" && name != "AllAlpha":
			return fmt.Errorf("unknown feature gate %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		case err != nil:
			return fmt.Errorf("feature gate %s is true or false, not %q", name, value)
		}
		g.set[name] = on
	}
	return nil
}

// on reports whether a gate is open: what there is to switch off is on unless it is set.
func (g *gates) on(name string) bool {
	on, told := g.set[name]
	return on || !told
}

func (g *gates) String() string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(g.set)) {
		pairs = append(pairs, fmt.Sprintf("%s=%t", name, g.set[name]))
	}
	return strings.Join(pairs, ",")
}

// Type names the flag's value in the help.
func (*gates) Type() string { return "name=bool,..." }

func gateHelp() string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(known)) {
		lines = append(lines, name+" ("+known[name]+")")
	}
	return strings.Join(lines, "; ")
}
