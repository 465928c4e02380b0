// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kruise.io/rollouts/api/v1beta1"
)

// Unexplained says what is wrong with the blockers of a Rollout that the manager has just written; "": nothing. A release on its way
// names what it waits for; a Rollout that releases nothing names nothing.
func Unexplained(ro *v1beta1.Rollout, now time.Time) string {
	blockers := ro.Status.Blockers
	switch ro.Status.Phase {
	case v1beta1.PhaseProgressing, v1beta1.PhaseDisabling, v1beta1.PhaseTerminating:
		if len(blockers) == 0 {
			return fmt.Sprintf("a release in phase %s names nothing that it waits for: %s", ro.Status.Phase, ro.Status.Message)
		}
	case v1beta1.PhaseHealthy, v1beta1.PhaseDisabled:
		if i := slices.IndexFunc(blockers, func(b v1beta1.Blocker) bool { return !isWrite(b) }); i >= 0 {
			return fmt.Sprintf("a Rollout in phase %s waits for %s", ro.Status.Phase, named(blockers[i]))
		}
	default:
	}
	if len(blockers) > v1beta1.MaxBlockers {
		return fmt.Sprintf("there are %d blockers", len(blockers))
	}
	for i, b := range blockers {
		switch {
		case b.Since.After(now), i > 0 && b.Since.Time.Before(blockers[i-1].Since.Time):
			return fmt.Sprintf("%s is since %s", named(b), b.Since)
		case b.Message == "" || len(b.Message) > v1beta1.BlockerMessageLength:
			return fmt.Sprintf("%s says %q", named(b), b.Message)
		case slices.ContainsFunc(blockers[:i], func(o v1beta1.Blocker) bool { return named(o) == named(b) }):
			return named(b) + " is there twice"
		}
	}
	return ""
}

// isWrite: of a write that the cluster does not take it is said in any phase.
func isWrite(b v1beta1.Blocker) bool {
	return b.Code == v1beta1.BlockerWriteRefused || b.Code == v1beta1.BlockerWriteReverted
}

// Blockers are the codes of what a story waits to be named.
func (s *Story) Blockers() (codes []string) {
	for _, step := range s.Steps {
		if step.Until != nil && step.Until.Blocked != "" {
			code, _, _ := strings.Cut(step.Until.Blocked, " ")
			codes = append(codes, code)
		}
	}
	return codes
}
