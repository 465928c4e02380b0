// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Acceptance is what the parents of a Gateway API route say of it.
type Acceptance struct {
	Refused string // by which parent and why; "" by none
	Pending bool   // a parent has not checked it since it was changed
}

// AcceptanceOf reads it. Other objects are accepted by their gateway without a status.
func AcceptanceOf(u *unstructured.Unstructured) Acceptance {
	if u.GroupVersionKind().Group != gatewayv1.GroupName {
		return Acceptance{}
	}
	parents, _, _ := unstructured.NestedSlice(u.Object, "spec", "parentRefs")
	answers, _, _ := unstructured.NestedSlice(u.Object, "status", "parents")
	a := Acceptance{Pending: len(answers) < len(parents)}
	for _, parent := range mapsIn(answers) {
		for _, c := range mapsIn(parent["conditions"]) {
			if c["type"] != string(gatewayv1.RouteConditionAccepted) {
				continue
			}
			seen, _, _ := unstructured.NestedInt64(c, "observedGeneration")
			switch {
			case seen < u.GetGeneration():
				a.Pending = true
			case c["status"] == "False":
				name, _, _ := unstructured.NestedString(parent, "parentRef", "name")
				a.Refused = fmt.Sprintf("%s %s is refused by its parent %s: %v: %v", u.GetKind(), u.GetName(), name, c["reason"], c["message"])
			}
		}
	}
	return a
}

// Controllers are the names of the gateways' controllers that have answered for a Gateway API route.
func Controllers(u *unstructured.Unstructured) (names []string) {
	answers, _, _ := unstructured.NestedSlice(u.Object, "status", "parents")
	for _, answer := range answers {
		if fields, ok := answer.(map[string]any); ok {
			if name, ok := fields["controllerName"].(string); ok {
				names = append(names, name)
			}
		}
	}
	return names
}
