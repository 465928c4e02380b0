// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/kubectl/pkg/util/term"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/view"
)

// look reads what a Rollout is about: its workload, that one's ReplicaSets and pods. A workload that is missing is what
// there is to see, not an error, and what the account may not read is left out with a warning.
func (s *shell) look(ctx context.Context, ro *rolloutsv1beta1.Rollout) (view.Seen, error) {
	seen := view.Seen{Now: time.Now(), Rollout: ro}
	info, err := s.workload(ro.Namespace, ro.Spec.WorkloadRef)
	if absent(err) || errors.Is(err, errNoWorkloadNamed) || s.hidden(err) {
		return seen, nil
	}
	if err != nil {
		return seen, err
	}
	seen.Workload, _ = info.Object.(*unstructured.Unstructured)
	if seen.Deployment, err = deploymentOf(info); err != nil {
		return seen, err
	}
	selector, err := selectorOf(info.Object)
	if errors.Is(err, errWorkloadSelector) {
		return seen, nil
	}
	if err != nil {
		return seen, err
	}
	client, err := s.factory.DynamicClient()
	if err != nil {
		return seen, err
	}
	if seen.Pods, err = list[corev1.Pod](ctx, client, podResource, ro.Namespace, selector); err != nil && !s.hidden(err) {
		return seen, err
	}
	if seen.Deployment == nil {
		return seen, nil
	}
	if seen.ReplicaSets, err = s.replicaSets(ctx, seen.Deployment); err != nil && !s.hidden(err) {
		return seen, err
	}
	seen.Pods = podsOf(seen.Pods, seen.ReplicaSets)
	return seen, nil
}

// hidden: what was asked for is not for this account. It says so once: people may be given Rollouts and nothing else.
func (s *shell) hidden(err error) bool {
	if !apierrors.IsForbidden(err) {
		return false
	}
	if text := fmt.Sprintf("Warning: skipped, because this account may not read it: %s\n", err); !slices.Contains(s.warned, text) {
		s.warned = append(s.warned, text)
		_, _ = io.WriteString(s.ErrOut, text)
	}
	return true
}

// style dresses text for a terminal, and leaves it plain for everything else.
func (s *shell) style(plain bool) view.Style {
	style := view.Style{Color: !plain && s.onTerminal()}
	if size := (term.TTY{Out: s.Out}).GetSize(); size != nil {
		style.Width = int(size.Width)
	}
	return style
}

// onTerminal: a person watches the output.
func (s *shell) onTerminal() bool { return term.TTY{Out: s.Out}.IsTerminalOut() }
