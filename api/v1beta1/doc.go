// SPDX-License-Identifier: Apache-2.0

// Package v1beta1 holds the wire types of rollouts.kruise.io/v1beta1, the stored version of Rollout and BatchRelease.
// It imports apimachinery and Gateway API types only. Names on the wire are a contract (docs/wire.md) and never corrected.
//
// +kubebuilder:object:generate=true
// +groupName=rollouts.kruise.io
package v1beta1
