// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Storage has objects stored in the version that their definition stores today, and says so in the definition's status. A
// version that is in status.storedVersions can never be removed from a CRD, and every read of an object that is stored in
// another one costs a call to the conversion webhook, and fails where no one answers.
type Storage struct {
	Client client.Client // that reads what is stored
	Clock  clock.Clock
}

const (
	// lookAtStorage is how often to check whether a definition has changed, retryStorage how soon after a failure.
	lookAtStorage = 10 * time.Minute
	retryStorage  = 30 * time.Second
	// rewriteAtOnce is how many objects are read at once.
	rewriteAtOnce = 100
)

// convertedCRDs are those with more than one version.
var convertedCRDs = []string{"rollouts.rollouts.kruise.io", "batchreleases.rollouts.kruise.io"}

// NeedLeaderElection says that one replica does it.
func (*Storage) NeedLeaderElection() bool { return true }

// Start migrates the storage until ctx ends.
func (s *Storage) Start(ctx context.Context) error {
	for said := ""; ; {
		wait, err := lookAtStorage, s.Migrate(ctx)
		if err != nil {
			wait = retryStorage
			if text := err.Error(); text != said && ctx.Err() == nil {
				log.FromContext(ctx).Error(err, "some objects are still stored in an older version")
				said = text
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.Clock.After(wait):
		}
	}
}

// Migrate does what is left to do.
func (s *Storage) Migrate(ctx context.Context) error {
	var errs []error
	for _, name := range convertedCRDs {
		if err := s.migrate(ctx, name); err != nil {
			errs = append(errs, fmt.Errorf("storage of %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Storage) migrate(ctx context.Context, name string) error {
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := s.Client.Get(ctx, client.ObjectKey{Name: name}, crd); err != nil {
		return client.IgnoreNotFound(err)
	}
	i := slices.IndexFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool { return v.Storage })
	if i < 0 {
		return nil
	}
	version := crd.Spec.Versions[i].Name
	if slices.Equal(crd.Status.StoredVersions, []string{version}) {
		return nil
	}
	count, err := s.rewrite(ctx, schema.GroupVersionKind{Group: crd.Spec.Group, Version: version, Kind: crd.Spec.Names.Kind})
	if err != nil {
		return err
	}
	next := crd.DeepCopy()
	next.Status.StoredVersions = []string{version}
	// Under the version that was read: a definition that stores another version by now is another matter.
	if err := s.Client.Status().Patch(ctx, next, locked(crd)); err != nil {
		return err
	}
	log.FromContext(ctx).Info("everything is stored in one version", "definition", name, "version", version, "objects", count, "before", crd.Status.StoredVersions)
	return nil
}

// rewrite writes every object as it is, which stores it anew. One that somebody else writes or deletes meanwhile is done.
func (s *Storage) rewrite(ctx context.Context, kind schema.GroupVersionKind) (count int, err error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	var errs []error
	for {
		if err := s.Client.List(ctx, list, client.Limit(rewriteAtOnce), client.Continue(list.GetContinue())); err != nil {
			return count, errors.Join(append(errs, err)...)
		}
		for i := range list.Items {
			switch err := s.Client.Update(ctx, &list.Items[i]); {
			case err == nil, apierrors.IsConflict(err), apierrors.IsNotFound(err):
				count++
			default:
				errs = append(errs, fmt.Errorf("writing %s: %w", named(&list.Items[i]), err))
			}
		}
		if list.GetContinue() == "" {
			return count, errors.Join(errs...)
		}
	}
}
