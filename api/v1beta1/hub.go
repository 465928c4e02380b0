// SPDX-License-Identifier: Apache-2.0

package v1beta1

// Hub marks the version every other version is converted through.
func (*Rollout) Hub() {}

// Hub marks the version every other version is converted through.
func (*BatchRelease) Hub() {}
