// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/rollouts/internal/controller"
)

// TestTrafficRoutings: what its gateway cannot do of what a TrafficRouting asks for is refused when it is written, unless the user has a
// script of his own; what is there already can be edited elsewhere.
func TestTrafficRoutings(t *testing.T) {
	const two = `[{"headers":[{"name":"a","value":"b"},{"name":"c","value":"d"}]}]`
	const one = `[{"headers":[{"name":"a","value":"b"}]}]`
	of := func(class, matches, more string) string {
		return fmt.Sprintf(`{"apiVersion":"rollouts.kruise.io/v1alpha1","kind":"TrafficRouting","metadata":{"name":"x"%s},"spec":{"objectRef":[{"service":"a","ingress":{"name":"a","classType":%q}}],"strategy":{"matches":%s,"requestHeaderModifier":{"set":[{"name":"v","value":"new"}]}}}}`, more, class, matches)
	}
	own := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "rollouts", Name: "kruise-rollout-configuration"},
		Data:       map[string]string{"lua.traffic.routing.ingress.own": "return obj.annotations"},
	}
	for name, c := range map[string]struct{ now, old, want string }{
		"one header":         {of("mse", one, ""), "", ""},
		"no effect":          {of("nginx", one, ""), "", "Ingress class nginx cannot change headers"},
		"two headers":        {of("mse", two, ""), "", "Ingress class mse cannot match several headers"},
		"own script":         {of("own", two, ""), "", ""},
		"made worse":         {of("mse", two, ""), of("mse", one, ""), "Ingress class mse cannot match several headers"},
		"it was there":       {of("mse", two, `,"labels":{"a":"b"}`), of("mse", two, ""), ""},
		"it is mended":       {of("mse", one, ""), of("mse", two, ""), ""},
		"it cannot be read":  {`{"spec":1}`, "", "reading the TrafficRouting"},
		"it was not read":    {of("mse", one, ""), `{"spec":1}`, "reading the TrafficRouting as stored"},
		"nothing like these": {`{}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := &trafficRoutings{reader: reader(t, own), decoder: ctrladmission.NewDecoder(controller.Scheme()), namespace: "rollouts"}
			req := ctrladmission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
				Operation: admissionv1.Create, Kind: metav1.GroupVersionKind{Kind: "TrafficRouting"}, Object: runtime.RawExtension{Raw: []byte(c.now)},
			}}
			if c.old != "" {
				req.Operation, req.OldObject = admissionv1.Update, runtime.RawExtension{Raw: []byte(c.old)}
			}
			resp := h.Handle(t.Context(), req)
			message := ""
			if resp.Result != nil {
				message = resp.Result.Message
			}
			if resp.Allowed != (c.want == "") || !strings.Contains(message, c.want) {
				t.Errorf("allowed %v: %s; want %q", resp.Allowed, message, c.want)
			}
		})
	}
}
