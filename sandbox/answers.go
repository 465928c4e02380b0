// SPDX-License-Identifier: Apache-2.0

package sandbox

import "kruise.io/rollouts/sandbox/internal/agent"

// Headers of every answer of a pod that listens. What they say is in the body as well.
const (
	PodHeader      = agent.PodHeader
	VersionHeader  = agent.VersionHeader
	ImageHeader    = agent.ImageHeader
	RevisionHeader = agent.RevisionHeader
)
