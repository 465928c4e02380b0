// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"net/http"
	"sync"

	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/rollouts/internal/controller"
)

// identity is who this manager is to the API server. Anyone who writes may call itself by any field manager; by which user it
// writes only the API server says.
type identity struct {
	ask   func(context.Context) (user string, err error)
	mu    sync.Mutex
	known bool
	user  string // "": the API server does not show, and the field manager has to do
}

// writes reports whether a request is one of this product's own under a field manager. While no one can know who that is,
// the request fails, and its client retries.
func (i *identity) writes(ctx context.Context, req ctrladmission.Request, manager string) (bool, error) {
	if fieldManager(req) != manager {
		return false, nil
	}
	if i == nil {
		return true, nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.known {
		user, err := i.ask(ctx)
		if err != nil {
			return false, err
		}
		i.user, i.known = user, true
	}
	return i.user == "" || req.UserInfo.Username == i.user, nil
}

// own answers a request of this product's own; nil: it is somebody else's.
func (i *identity) own(ctx context.Context, req ctrladmission.Request) *ctrladmission.Response {
	own, err := i.writes(ctx, req, controller.FieldManager)
	answer := ctrladmission.Allowed("")
	switch {
	case err != nil:
		answer = ctrladmission.Errored(http.StatusInternalServerError, err)
	case !own:
		return nil
	}
	return &answer
}
