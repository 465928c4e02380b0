// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"slices"
	"strings"

	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
)

// modify adds a change of headers to the filters of a rule or a backend. There may be one such filter only, so one that
// is there is extended; what it does to a header that the modifier names is replaced.
func modify(target map[string]any, modifier *gatewayv1beta1.HTTPHeaderFilter) {
	fields, _ := plain(modifier).(map[string]any)
	if len(fields) == 0 {
		return
	}
	filters, _ := target["filters"].([]any)
	for _, filter := range mapsIn(filters) {
		if there, ok := filter["requestHeaderModifier"].(map[string]any); ok {
			extend(there, fields)
			return
		}
	}
	target["filters"] = append(filters, map[string]any{"type": "RequestHeaderModifier", "requestHeaderModifier": fields})
}

// extend adds the changes of one header filter to another.
func extend(there, fields map[string]any) {
	names := []string{}
	for _, verb := range []string{"set", "add", "remove"} {
		list, _ := fields[verb].([]any)
		for _, entry := range list {
			names = append(names, headerName(entry))
		}
	}
	for _, verb := range []string{"set", "add", "remove"} {
		list, _ := there[verb].([]any)
		list = slices.DeleteFunc(list, func(entry any) bool { return slices.Contains(names, headerName(entry)) })
		more, _ := fields[verb].([]any)
		if list = append(list, more...); len(list) == 0 {
			delete(there, verb)
		} else {
			there[verb] = list
		}
	}
}

// headerName is the name of a header that is set, added or removed.
func headerName(entry any) string {
	if fields, ok := entry.(map[string]any); ok {
		entry = fields["name"]
	}
	name, _ := entry.(string)
	return strings.ToLower(name)
}
