// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/analysis"
)

// keptJob is for how many seconds a Job stays once it is finished, for people to read its log, where its template does not say.
const keptJob = 600

// jobsOfRollout runs the Jobs that metrics ask for: one for each measurement, made if it is not there, so that a manager that starts
// anew finds what it has begun. done: it is finished, and ok says how.
func jobsOfRollout(c client.Client, live client.Reader) func(ctx context.Context, rollout types.NamespacedName, ask analysis.Ask) (done, ok bool, err error) {
	return func(ctx context.Context, name types.NamespacedName, ask analysis.Ask) (done, ok bool, err error) {
		ro := &v1beta1.Rollout{}
		if err := c.Get(ctx, name, ro); err != nil {
			return false, false, fmt.Errorf("reading the Rollout: %w", err)
		}
		want, err := jobOf(ro, ask)
		if err != nil {
			return false, false, err
		}
		have := &batchv1.Job{}
		switch err := live.Get(ctx, client.ObjectKeyFromObject(want), have); {
		case apierrors.IsNotFound(err):
			if err := c.Create(ctx, want); err != nil {
				words, _ := refusal(err)
				if words == "" {
					words = err.Error()
				}
				return false, false, fmt.Errorf("creating Job %s: %s", want.Name, words)
			}
			return false, false, nil
		case err != nil:
			return false, false, fmt.Errorf("reading Job %s: %w", want.Name, err)
		case !metav1.IsControlledBy(have, ro):
			return false, false, fmt.Errorf("Job %s is somebody else's: delete it, or rename it", want.Name) //nolint:staticcheck // a kind's name is capitalised
		}
		for _, condition := range have.Status.Conditions {
			switch {
			case condition.Status != corev1.ConditionTrue:
			case condition.Type == batchv1.JobComplete:
				return true, true, nil
			case condition.Type == batchv1.JobFailed:
				return true, false, nil
			}
		}
		return false, false, nil
	}
}

// jobOf is the Job of one measurement. Its name follows from the measurement, so that it is made once.
func jobOf(ro *v1beta1.Rollout, ask analysis.Ask) (*batchv1.Job, error) {
	template := ask.Provider.Job
	job := &batchv1.Job{}
	if err := json.Unmarshal(template.Spec.Raw, &job.Spec); err != nil {
		return nil, fmt.Errorf("the spec of the Job cannot be read: %w", err)
	}
	const longName = 40 // a Job's pods have its name and some more
	sum := sha256.Sum256([]byte(string(ro.UID) + ro.Status.Revision() + ask.Key))
	job.Namespace, job.Name = ro.Namespace, ro.Name[:min(len(ro.Name), longName)]+"-"+hex.EncodeToString(sum[:4])
	job.Labels, job.Annotations = maps.Clone(template.Metadata.Labels), maps.Clone(template.Metadata.Annotations)
	if job.Labels == nil {
		job.Labels = map[string]string{}
	}
	job.Labels[v1beta1.LabelRolloutName] = v1beta1.RolloutNameLabel(ro.Name)
	owner := metav1.NewControllerRef(ro, v1beta1.GroupVersion.WithKind("Rollout"))
	owner.BlockOwnerDeletion = nil // that would take a right that is needed for nothing
	job.OwnerReferences = []metav1.OwnerReference{*owner}
	if job.Spec.Template.Spec.RestartPolicy == "" {
		job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	}
	if job.Spec.TTLSecondsAfterFinished == nil {
		job.Spec.TTLSecondsAfterFinished = ptr.To[int32](keptJob)
	}
	return job, nil
}
