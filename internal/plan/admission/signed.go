// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"encoding/json"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
)

// signed says in the mark of a release who changed the template. The mark is written anyway, so it costs nothing, and
// only admission knows.
func signed(w client.Object, user string) client.Object {
	s := plan.StampOf(w)
	if s.RolloutName == "" || user == "" {
		return w
	}
	s.User = user
	raw, err := json.Marshal(s)
	if err != nil {
		return w
	}
	annotations := w.GetAnnotations()
	annotations[v1beta1.AnnotationInProgressing] = string(raw)
	w.SetAnnotations(annotations)
	return w
}
