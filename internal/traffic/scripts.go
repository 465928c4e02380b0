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

// alike are classes whose annotations are those of another.
var alike = map[string]string{"higress": "nginx"}

// IngressScript finds the script of an Ingress class: the user's own first, then the built-in.
//
// Its obj has annotations (the Ingress's), weight (a string, "-1" for none), matches, requestHeaderModifier (both as in
// a step, or nil) and canaryService; it returns all annotations that the canary Ingress is to have.
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
	return Script{}, fmt.Errorf("%s lua script is not found", class)
}

// CustomScript finds the script of a custom kind: the built-in first, then the user's own. The order is
// not that of Ingresses; clients rely on both.
//
// Its obj has data (spec, labels and annotations of the object as the user wrote it), canaryWeight and stableWeight
// (percent; -1 and 101 for none), matches, requestHeaderModifier (both as in a step, or nil), canaryService and
// stableService; it returns the data that the object is to have.
func CustomScript(kind schema.GroupKind, own map[string]string) (Script, error) {
	name := kind.Group + "/" + kind.Kind
	if source, err := builtin.ReadFile("scripts/" + name + ".lua"); err == nil {
		return Script{Name: name, Source: string(source)}, nil
	}
	key := "lua.traffic.routing." + kind.Kind + "." + kind.Group
	if source, ok := own[key]; ok {
		return Script{Name: key, Source: source}, nil
	}
	return Script{}, fmt.Errorf("expected script not found neither locally nor in ConfigMap: %s", name)
}
