// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
)

// Names of what is installed next to the manager (docs/wire.md, operations).
const (
	MutatingConfiguration   = "kruise-rollout-mutating-webhook-configuration"
	ValidatingConfiguration = "kruise-rollout-validating-webhook-configuration"
)

// asks is an object by which the API server knows where to ask us, and whom to trust there.
type asks struct {
	resource schema.GroupVersionResource
	name     string
	// edit renders it; settled is when it is to be checked again.
	edit func(c *Certificates, u *unstructured.Unstructured, roots []byte, now time.Time) (settled time.Time, err error)
}

var askers = []asks{
	{crds, "rollouts.rollouts.kruise.io", (*Certificates).editDefinition},
	{crds, "batchreleases.rollouts.kruise.io", (*Certificates).editDefinition},
	{registration("mutatingwebhookconfigurations"), MutatingConfiguration, (*Certificates).editConfiguration},
	{registration("validatingwebhookconfigurations"), ValidatingConfiguration, (*Certificates).editConfiguration},
}

var crds = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

func registration(resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: resource}
}

// formerPaths are what the first implementation of this API was asked at. It may have left webhooks of these behind, next to
// ours in the same configuration. No one answers there, so that every workload would be refused.
var formerPaths = []string{
	"/mutate-apps-kruise-io-v1alpha1-cloneset", "/mutate-apps-kruise-io-v1alpha1-daemonset", "/mutate-apps-v1-daemonset",
	"/mutate-apps-v1-deployment", "/mutate-unified-workload",
}

// watch reports every change of the Secret and of what the API server goes by.
func (c *Certificates) watch(ctx context.Context) <-chan struct{} {
	news := make(chan struct{}, 1)
	nudge := func() {
		select {
		case news <- struct{}{}:
		default:
		}
	}
	watched := append(slices.Clone(askers), asks{resource: schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, name: c.options.Secret})
	for _, a := range watched {
		namespace := metav1.NamespaceAll
		if a.edit == nil {
			namespace = c.options.Namespace
		}
		informer := dynamicinformer.NewFilteredDynamicInformer(c.objects, a.resource, namespace, 0, cache.Indexers{}, func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, a.name).String() // so that rights may name it
		}).Informer()
		_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { nudge() }, UpdateFunc: func(any, any) { nudge() }, DeleteFunc: func(any) { nudge() },
		})
		go informer.RunWithContext(ctx)
	}
	return news
}

// tell makes the API server trust roots, and ask where we are. It does all that it can, and returns what it could not, and
// when there will be more to do.
func (c *Certificates) tell(ctx context.Context, roots []byte) (settled time.Time, err error) {
	log, now := ctrl.LoggerFrom(ctx).WithName("certificates"), c.clock.Now()
	var errs []error
	for _, a := range askers {
		objects := c.objects.Resource(a.resource)
		u, err := objects.Get(ctx, a.name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue // its being made is news
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("reading %s %s: %w", a.resource.Resource, a.name, err))
			continue
		}
		next := u.DeepCopy()
		again, err := a.edit(c, next, roots, now)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading %s %s: %w", a.resource.Resource, a.name, err))
			continue
		}
		if settled.IsZero() || !again.IsZero() && again.Before(settled) {
			settled = again
		}
		if equality.Semantic.DeepEqual(u.Object, next.Object) {
			continue
		}
		if _, err := objects.Update(ctx, next, metav1.UpdateOptions{FieldManager: certificatesManager}); err != nil {
			errs = append(errs, fmt.Errorf("writing our CA into %s %s: %w", a.resource.Resource, a.name, err))
			continue
		}
		log.Info("the API server trusts our CA", "resource", a.resource.Resource, "name", a.name)
	}
	c.pointed = c.pointed || len(errs) == 0
	return settled, errors.Join(errs...)
}

func (c *Certificates) editDefinition(u *unstructured.Unstructured, roots []byte, now time.Time) (time.Time, error) {
	path := []string{"spec", "conversion", "webhook", "clientConfig"}
	config, found, err := unstructured.NestedMap(u.Object, path...)
	if err != nil || !found {
		return time.Time{}, err
	}
	if !c.asked(config) {
		return time.Time{}, nil
	}
	settled := c.editClient(config, roots, now)
	return settled, unstructured.SetNestedMap(u.Object, config, path...)
}

func (c *Certificates) editConfiguration(u *unstructured.Unstructured, roots []byte, now time.Time) (settled time.Time, err error) {
	hooks, found, err := unstructured.NestedSlice(u.Object, "webhooks")
	if err != nil || !found {
		return time.Time{}, err
	}
	hooks = slices.DeleteFunc(hooks, func(hook any) bool {
		return c.asked(clientOf(hook)) && slices.Contains(formerPaths, pathAsked(clientOf(hook)))
	})
	for _, hook := range hooks {
		if config := clientOf(hook); c.asked(config) {
			settled = c.editClient(config, roots, now)
		}
	}
	return settled, unstructured.SetNestedSlice(u.Object, hooks, "webhooks")
}

func clientOf(hook any) map[string]any {
	fields, _ := hook.(map[string]any)
	config, _ := fields["clientConfig"].(map[string]any)
	return config
}

// asked reports whether it is us who are asked.
func (c *Certificates) asked(config map[string]any) bool {
	if service, ok := config["service"].(map[string]any); ok {
		name, _ := service["name"].(string)
		return service["namespace"] == c.options.Namespace && slices.Contains(c.options.Services, name)
	}
	return pathAsked(config) != ""
}

// editClient writes where we are reached and whom to trust there.
func (c *Certificates) editClient(config map[string]any, roots []byte, now time.Time) (settled time.Time) {
	// Once, and where the installation was applied anew: managers outside of the cluster would take turns.
	if _, byService := config["service"]; c.options.Host != "" && (byService || !c.pointed) {
		redirect(config, "https://"+net.JoinHostPort(c.options.Host, strconv.Itoa(c.options.Port)))
	}
	encoded, _ := config["caBundle"].(string)
	trusted, _ := base64.StdEncoding.DecodeString(encoded)
	trusted, settled = bundle(trusted, roots, now)
	config["caBundle"] = base64.StdEncoding.EncodeToString(trusted)
	return settled
}

// pathAsked is the path at which a webhook asks.
func pathAsked(config map[string]any) string {
	if service, ok := config["service"].(map[string]any); ok {
		path, _ := service["path"].(string)
		return path
	}
	url, _ := config["url"].(string)
	return pathOf(url)
}

// redirect turns a reference to a Service into a URL.
func redirect(config map[string]any, base string) {
	if path := pathAsked(config); path != "" {
		config["url"] = base + path
		delete(config, "service")
	}
}
