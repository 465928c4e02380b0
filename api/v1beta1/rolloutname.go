// SPDX-License-Identifier: Apache-2.0

package v1beta1

import (
	"crypto/sha256"
	"encoding/hex"

	"k8s.io/apimachinery/pkg/util/validation"
)

// RolloutNameLabel is a Rollout's name as the value of LabelRolloutName. Values of labels have room for 63 characters: of a longer
// name it is the beginning, and ten letters that distinguish it from others which begin alike.
func RolloutNameLabel(name string) string {
	const letters = 10
	if len(name) <= validation.LabelValueMaxLength {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:validation.LabelValueMaxLength-letters-1] + "-" + hex.EncodeToString(sum[:])[:letters]
}
