// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/rollouts/internal/controller"
)

// authorizer is an API server in which ann may create Jobs in namespace a, and root everywhere. err: it does not say.
func authorizer(err error) client.Client {
	return interceptor.NewClient(fake.NewClientBuilder().WithScheme(controller.Scheme()).Build(), interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, obj client.Object, _ ...client.CreateOption) error {
			review, ok := obj.(*authorizationv1.SubjectAccessReview)
			if !ok {
				return fmt.Errorf("nobody creates a %T", obj)
			}
			of := review.Spec.ResourceAttributes
			if of.Verb != "create" || of.Group != "batch" || of.Resource != "jobs" || len(review.Spec.Groups) != 1 || len(review.Spec.Extra["scopes"]) != 1 {
				return fmt.Errorf("nobody asks for %v", review.Spec)
			}
			review.Status.Allowed = review.Spec.User == "root" || review.Spec.User == "ann" && of.Namespace == "a"
			return err
		},
	})
}

// TestTemplates: a mistake in a template is refused when it is written, and a Job of somebody who may not create any; what is there
// already can be edited elsewhere.
func TestTemplates(t *testing.T) {
	of := func(kind, provider, more string) string {
		return fmt.Sprintf(`{"apiVersion":"rollouts.kruise.io/v1beta1","kind":%q,"metadata":{"name":"x"%s},"spec":{"metrics":[{"name":"m","provider":%s}]}}`, kind, more, provider)
	}
	const (
		own, cluster = "AnalysisTemplate", "ClusterAnalysisTemplate"
		right, wrong = `{"prometheus":{"query":"up"}}`, `{"prometheus":{}}`
		job          = `{"job":{"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"a"}]}}}}}`
		labelled     = `,"labels":{"a":"b"}`
	)
	forbidden := apierrors.NewForbidden(schema.GroupResource{Group: "authorization.k8s.io", Resource: "subjectaccessreviews"}, "", errors.New("no"))
	for name, c := range map[string]struct {
		kind, now, old  string
		user, namespace string
		err             error
		status          bool
		want            string
	}{
		"right":                       {kind: own, now: of(own, right, "")},
		"right, of the cluster":       {kind: cluster, now: of(cluster, right, "")},
		"wrong":                       {kind: own, now: of(own, wrong, ""), want: "spec.metrics[0].provider.prometheus.query: Required value: a query in PromQL"},
		"wrong, of the cluster":       {kind: cluster, now: of(cluster, wrong, ""), want: "spec.metrics[0].provider.prometheus.query"},
		"made worse":                  {kind: own, now: of(own, wrong, ""), old: of(own, right, ""), want: "spec.metrics[0].provider.prometheus.query"},
		"it was there":                {kind: own, now: of(own, wrong, labelled), old: of(own, wrong, "")},
		"it goes":                     {kind: cluster, now: of(cluster, wrong, `,"deletionTimestamp":"2026-01-01T00:00:00Z"`), old: of(cluster, right, "")},
		"a status":                    {kind: own, now: of(own, wrong, ""), status: true},
		"it cannot be read":           {kind: own, now: `{"spec":1}`, want: "reading the AnalysisTemplate"},
		"a Job":                       {kind: own, now: of(own, job, ""), user: "ann", namespace: "a"},
		"a Job elsewhere":             {kind: own, now: of(own, job, ""), user: "ann", namespace: "b", want: "spec.metrics: Forbidden: a template with a job can be written by who may create Jobs only, and ann may not in namespace b"},
		"a Job that becomes one":      {kind: own, now: of(own, job, ""), old: of(own, right, ""), user: "ben", namespace: "a", want: "ben may not in namespace a"},
		"a Job that was there":        {kind: own, now: of(own, job, labelled), old: of(own, job, ""), user: "ben", namespace: "a"},
		"Jobs of all namespaces":      {kind: cluster, now: of(cluster, job, ""), user: "ann", want: "ann may not in all namespaces"},
		"Jobs of somebody who may":    {kind: cluster, now: of(cluster, job, ""), user: "root"},
		"Jobs where there are none":   {kind: own, now: of(own, job, ""), user: "root", err: forbidden, want: "the manager may not run Jobs for metrics, nor ask who may; install the chart with rbac.analysisJobs: true"},
		"Jobs when the API is silent": {kind: own, now: of(own, job, ""), user: "root", err: errors.New("silent"), want: "asking whether root may create Jobs: silent"},
	} {
		t.Run(name, func(t *testing.T) {
			api := authorizer(c.err)
			h := &templates{decoder: ctrladmission.NewDecoder(controller.Scheme()), mayRun: func(ctx context.Context, user authenticationv1.UserInfo, namespace string) (bool, error) {
				return controller.MayCreateJobs(ctx, api, user, namespace)
			}}
			req := ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
				Operation: admissionv1.Create, Kind: metav1.GroupVersionKind{Kind: c.kind}, Namespace: c.namespace, Object: runtime.RawExtension{Raw: []byte(c.now)},
				UserInfo: authenticationv1.UserInfo{Username: c.user, Groups: []string{"g"}, Extra: map[string]authenticationv1.ExtraValue{"scopes": {"s"}}},
			}}
			if c.old != "" {
				req.Operation, req.OldObject = admissionv1.Update, runtime.RawExtension{Raw: []byte(c.old)}
			}
			if c.status {
				req.SubResource = "status"
			}
			resp := h.Handle(t.Context(), req)
			message := ""
			if resp.Result != nil {
				message = resp.Result.Message
			}
			if resp.Allowed != (c.want == "") || !strings.Contains(message, c.want) {
				t.Errorf("allowed %v: %s; want %q", resp.Allowed, message, c.want)
			}
			if c.err != nil && resp.Result.Code != http.StatusInternalServerError {
				t.Errorf("it is answered with %d", resp.Result.Code)
			}
		})
	}
}
