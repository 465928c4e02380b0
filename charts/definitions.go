// SPDX-License-Identifier: Apache-2.0

// Package charts holds what is installed next to the manager, for the manager to compare with what it finds.
package charts

import "embed"

// Definitions are the CRDs that this version was generated with.
//
//go:embed kruise-rollout/crds-source/*.yaml
var Definitions embed.FS
