// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"errors"
	"net/http"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/controller"
)

const manager = "system:serviceaccount:kruise-rollout:manager"

// selfOf is an API server that says who the manager is, or why it does not.
func selfOf(err error) *identity {
	asked := 0
	c := fake.NewClientBuilder().WithScheme(controller.Scheme()).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.CreateOption) error {
			if asked++; asked > 1 && err == nil {
				return errors.New("asked again")
			}
			o.(*authenticationv1.SelfSubjectReview).Status.UserInfo.Username = manager
			return err
		},
	}).Build()
	return &identity{ask: func(ctx context.Context) (string, error) { return controller.Self(ctx, c) }}
}

// TestIdentity: a write is our own where the API server says that we made it. What the writer calls itself does not count.
func TestIdentity(t *testing.T) {
	t.Parallel()
	missing := apierrors.NewNotFound(schema.GroupResource{Group: "authentication.k8s.io", Resource: "selfsubjectreviews"}, "")
	for name, c := range map[string]struct {
		user, manager string
		err           error
		held, refused bool
	}{
		"our own":                            {user: manager, manager: controller.FieldManager},
		"somebody who calls himself so":      {user: "mallory", manager: controller.FieldManager, held: true},
		"somebody else of our account":       {user: manager, manager: "kubectl", held: true},
		"an API server that cannot tell":     {user: "mallory", manager: controller.FieldManager, err: missing},
		"an API server that does not answer": {user: manager, manager: controller.FieldManager, err: errors.New("timeout"), refused: true},
		"nobody has to be asked":             {user: "jane", manager: "kubectl", err: errors.New("timeout"), held: true},
		"somebody who probes":                {user: "mallory", manager: controller.ProbeManager, held: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &workloads{reader: reader(t, managing(nil), set(app("v1"), "hash1")), self: selfOf(c.err)}
			for range 2 {
				req := update(t, app("v1"), app("v2"), c.manager)
				req.UserInfo.Username = c.user
				resp := h.Handle(t.Context(), req)
				if c.refused {
					if resp.Allowed || resp.Result.Code != http.StatusInternalServerError {
						t.Fatalf("answered %+v", resp.Result)
					}
					continue
				}
				got := answer(t, req, resp)
				if held := got.Spec.Paused && got.Annotations[v1beta1.AnnotationInProgressing] != ""; held != c.held {
					t.Errorf("held %v, want %v", held, c.held)
				}
			}
		})
	}
}
