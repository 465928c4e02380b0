// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlwebhook "sigs.k8s.io/controller-runtime/pkg/webhook"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	"sigs.k8s.io/controller-runtime/pkg/webhook/conversion"

	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/internal/plan/admission"
)

// Paths that the configurations and CRDs name.
const (
	pathWorkloads = "/mutate-workload"
	pathRollouts  = "/validate-rollouts-kruise-io-rollout"
	pathRoutings  = "/validate-rollouts-kruise-io-trafficrouting"
	pathTemplates = "/validate-rollouts-kruise-io-analysistemplate"
	pathSigning   = "/mutate-rollouts-kruise-io-rollout"
	pathOwners    = "/mutate-owners"
	pathConvert   = "/convert"
)

// Register registers what answers admission and conversion requests with a server. Conversion needs nothing and answers at
// once; admission answers from the manager's cache, and waits until that is read. Namespace is where the users' own scripts for gateways are.
func Register(server ctrlwebhook.Server, mgr ctrl.Manager, read <-chan struct{}, namespace string, limits admission.Limits) {
	decoder := ctrladmission.NewDecoder(mgr.GetScheme())
	waiting := func(h ctrladmission.Handler) http.Handler {
		return &ctrladmission.Webhook{Handler: &synced{Handler: h, read: read}}
	}
	self := &identity{ask: func(ctx context.Context) (string, error) { return controller.Self(ctx, mgr.GetClient()) }}
	server.Register(pathWorkloads, waiting(&workloads{reader: mgr.GetClient(), self: self}))
	server.Register(pathRollouts, waiting(&rollouts{reader: mgr.GetClient(), decoder: decoder, limits: limits, namespace: namespace}))
	server.Register(pathRoutings, waiting(&trafficRoutings{reader: mgr.GetClient(), decoder: decoder, namespace: namespace}))
	server.Register(pathTemplates, &ctrladmission.Webhook{Handler: &templates{decoder: decoder, mayRun: func(ctx context.Context, user authenticationv1.UserInfo, namespace string) (bool, error) {
		return controller.MayCreateJobs(ctx, mgr.GetClient(), user, namespace)
	}}})
	server.Register(pathSigning, &ctrladmission.Webhook{Handler: &signing{clock: clock.RealClock{}, self: self}})
	server.Register(pathOwners, &ctrladmission.Webhook{Handler: &owners{self: self}})
	server.Register(pathConvert, conversion.NewWebhookHandler(mgr.GetScheme(), mgr.GetConverterRegistry()))
}

// patience is how long a request waits for caches: less than the API server waits for us.
const patience = 8 * time.Second

// synced lets requests wait while the manager starts: a client would be refused otherwise, for want of a second. What is watched
// later is not waited for: a kind of route that may not be listed is never read, and would have everything refused.
type synced struct {
	ctrladmission.Handler
	read <-chan struct{}
}

func (s *synced) Handle(ctx context.Context, req ctrladmission.Request) ctrladmission.Response {
	waiting, stop := context.WithTimeout(ctx, patience)
	defer stop()
	select {
	case <-s.read:
		return s.Handler.Handle(ctx, req)
	case <-waiting.Done():
		return ctrladmission.Errored(http.StatusServiceUnavailable, errors.New("the manager of Kruise Rollouts is still starting; try again"))
	}
}

// pathOf is the one of our paths that a URL ends with.
func pathOf(url string) string {
	for _, path := range slices.Concat([]string{pathWorkloads, pathRollouts, pathRoutings, pathTemplates, pathSigning, pathOwners, pathConvert}, formerPaths) {
		if strings.HasSuffix(url, path) {
			return path
		}
	}
	return ""
}
