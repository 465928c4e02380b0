// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the wire types of rollouts.kruise.io/v1alpha1 and their lossless conversion to v1beta1.
//
// +kubebuilder:object:generate=true
// +groupName=rollouts.kruise.io
package v1alpha1
