// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/charts"
)

// written is what of each kind we write, in the version that we write it in. What its definition lacks of it would be lost
// without a word: the API server drops fields that it does not know, and a release would forget what it has done.
var written = map[string]struct {
	version string
	parts   []string
}{
	"rollouts":          {v1beta1.GroupVersion.Version, []string{"status"}},
	"batchreleases":     {v1beta1.GroupVersion.Version, []string{"spec", "status"}},
	"trafficroutings":   {v1alpha1.GroupVersion.Version, []string{"status"}},
	"rollouthistories":  {v1alpha1.GroupVersion.Version, nil},
	"analysistemplates": {v1beta1.GroupVersion.Version, nil}, "clusteranalysistemplates": {v1beta1.GroupVersion.Version, nil},
}

// retryDefinitions is how often to check again while the definitions do not fit.
const retryDefinitions = time.Second

// AwaitDefinitions waits until the kinds that we control are there as we need them, and can be read: converted, too. Say is
// called with what is waited for, whenever that changes.
func AwaitDefinitions(ctx context.Context, c client.Reader, clock clock.Clock, say func(error)) error {
	for said := ""; ; {
		err := fitting(ctx, c)
		if err == nil {
			err = readable(ctx, c)
		}
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if err.Error() != said {
			said = err.Error()
			say(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-clock.After(retryDefinitions):
		}
	}
}

// fitting compares the definitions in the cluster with ours.
func fitting(ctx context.Context, c client.Reader) error {
	ours, err := definitions()
	if err != nil {
		return err
	}
	var unfit []error
	for _, want := range ours {
		have := &apiextensionsv1.CustomResourceDefinition{}
		if err := c.Get(ctx, client.ObjectKeyFromObject(want), have); err != nil {
			if client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("reading CustomResourceDefinition %s: %w", want.Name, err)
			}
			unfit = append(unfit, fmt.Errorf("there is no CustomResourceDefinition %s", want.Name))
			continue
		}
		if why := misfit(want, have); why != "" {
			unfit = append(unfit, fmt.Errorf("CustomResourceDefinition %s %s", want.Name, why))
		}
	}
	if len(unfit) > 0 {
		return fmt.Errorf("%w; install the CRDs of this version: the chart, or config/install.yaml", errors.Join(unfit...))
	}
	return nil
}

// misfit says why we cannot work with a definition. That it is newer and has more is no reason.
func misfit(want, have *apiextensionsv1.CustomResourceDefinition) string {
	w := written[want.Spec.Names.Plural]
	ours, theirs := versionOf(want, w.version), versionOf(have, w.version)
	if theirs == nil || !theirs.Served {
		return "does not serve version " + w.version
	}
	if len(have.Spec.Versions) > 1 && (have.Spec.Conversion == nil || have.Spec.Conversion.Strategy != apiextensionsv1.WebhookConverter) {
		return "does not have its versions converted by a webhook"
	}
	if ours.Subresources != nil && ours.Subresources.Status != nil && (theirs.Subresources == nil || theirs.Subresources.Status == nil) {
		return "has no subresource status"
	}
	var lacks []string
	for _, part := range w.parts {
		lacks = append(lacks, lacking(part, property(ours, part), property(theirs, part))...)
	}
	const named = 3
	switch n := len(lacks); {
	case n == 0:
		return ""
	case n > named:
		return fmt.Sprintf("is older than this manager: %s lacks %s and %d more", w.version, strings.Join(lacks[:named], ", "), n-named)
	default:
		return fmt.Sprintf("is older than this manager: %s lacks %s", w.version, strings.Join(lacks, ", "))
	}
}

func versionOf(crd *apiextensionsv1.CustomResourceDefinition, name string) *apiextensionsv1.CustomResourceDefinitionVersion {
	i := slices.IndexFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool { return v.Name == name })
	if i < 0 {
		return nil
	}
	return &crd.Spec.Versions[i]
}

func property(v *apiextensionsv1.CustomResourceDefinitionVersion, name string) *apiextensionsv1.JSONSchemaProps {
	if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
		return nil
	}
	if p, ok := v.Schema.OpenAPIV3Schema.Properties[name]; ok {
		return &p
	}
	if keep := v.Schema.OpenAPIV3Schema.XPreserveUnknownFields; keep != nil && *keep {
		return v.Schema.OpenAPIV3Schema
	}
	return nil
}

// lacking lists the fields of a schema that another one would drop.
func lacking(path string, ours, theirs *apiextensionsv1.JSONSchemaProps) []string {
	switch {
	case ours == nil:
		return nil
	case theirs == nil:
		return []string{path}
	case theirs.XPreserveUnknownFields != nil && *theirs.XPreserveUnknownFields:
		return nil
	}
	var lacks []string
	for _, name := range slices.Sorted(maps.Keys(ours.Properties)) {
		mine := ours.Properties[name]
		var other *apiextensionsv1.JSONSchemaProps
		if p, ok := theirs.Properties[name]; ok {
			other = &p
		}
		lacks = append(lacks, lacking(path+"."+name, &mine, other)...)
	}
	if ours.Items != nil && theirs.Items != nil {
		lacks = append(lacks, lacking(path+"[]", ours.Items.Schema, theirs.Items.Schema)...)
	}
	return lacks
}

// definitions are those that this version was made with.
func definitions() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	var all []*apiextensionsv1.CustomResourceDefinition
	err := fs.WalkDir(charts.Definitions, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := charts.Definitions.ReadFile(path)
		if err != nil {
			return err
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(data, crd); err != nil {
			return err
		}
		all = append(all, crd)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading our own definitions: %w", err)
	}
	return all, nil
}

// readable finds out whether objects that are stored in another version are converted: a cache that cannot be filled does
// not say why.
func readable(ctx context.Context, c client.Reader) error {
	for _, list := range []client.ObjectList{&v1beta1.RolloutList{}, &v1beta1.BatchReleaseList{}} {
		if err := c.List(ctx, list, client.Limit(1)); err != nil {
			return fmt.Errorf("reading %T: %w", list, err)
		}
	}
	return nil
}
