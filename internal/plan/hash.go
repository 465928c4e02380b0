// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"kruise.io/rollouts/api/v1beta1"
)

// safeLetters spell no words (docs/wire.md, hashes).
const safeLetters = "bcdfghjklmnpqrstvwxz2456789"

// strategyHash distinguishes strategies whose steps or routes differ. Pauses and the failure threshold do not count: they
// may change at any time without moving a release.
func strategyHash(s v1beta1.RolloutStrategy) string {
	s = *s.DeepCopy()
	var counted any
	switch {
	case s.BlueGreen != nil:
		s.BlueGreen.FailureThreshold = nil
		unpause(s.BlueGreen.Steps)
		counted = s.BlueGreen
	case s.Canary != nil:
		s.Canary.FailureThreshold = nil
		unpause(s.Canary.Steps)
		counted = s.Canary
	}
	digest := []byte(digest(counted))
	for i, b := range digest {
		digest[i] = safeLetters[int(b)%len(safeLetters)]
	}
	return string(digest)
}

func unpause(steps []v1beta1.CanaryStep) {
	for i := range steps {
		steps[i].Pause = v1beta1.RolloutPause{}
	}
}

// planHash distinguishes release plans, how far to go included.
func planHash(p v1beta1.ReleasePlan) string { return digest(p) }

// digest is the SHA-256 of v as JSON, in hexadecimal. The API's types can always be written as JSON.
func digest(v any) string {
	b, _ := json.Marshal(v)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
