// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
	"kruise.io/rollouts/internal/raw"
)

// observePast reads what the record of a release is made from, while there is one. Where it cannot be read no record is
// kept: releases do not depend on their records.
func observePast(ctx context.Context, c client.Reader, s plan.RolloutInput) (*plan.Past, error) {
	if s.Objects.Workload == nil || !s.Workload.Changing && !leading(s.Rollout) {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	past, err := readPast(ctx, c, s)
	if errors.Is(err, errLagging) {
		return nil, err
	}
	if err != nil {
		log.FromContext(ctx).Error(err, "no RolloutHistory is kept of this release")
		return nil, nil
	}
	return past, nil
}

func readPast(ctx context.Context, c client.Reader, s plan.RolloutInput) (*plan.Past, error) {
	past, namespace := &plan.Past{}, client.InNamespace(s.Rollout.Namespace)
	histories := &v1alpha1.RolloutHistoryList{}
	if err := c.List(ctx, histories, namespace, client.MatchingLabels{v1beta1.LabelRolloutName: v1beta1.RolloutNameLabel(s.Rollout.Name)}); err != nil {
		return nil, fmt.Errorf("listing RolloutHistories: %w", err)
	}
	for i := range histories.Items {
		past.Histories = append(past.Histories, &histories.Items[i])
	}
	if !s.Driver.Needs().Sets {
		revisions := &appsv1.ControllerRevisionList{}
		if err := c.List(ctx, revisions, namespace, client.MatchingFields{byController: string(s.Objects.Workload.GetUID())}); err != nil {
			return nil, fmt.Errorf("listing ControllerRevisions: %w", err)
		}
		for i := range revisions.Items {
			past.Revisions = append(past.Revisions, &revisions.Items[i])
		}
	}
	if !ending(s) {
		return past, nil
	}
	below := s.Objects
	if err := observePods(ctx, c, s.Driver, &below); err != nil {
		return nil, err
	}
	past.Pods = below.Pods
	return past, nil
}

// ending reports whether the pods of a release may be recorded in this pass.
func ending(s plan.RolloutInput) bool {
	sub := s.Rollout.Status.Common()
	return sub != nil && (sub.FinalisingStep != v1beta1.FinalisingNone || s.Workload.Update != sub.PodTemplateHash)
}

// keep writes a record. It is said where that fails, and nothing else depends on it.
func (l *loop[T, Seen]) keep(ctx context.Context, obj T, c plan.Change) {
	to, err := recorded(ctx, l.live, c)
	if err != nil { // what our types know is better than nothing
		log.FromContext(ctx).V(1).Info("a RolloutHistory lacks workload fields that are not known", "of", named(c.To), "error", err.Error())
		if words, final := refusal(err); final {
			l.warn(obj, plan.EventRecordIncomplete, fmt.Sprintf("RolloutHistory %s lacks workload fields that this manager does not know: %s", to.GetName(), words))
		}
	}
	if c.From == nil {
		err = l.client.Create(ctx, to)
	} else {
		err = l.client.Update(ctx, to) // whole: of what it is written over, the cache has the metadata only
	}
	if err != nil {
		log.FromContext(ctx).Error(err, "a RolloutHistory was not written", "of", named(c.To))
		if words, final := refusal(err); final {
			l.warn(obj, plan.EventRecordRefused, fmt.Sprintf("the history of this release is not kept: writing RolloutHistory %s is refused: %s", to.GetName(), words))
		}
		return
	}
	l.own.wrote(to)
}

// recorded is a record with what our types do not know of the workload's spec: its template may be put back from there.
func recorded(ctx context.Context, live client.Reader, c plan.Change) (client.Object, error) {
	to, _ := c.To.DeepCopyObject().(client.Object)
	h, ok := to.(*v1alpha1.RolloutHistory)
	if _, whole := c.Like.(*unstructured.Unstructured); !ok || whole || c.Like == nil || live == nil {
		return to, nil
	}
	whole, known, err := original(ctx, live, c.Like)
	if err != nil {
		return to, err
	}
	data := &h.Spec.Workload.Data
	spec, err := raw.Decode(data.Raw)
	if err != nil {
		return to, err
	}
	whole, known = map[string]any{"spec": whole["spec"]}, map[string]any{"spec": known["spec"]}
	raw.Overlay(whole, known, map[string]any{"spec": spec})
	text, err := json.Marshal(whole["spec"])
	if err == nil {
		data.Raw = text
	}
	return to, err
}
