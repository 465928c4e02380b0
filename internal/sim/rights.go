// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// A Permission is one thing that a role grants: a verb on a resource, or on one object of it.
type Permission struct {
	Role     string // "ClusterRole name", "Role name"
	Verb     string
	Group    string
	Resource string // with its subresource: "rollouts/status"
	Name     string // of the only object; "": of any
}

// String is the permission in a line: "patch deployments.apps", "update secrets (kruise-rollout-webhook-certs)".
func (p Permission) String() string {
	resource, sub, _ := strings.Cut(p.Resource, "/")
	text := p.Verb + " " + resource
	if p.Group != "" {
		text += "." + p.Group
	}
	if sub != "" {
		text += "/" + sub
	}
	if p.Name != "" {
		text += " (" + p.Name + ")"
	}
	return text
}

// A Request is what the API server asks its authorizer about.
type Request struct {
	User, Verb, Group, Resource, Namespace, Name string
}

// Rights are the permissions of a user.
type Rights []Permission

// ReadRights reads the permissions that all roles of some manifests grant, in their order.
func ReadRights(manifests []byte) (Rights, error) {
	var rights Rights
	for decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096); ; {
		o := map[string]any{}
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			return rights, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading manifests: %w", err)
		}
		if o["kind"] != "ClusterRole" && o["kind"] != "Role" {
			continue
		}
		role := rbacv1.ClusterRole{} // a Role has no other rules
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o, &role); err != nil {
			return nil, fmt.Errorf("reading a role: %w", err)
		}
		rights = append(rights, Granted(fmt.Sprintf("%v %s", o["kind"], role.Name), role.Rules...)...)
	}
}

// Granted is what rules of a role grant, one by one.
func Granted(role string, rules ...rbacv1.PolicyRule) Rights {
	var rights Rights
	for _, rule := range rules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range names {
					for _, verb := range rule.Verbs {
						rights = append(rights, Permission{role, verb, group, resource, name})
					}
				}
			}
		}
	}
	return rights
}

// Without are the rights but for one permission.
func (r Rights) Without(p Permission) Rights {
	return slices.DeleteFunc(slices.Clone(r), func(other Permission) bool { return other == p })
}

// Grants finds the permission that allows a request; false: none does. Roles are not distinguished: who asks in the namespace of
// the manager is asked for by name.
func (r Rights) Grants(q Request) (Permission, bool) {
	i := slices.IndexFunc(r, func(p Permission) bool {
		return p.Verb == q.Verb && p.Group == q.Group && p.Resource == q.Resource && (p.Name == "" || p.Name == q.Name)
	})
	if i < 0 {
		return Permission{}, false
	}
	return r[i], true
}

// Refusal is what the API server answers to a request that is not allowed, in its words.
func Refusal(q Request) error {
	where := "at the cluster scope"
	if q.Namespace != "" {
		where = fmt.Sprintf("in the namespace %q", q.Namespace)
	}
	return apierrors.NewForbidden(schema.GroupResource{Group: q.Group, Resource: q.Resource}, q.Name, errors.New(Cannot(q)+" "+where))
}

// Cannot are the words by which a refusal names what it lacks.
func Cannot(q Request) string {
	return fmt.Sprintf("User %q cannot %s resource %q in API group %q", q.User, q.Verb, q.Resource, q.Group)
}

// Compare orders permissions for people to read.
func (p Permission) Compare(q Permission) int {
	return cmp.Or(cmp.Compare(p.Role, q.Role), cmp.Compare(p.Group, q.Group), cmp.Compare(p.Resource, q.Resource), cmp.Compare(p.Name, q.Name), cmp.Compare(p.Verb, q.Verb))
}
