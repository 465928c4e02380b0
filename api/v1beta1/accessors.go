// SPDX-License-Identifier: Apache-2.0

package v1beta1

import "fmt"

// What strategies and statuses of all styles have, whichever of their blocks it stands in.

// Style is the style that a strategy asks for, whatever the workload (docs/wire.md, styles).
func (s *RolloutStrategy) Style() RollingStyleType {
	switch {
	case s.BlueGreen != nil:
		return BlueGreenRollingStyle
	case s.Canary != nil && s.Canary.EnableExtraWorkloadForCanary:
		return CanaryRollingStyle
	default:
		return PartitionRollingStyle
	}
}

// Steps are the steps of a release.
func (s *RolloutStrategy) Steps() []CanaryStep {
	switch {
	case s.BlueGreen != nil:
		return s.BlueGreen.Steps
	case s.Canary != nil:
		return s.Canary.Steps
	default:
		return nil
	}
}

// Routings are the Services and routes of a release.
func (s *RolloutStrategy) Routings() []TrafficRoutingRef {
	switch {
	case s.BlueGreen != nil:
		return s.BlueGreen.TrafficRoutings
	case s.Canary != nil:
		return s.Canary.TrafficRoutings
	default:
		return nil
	}
}

// Background is the analysis that runs beside the steps; nil: none.
func (s *RolloutStrategy) Background() *BackgroundAnalysis {
	switch {
	case s.BlueGreen != nil:
		return s.BlueGreen.Analysis
	case s.Canary != nil:
		return s.Canary.Analysis
	default:
		return nil
	}
}

// SharedService reports whether the new version's pods get no Service of their own.
func (s *RolloutStrategy) SharedService() bool {
	return s.BlueGreen != nil && s.BlueGreen.DisableGenerateCanaryService || s.Canary != nil && s.Canary.DisableGenerateCanaryService
}

// Common is what the statuses of all styles share; nil: none yet.
func (s *RolloutStatus) Common() *CommonStatus {
	switch {
	case s.BlueGreenStatus != nil:
		return &s.BlueGreenStatus.CommonStatus
	case s.CanaryStatus != nil:
		return &s.CanaryStatus.CommonStatus
	default:
		return nil
	}
}

// Revision is the one being released, or released last; "": none yet.
func (s *RolloutStatus) Revision() string {
	switch {
	case s.BlueGreenStatus != nil:
		return s.BlueGreenStatus.UpdatedRevision
	case s.CanaryStatus != nil:
		return s.CanaryStatus.CanaryRevision
	default:
		return ""
	}
}

// SetRevision sets the revision being released, in the block that there is.
func (s *RolloutStatus) SetRevision(revision string) {
	switch {
	case s.BlueGreenStatus != nil:
		s.BlueGreenStatus.UpdatedRevision = revision
	case s.CanaryStatus != nil:
		s.CanaryStatus.CanaryRevision = revision
	}
}

// Pods are how many pods are at the revision being released, and how many of those are ready.
func (s *RolloutStatus) Pods() (updated, ready int32) {
	switch {
	case s.BlueGreenStatus != nil:
		return s.BlueGreenStatus.UpdatedReplicas, s.BlueGreenStatus.UpdatedReadyReplicas
	case s.CanaryStatus != nil:
		return s.CanaryStatus.CanaryReplicas, s.CanaryStatus.CanaryReadyReplicas
	default:
		return 0, 0
	}
}

// SetPods sets the two, in the block that there is.
func (s *RolloutStatus) SetPods(updated, ready int32) {
	switch {
	case s.BlueGreenStatus != nil:
		s.BlueGreenStatus.UpdatedReplicas, s.BlueGreenStatus.UpdatedReadyReplicas = updated, ready
	case s.CanaryStatus != nil:
		s.CanaryStatus.CanaryReplicas, s.CanaryStatus.CanaryReadyReplicas = updated, ready
	}
}

// AsksAboutAnalysis reports whether the analysis of the present step waits for somebody to decide: it is not good, and not
// under way either.
func (s *RolloutStatus) AsksAboutAnalysis() bool {
	sub := s.Common()
	if sub == nil || s.Analysis == nil || s.Analysis.Step == nil || s.Analysis.Step.Step != sub.CurrentStepIndex || s.Analysis.Step.Revision != s.Revision() {
		return false
	}
	return s.Analysis.Step.Phase.Holds()
}

// AnalysisRuns are the analyses that there are: the step's, then the one in the background.
func (s *RolloutStatus) AnalysisRuns() (runs []*AnalysisRun) {
	if s.Analysis == nil {
		return nil
	}
	for _, run := range []*AnalysisRun{s.Analysis.Step, s.Analysis.Background} {
		if run != nil {
			runs = append(runs, run)
		}
	}
	return runs
}

// Holds reports whether an analysis in this phase keeps a release where it is, unless its strategy says otherwise: it is neither
// good, nor under way, nor skipped.
func (p AnalysisPhase) Holds() bool {
	return p != AnalysisRunning && p != AnalysisSuccessful && p != AnalysisSkipped && p != ""
}

// SkipValue is the value of the annotations rollouts.kruise.io/skip-analysis and rollouts.kruise.io/approve for a step of the release
// of a revision.
func SkipValue(revision string, step int32) string { return fmt.Sprintf("%s/%d", revision, step) }
