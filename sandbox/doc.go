// SPDX-License-Identifier: Apache-2.0

// Package sandbox runs a real Kubernetes control plane on one machine, without a container engine: etcd, kube-apiserver,
// kube-controller-manager and kube-scheduler as processes on the loopback interface, and simulated nodes whose pods become
// ready, fail and stop as their annotations say, and listen on addresses of their own if asked to, behind a real gateway
// (Traefik) if one is asked for.
//
// It needs Linux. It never reads or changes the user's own kubeconfig.
package sandbox
