// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"embed"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// builtin are the scripts that come with the product: one for each class of Ingress, one for each custom kind.
//
//go:embed scripts
var builtin embed.FS

// defaultClass is the class of an Ingress that names none.
const defaultClass = "nginx"

// istio is the group whose built-in scripts come before the user's own.
const istio = "networking.istio.io"

// alike are classes whose annotations are those of another.
var alike = map[string]string{"higress": "nginx"}

// IngressScript finds the script of an Ingress class: the user's own first, then the built-in.
//
// Its obj has annotations (the Ingress's), weight (a string, "-1" for none), matches, requestHeaderModifier (both as in
// a step, or nil), canaryService and stableService; it returns all annotations that the canary Ingress is to have.
func IngressScript(class string, own map[string]string) (Script, error) {
	if class == "" {
		class = defaultClass
	}
	key := "lua.traffic.routing.ingress." + class
	if source, ok := own[key]; ok {
		return Script{Name: key, Source: source}, nil
	}
	name := class
	if other, ok := alike[class]; ok {
		name = other
	}
	if source, err := builtin.ReadFile("scripts/ingress/" + name + ".lua"); err == nil {
		return Script{Name: class, Source: string(source)}, nil
	}
	return Script{}, scriptFault(key, fmt.Errorf("%s lua script is not found", class))
}

// CustomScript finds the script of a custom kind. For Istio's kinds it is the built-in first, then the user's own: clients
// rely on that, and on the opposite for Ingresses. For other kinds the user's own comes first, so that one that was written
// before there was a built-in stays in use.
//
// Its obj has data (spec, labels and annotations of the object as the user wrote it), canaryWeight and stableWeight
// (percent; -1 and 101 for none), matches, requestHeaderModifier (both as in a step, or nil), canaryService, stableService
// and the object's namespace; it returns the data that the object is to have.
func CustomScript(kind schema.GroupKind, own map[string]string) (Script, error) {
	key := ScriptKey(kind)
	source, mine := own[key]
	if mine && kind.Group != istio {
		return Script{Name: key, Source: source}, nil
	}
	name := kind.Group + "/" + kind.Kind
	if source, err := builtin.ReadFile("scripts/" + name + ".lua"); err == nil {
		return Script{Name: name, Source: string(source)}, nil
	}
	if mine {
		return Script{Name: key, Source: source}, nil
	}
	return Script{}, scriptFault(key, fmt.Errorf("expected script not found neither locally nor in ConfigMap: %s", name))
}

// ScriptKey is the key of the ConfigMap kruise-rollout-configuration that has the user's own script of a custom kind.
func ScriptKey(kind schema.GroupKind) string {
	return "lua.traffic.routing." + kind.Kind + "." + kind.Group
}
