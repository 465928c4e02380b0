// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const nodePrefix = "sandbox-"

// nodeNetwork holds the nodes' own addresses.
var nodeNetwork = netip.MustParsePrefix("10.243.0.0/16")

// registerNodes creates what a kubelet would create for itself. No one renews the nodes' leases: the controller that
// would miss that is not run.
func (a *Agent) registerNodes(ctx context.Context) error {
	for i := range a.Nodes {
		node := newNode(nodePrefix+strconv.Itoa(i+1), a.Version, time.Now())
		if _, err := a.Client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("registering node %s: %w", node.Name, err)
		}
	}
	return nil
}

// newNode is a node so large that no pod of a test is ever refused for want of room.
func newNode(name, version string, now time.Time) *corev1.Node {
	room := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("10k"),
		corev1.ResourceMemory:           resource.MustParse("100Ti"),
		corev1.ResourceEphemeralStorage: resource.MustParse("100Ti"),
		corev1.ResourcePods:             resource.MustParse("20k"),
	}
	at := metav1.NewTime(now)
	condition := func(kind corev1.NodeConditionType, status corev1.ConditionStatus, reason, message string) corev1.NodeCondition {
		return corev1.NodeCondition{
			Type: kind, Status: status, Reason: reason, Message: message, LastHeartbeatTime: at, LastTransitionTime: at,
		}
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname:   name,
			corev1.LabelOSStable:   "linux",
			corev1.LabelArchStable: runtime.GOARCH,
		}},
		Status: corev1.NodeStatus{
			Capacity:    room,
			Allocatable: room,
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: hostIP(name)},
				{Type: corev1.NodeHostName, Address: name},
			},
			Conditions: []corev1.NodeCondition{
				condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory", "simulated"),
				condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure", "simulated"),
				condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID", "simulated"),
				condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "simulated node of the sandbox"),
			},
			NodeInfo: corev1.NodeSystemInfo{
				KubeletVersion: version, ContainerRuntimeVersion: "simulated://1", OperatingSystem: "linux",
				Architecture: runtime.GOARCH, OSImage: "Kruise Rollouts sandbox",
			},
		},
	}
}

// hostIP is the address of the node of that name: that of node i is 10.243.0.i, and other nodes share the last one.
func hostIP(node string) string {
	number, err := strconv.Atoi(strings.TrimPrefix(node, nodePrefix))
	if err != nil || number < 1 || number >= 1<<16-1 {
		number = 1<<16 - 2
	}
	base := nodeNetwork.Addr().As4()
	return netip.AddrFrom4([4]byte{base[0], base[1], byte(number >> 8), byte(number)}).String()
}
