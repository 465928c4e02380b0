// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"testing"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// TestCanaryIngressMarks: on a canary Ingress stays what others put there, but for marks of tools that act by them, and what is
// removed from the user's goes.
func TestCanaryIngressMarks(t *testing.T) {
	r, err := newIngress(rolloutsv1beta1.IngressTrafficRouting{Name: "web"}, config)
	if err != nil {
		t.Fatal(err)
	}
	user := func(notes string) Objects {
		return Objects{r.Refs()[0]: objectOf(t, `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web, annotations: `+notes+`}, spec: {rules: [
			{http: {paths: [{path: /, backend: {service: {name: api, port: {number: 80}}}}]}}]}}`)}
	}
	one, err := r.Render(user(`{note: a, nginx.ingress.kubernetes.io/affinity: cookie, cert-manager.io/issuer: a}`), routeTo(t, byShare))
	if err != nil {
		t.Fatal(err)
	}
	canary := one[r.Refs()[1]].DeepCopy()
	annotations := canary.GetAnnotations()
	annotations["example.com/seen"], annotations["argocd.argoproj.io/tracking-id"] = "true", "left by an older version"
	canary.SetAnnotations(annotations)
	two, err := r.Render(user(`{tier: b}`).with(r.Refs()[1], canary), routeTo(t, byShare))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"example.com/seen":"true","nginx.ingress.kubernetes.io/canary":"true","nginx.ingress.kubernetes.io/canary-weight":"20","tier":"b"}`
	if got := encode(two[r.Refs()[1]].GetAnnotations()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
