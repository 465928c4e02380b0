// SPDX-License-Identifier: Apache-2.0

package workload_test

import (
	"testing"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/workload"
)

// What no one knows is taken for a StatefulSet where a Rollout says that it is a workload, and for none where no one says so:
// routes are read in the same way.
func TestUnknownKinds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		version, kind string
		as            string
		known         bool
	}{
		"a kind of its own":       {"game.example.com/v1", "GameServerSet", "statefulset", false},
		"a route":                 {"gateway.networking.k8s.io/v1", "HTTPRoute", "statefulset", false},
		"a native one":            {"apps/v1", "StatefulSet", "statefulset", true},
		"in a version to come":    {"apps.kruise.io/v2", "StatefulSet", "statefulset", true},
		"nothing":                 {"", "", "", false},
		"no version that is one":  {"a/b/c", "StatefulSet", "", false},
		"something of the core":   {"v1", "Service", "", false},
		"one that moves no pod":   {"apps/v1", "ReplicaSet", "replicaset", true},
		"a DaemonSet of a vendor": {"vendor.example.com/v1", "DaemonSet", "statefulset", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref := v1beta1.ObjectRef{APIVersion: test.version, Kind: test.kind}
			kind := workload.KindOf(ref)
			if kind.Type != test.as {
				t.Errorf("it is taken for %q, want %q", kind.Type, test.as)
			}
			if driver := workload.DriverFor(ref, v1beta1.PartitionRollingStyle); (driver != nil) != (test.as != "") {
				t.Errorf("the driver is %v", driver)
			}
			if driver := workload.DriverFor(ref, v1beta1.CanaryRollingStyle); driver != nil {
				t.Errorf("%T puts pods beside it", driver)
			}
			group := ""
			if driver := workload.DriverFor(ref, v1beta1.PartitionRollingStyle); driver != nil {
				group = driver.New().GetObjectKind().GroupVersionKind().Group
			}
			if group == "" && test.kind == "ReplicaSet" {
				group = "apps"
			}
			if workload.Known(group, test.kind) != test.known {
				t.Errorf("known by name: %v", !test.known)
			}
		})
	}
}
