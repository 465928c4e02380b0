// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
)

// newMapper knows the kinds that we control, whether or not the API server does yet: a manager is made before its kinds are
// there, so that it can say so.
func newMapper(config *rest.Config, client *http.Client) (meta.RESTMapper, error) {
	all, err := apiutil.NewDynamicRESTMapper(config, client)
	if err != nil {
		return nil, err
	}
	ours := meta.NewDefaultRESTMapper(nil)
	for kind, version := range map[string]schema.GroupVersion{
		"Rollout": v1beta1.GroupVersion, "BatchRelease": v1beta1.GroupVersion,
		"TrafficRouting": v1alpha1.GroupVersion, "RolloutHistory": v1alpha1.GroupVersion,
	} {
		ours.Add(version.WithKind(kind), meta.RESTScopeNamespace)
	}
	return meta.FirstHitRESTMapper{MultiRESTMapper: meta.MultiRESTMapper{ours, all}}, nil
}
