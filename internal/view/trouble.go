// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// namedPods is how many pods a line of trouble names: the rest is a number.
const namedPods = 3

// starting are the words for pods that are on their way, which is no trouble.
var starting = []string{"ContainerCreating", "PodInitializing", "Pending", "Unknown"}

// trouble are the pods that are not ready, and do not look as if they were about to be, a line for each reason.
func trouble(s Seen) []string {
	type group struct {
		reason string
		pods   []string
	}
	var groups []group
	for _, p := range s.Pods {
		if gone(p) || ready(p) {
			continue
		}
		reason := unready(p)
		if reason == "" {
			continue
		}
		i := slices.IndexFunc(groups, func(g group) bool { return g.reason == reason })
		if i < 0 {
			i, groups = len(groups), append(groups, group{reason: reason})
		}
		groups[i].pods = append(groups[i].pods, p.Name)
	}
	slices.SortFunc(groups, func(a, b group) int { return strings.Compare(a.reason, b.reason) })
	var lines []string
	for _, g := range groups {
		slices.Sort(g.pods)
		names := strings.Join(g.pods[:min(len(g.pods), namedPods)], ", ")
		if rest := len(g.pods) - namedPods; rest > 0 {
			names += fmt.Sprintf(" and %d more", rest)
		}
		lines = append(lines, fmt.Sprintf("%s not ready: %s: %s", count(len(g.pods), "pod"), names, g.reason))
	}
	return lines
}

// unready says why a pod is not ready, in the words of what found it out; "": it is starting.
func unready(p *corev1.Pod) string {
	status := podStatus(p)
	if slices.Contains(starting, status) {
		return ""
	}
	if reason, waiting := troubled(p); waiting != nil && reason == status {
		return said(status, waiting.Message)
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodReady} {
		for _, c := range p.Status.Conditions {
			if c.Type == kind && c.Status == corev1.ConditionFalse {
				if status == c.Reason {
					return said(status, c.Message)
				}
				return said(said(status, c.Reason), c.Message)
			}
		}
	}
	return status
}

// said is a reason and what is said of it, in one line.
func said(reason, message string) string {
	if message = strings.Join(strings.Fields(message), " "); message == "" {
		return reason
	}
	return reason + ", " + message
}
