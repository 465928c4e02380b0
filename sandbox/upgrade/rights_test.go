// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/internal/sim"
	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/product"
	"kruise.io/rollouts/test/scenario"
)

// clerk gives rights and takes them away.
type clerk struct {
	*stage
	user  string
	roles []client.Object // as installed
	taken map[string]bool
	miss  map[string]bool // what was seen to be missed
}

func (s *stage) clerk() *clerk {
	s.Helper()
	c := &clerk{stage: s, taken: map[string]bool{}, miss: map[string]bool{}}
	c.user, _ = product.User()
	for _, role := range s.installed("ClusterRole", "Role") {
		var typed client.Object = &rbacv1.ClusterRole{}
		if role.GetKind() == "Role" {
			typed = &rbacv1.Role{}
		}
		if err := s.admin.Get(s.Context(), client.ObjectKeyFromObject(role), typed); err != nil {
			s.Fatal(err)
		}
		c.roles = append(c.roles, typed)
	}
	return c
}

// take takes permissions away, as they were given before: "get secrets", "list pods".
func (c *clerk) take(permissions ...string) {
	c.Helper()
	for _, p := range permissions {
		c.taken[p] = true
	}
	c.rule()
}

// give restores them.
func (c *clerk) give(permissions ...string) {
	c.Helper()
	for _, p := range permissions {
		delete(c.taken, p)
	}
	c.rule()
}

// rule writes the roles without what is taken.
func (c *clerk) rule() {
	c.Helper()
	for _, role := range c.roles {
		var rules *[]rbacv1.PolicyRule
		role, _ = role.DeepCopyObject().(client.Object)
		switch role := role.(type) {
		case *rbacv1.ClusterRole:
			rules = &role.Rules
		case *rbacv1.Role:
			rules = &role.Rules
		}
		var left []rbacv1.PolicyRule
		for _, p := range sim.Granted("", *rules...) {
			if c.taken[p.String()] {
				continue
			}
			rule := rbacv1.PolicyRule{APIGroups: []string{p.Group}, Resources: []string{p.Resource}, Verbs: []string{p.Verb}}
			if p.Name != "" {
				rule.ResourceNames = []string{p.Name}
			}
			left = append(left, rule)
		}
		*rules = left
		role.SetResourceVersion("")
		if err := c.admin.Update(c.Context(), role); err != nil {
			c.Fatal(err)
		}
	}
}

// words are how the API server names a permission that lacks.
func (c *clerk) words(permission string) string {
	verb, rest, _ := strings.Cut(permission, " ")
	rest, name, _ := strings.Cut(rest, " (")
	rest, sub, _ := strings.Cut(rest, "/")
	resource, group, _ := strings.Cut(rest, ".")
	if sub != "" {
		resource += "/" + sub
	}
	words := sim.Cannot(sim.Request{User: c.user, Verb: verb, Group: group, Resource: resource})
	if name != "" {
		words = fmt.Sprintf("%q is forbidden: ", strings.TrimSuffix(name, ")")) + words
	}
	return words
}

// misses waits until a manager says in /readyz or in its log what it lacks.
func (c *clerk) misses(m *product.Manager, permissions ...string) {
	c.Helper()
	for _, p := range permissions {
		words := c.words(p)
		c.until("the manager misses "+p, func() error {
			_, said := m.Probe(c.Context())
			log, err := os.ReadFile(m.Log)
			if err != nil {
				return err
			}
			if !strings.Contains(said, words) && !strings.Contains(strings.ReplaceAll(string(log), `\"`, `"`), words) {
				return fmt.Errorf("nothing says %s; it says %s", words, said)
			}
			return nil
		})
		c.miss[p] = true
	}
}

// inTurn waits until a manager that is not ready misses one permission after the other, and restores each.
func (c *clerk) inTurn(m *product.Manager, permissions ...string) {
	c.Helper()
	for _, p := range permissions {
		words := c.words(p)
		c.says(m, words)
		c.give(p)
	}
	c.ready(m)
}

func (c *clerk) ready(m *product.Manager) {
	c.Helper()
	if err := m.Ready(c.Context()); err != nil {
		c.Fatal(err)
	}
}

// all are permissions of a verb on resources.
func all(verb string, resources ...string) []string {
	var permissions []string
	for _, r := range resources {
		permissions = append(permissions, verb+" "+r)
	}
	return permissions
}

const (
	theSecret   = "secrets (kruise-rollout-webhook-certs)"
	ofRollouts  = "customresourcedefinitions.apiextensions.k8s.io (rollouts.rollouts.kruise.io)"
	ofReleases  = "customresourcedefinitions.apiextensions.k8s.io (batchreleases.rollouts.kruise.io)"
	ofRoutings  = "customresourcedefinitions.apiextensions.k8s.io (trafficroutings.rollouts.kruise.io)"
	ofHistories = "customresourcedefinitions.apiextensions.k8s.io (rollouthistories.rollouts.kruise.io)"
	ofTemplates = "customresourcedefinitions.apiextensions.k8s.io (analysistemplates.rollouts.kruise.io)"
	ofClusters  = "customresourcedefinitions.apiextensions.k8s.io (clusteranalysistemplates.rollouts.kruise.io)"
	theMutating = "mutatingwebhookconfigurations.admissionregistration.k8s.io (kruise-rollout-mutating-webhook-configuration)"
	theOther    = "validatingwebhookconfigurations.admissionregistration.k8s.io (kruise-rollout-validating-webhook-configuration)"
	theLease    = "leases.coordination.k8s.io (71ddec2c.kruise.io)"
	storedIn    = "patch customresourcedefinitions.apiextensions.k8s.io/status "
)

var (
	// kept is what certificates are kept in, and watched is what is watched from the start next to that.
	kept    = []string{theSecret, ofRollouts, ofReleases, theMutating, theOther}
	watched = []string{
		"rollouts.rollouts.kruise.io", "batchreleases.rollouts.kruise.io", "trafficroutings.rollouts.kruise.io",
		"deployments.apps", "replicasets.apps", "pods",
	}
)

// TestRights starts a manager without what it needs for a start, has it lead and release and eject, and looks in the audit log what it
// used: with what simulated releases need (TestRights of test/stories) that is all that the roles grant.
func TestRights(t *testing.T) {
	t.Setenv("KUBE_FEATURE_WatchListClient", "false") // API servers before Kubernetes 1.34 are asked for lists; newer ones take a watch for one
	s := newStage(t, "OwnerReferencesPermissionEnforcement")
	s.onlyV1alpha1()
	s.create(s.parse(fmt.Sprintf(converted, "old")), s.parse(oldRelease))
	kubeconfig := s.install()
	c := s.clerk()
	c.certificates(kubeconfig)
	c.caches(kubeconfig)
	c.leads(kubeconfig)
	c.releases(kubeconfig)
	s.eject(kubeconfig)
	s.used(c)
}

// certificates starts a manager that lacks all that certificates and definitions take.
func (c *clerk) certificates(kubeconfig string) {
	c.Helper()
	trust := []string{ofRollouts, ofReleases, theMutating, theOther}
	c.secret(nil)
	c.take(append(all("get", append([]string{theSecret, ofRoutings, ofHistories, ofTemplates, ofClusters}, trust...)...), "create secrets")...)
	m := c.launch(kubeconfig)
	c.inTurn(m, "get "+theSecret, "create secrets", "get "+ofRollouts, "get "+ofReleases, "get "+theMutating, "get "+theOther,
		"get "+ofTemplates, "get "+ofClusters, "get "+ofHistories, "get "+ofRoutings)
	m.Stop()

	c.secret(map[string][]byte{})
	missing := append(all("update", append([]string{theSecret}, trust...)...), "list rollouts.rollouts.kruise.io", "list batchreleases.rollouts.kruise.io")
	c.take(missing...)
	m = c.launch(kubeconfig)
	c.inTurn(m, missing...)
	m.Stop()
}

// caches starts managers that may not list, and may not watch.
func (c *clerk) caches(kubeconfig string) {
	c.Helper()
	lists := append(all("list", watched[2:]...), all("list", kept...)...)
	watches := append(all("watch", watched...), all("watch", kept...)...)
	for _, missing := range [][]string{lists, watches} {
		c.take(missing...)
		m := c.launch(kubeconfig)
		c.misses(m, missing...)
		c.give(missing...)
		c.ready(m)
		m.Stop()
	}
}

// leads starts managers that lack what a leader needs.
func (c *clerk) leads(kubeconfig string) {
	c.Helper()
	lease, old := all("get", theLease), all("update", "rollouts.rollouts.kruise.io")
	c.take("get "+theLease, "create leases.coordination.k8s.io", "update rollouts.rollouts.kruise.io", storedIn+"(batchreleases.rollouts.kruise.io)")
	m := c.launch(kubeconfig, "--leader-elect")
	c.misses(m, lease...)
	c.give(lease...)
	c.misses(m, "create leases.coordination.k8s.io")
	c.give("create leases.coordination.k8s.io")
	c.misses(m, append(old, storedIn+"(batchreleases.rollouts.kruise.io)")...)
	m.Stop()
	c.give(append(old, storedIn+"(batchreleases.rollouts.kruise.io)")...)
}

// lazily is what is read once something needs it: at rest, or once it is released.
var lazily = []struct {
	permission, tale string
	released         bool
}{
	{"list horizontalpodautoscalers.autoscaling", "blue-green by an HTTPRoute", false},
	{"list statefulsets.apps", "a StatefulSet", false},
	{"list virtualservices.networking.istio.io", "by a VirtualService", true},
}

// reads takes back what a tale needs and may not read, once it says so; who else is released does not wait for it.
func (c *clerk) reads(m *product.Manager, begun map[string]*unstructured.Unstructured, released bool) {
	c.Helper()
	for _, l := range lazily {
		if l.released == released {
			c.misses(m, l.permission)
			c.tells(begun[l.tale].GetNamespace(), "ReadFailed", "check that the manager may list this kind")
			c.give(l.permission)
		}
	}
}

// releases starts the manager that leads, and has it play tales.
func (c *clerk) releases(kubeconfig string) {
	c.Helper()
	if err := errors.Join(c.cluster.InstallGatewayAPI(c.Context()), c.cluster.PlayKruise(c.Context())); err != nil {
		c.Fatal(err)
	}
	c.routes()
	late := []string{"update " + theLease, "update batchreleases.rollouts.kruise.io", storedIn + "(rollouts.rollouts.kruise.io)", "create events"}
	for _, l := range lazily {
		c.take(l.permission)
	}
	c.take(late...)
	m := c.launch(kubeconfig, "--leader-elect")
	c.misses(m, late[0])
	c.give(late[0])
	c.misses(m, late[1:]...)
	c.give(late[1:]...)
	c.ready(m)
	begun := map[string]*unstructured.Unstructured{}
	for i, t := range scenario.Tales {
		begun[t.Name] = c.begin(t, fmt.Sprintf("tale-%d", i))
	}
	c.reads(m, begun, false)
	for _, t := range scenario.Tales {
		w := begun[t.Name]
		c.comes(w.GetNamespace(), "Healthy", "")
		if err := c.admin.Patch(c.Context(), w, client.RawPatch(types.MergePatchType, []byte(scenario.Change))); err != nil {
			c.Fatal(err)
		}
	}
	c.reads(m, begun, true)
	for i, t := range scenario.Tales {
		c.comes(begun[t.Name].GetNamespace(), "Progressing", "StepPaused")
		if i%2 == 0 { // the others are restored by the ejection
			c.approves(begun[t.Name].GetNamespace())
		}
	}
	for i, t := range scenario.Tales {
		if i%2 == 0 {
			c.comes(begun[t.Name].GetNamespace(), "Healthy", "Completed")
		}
	}
	c.silent(m, begun[scenario.Tales[3].Name].GetNamespace(), begun[scenario.Tales[1].Name].GetNamespace())
	for name := range convertedKinds {
		c.until(name+" is stored in one version", func() error { return c.stored(name, "[v1beta1]") })
	}
	m.Stop()
}

// silent approves releases whose events cannot be written, and one whose status cannot be: an event says so, and is counted.
func (c *clerk) silent(m *product.Manager, mute, namespace string) {
	c.Helper()
	const status, made, counted = "patch rollouts.rollouts.kruise.io/status", "create events.events.k8s.io", "patch events.events.k8s.io"
	c.take(made)
	c.approves(mute)
	c.misses(m, made)
	c.give(made)
	c.take(status, counted)
	c.approves(namespace)
	c.tells(namespace, "WriteRefused", c.words(status))
	c.misses(m, status, counted)
	c.give(status, counted)
	c.comes(namespace, "Healthy", "Completed")
}

// routes defines kinds of routes that no sandbox has: without a schema, since no one reads them here.
func (c *clerk) routes() {
	c.Helper()
	for _, k := range [][4]string{
		{"networking.istio.io", "v1", "VirtualService", "virtualservices"},
		{"networking.istio.io", "v1", "DestinationRule", "destinationrules"},
		{"apisix.apache.org", "v2", "ApisixRoute", "apisixroutes"},
		{"traefik.io", "v1alpha1", "TraefikService", "traefikservices"},
		{"kuma.io", "v1alpha1", "MeshHTTPRoute", "meshhttproutes"},
	} {
		c.create(c.parse(fmt.Sprintf("{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: %[4]s.%[1]s}, spec: {group: %[1]s, scope: Namespaced, "+
			"names: {kind: %[3]s, plural: %[4]s, singular: %[5]s}, versions: [{name: %[2]s, served: true, storage: true, "+
			"schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}", k[0], k[1], k[2], k[3], strings.ToLower(k[2]))))
		c.defined(k[3] + "." + k[0])
	}
}

// begin puts up what a tale has, and returns its workload.
func (c *clerk) begin(t scenario.Tale, namespace string) *unstructured.Unstructured {
	c.Helper()
	objects, err := t.Given(namespace)
	if err != nil {
		c.Fatal(err)
	}
	c.create(c.parse("{apiVersion: v1, kind: Namespace, metadata: {name: " + namespace + "}}"))
	c.create(objects...)
	return objects[0]
}

// comes waits until a Rollout is in a phase, and in a state of its step.
func (c *clerk) comes(namespace, phase, state string) {
	c.Helper()
	c.until(fmt.Sprintf("the Rollout of %s is %s %s", namespace, phase, state), func() error {
		o, err := c.get(group+"v1beta1", "Rollout", namespace, "web")
		if err != nil {
			return err
		}
		at, _, _ := unstructured.NestedString(o.Object, "status", "phase")
		in, _, _ := unstructured.NestedString(o.Object, "status", part(o), "currentStepState")
		if at != phase || state != "" && in != state {
			return fmt.Errorf("it is %s %s: %v", at, in, o.Object["status"])
		}
		return nil
	})
}

// part is where the status of a Rollout's style is.
func part(rollout *unstructured.Unstructured) string {
	if _, found, _ := unstructured.NestedMap(rollout.Object, "spec", "strategy", "blueGreen"); found {
		return "blueGreenStatus"
	}
	return "canaryStatus"
}

func (c *clerk) approves(namespace string) {
	c.Helper()
	o, err := c.get(group+"v1beta1", "Rollout", namespace, "web")
	if err == nil {
		err = c.admin.Status().Patch(c.Context(), o, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"status":{%q:{"currentStepState":"StepReady"}}}`, part(o))))
	}
	if err != nil {
		c.Fatal(err)
	}
}

// tells waits for an event.
func (c *clerk) tells(namespace, reason, words string) {
	c.Helper()
	c.until("an event "+reason+" says "+words, func() error {
		list := &eventsv1.EventList{}
		if err := c.admin.List(c.Context(), list, client.InNamespace(namespace)); err != nil {
			return err
		}
		for _, e := range list.Items {
			if e.Reason == reason && strings.Contains(e.Note, words) {
				return nil
			}
		}
		return fmt.Errorf("none of %d does", len(list.Items))
	})
}

// eject takes the product out, whatever is released.
func (s *stage) eject(kubeconfig string) {
	s.Helper()
	out, err := exec.CommandContext(s.Context(), filepath.Join(binaries, "manager"), "eject", "--kubeconfig", kubeconfig, "--timeout", "2m").CombinedOutput()
	if err != nil {
		s.Fatalf("manager eject: %v\n%s", err, out)
	}
}

// used compares what was used with what is granted.
func (s *stage) used(c *clerk) {
	s.Helper()
	root, err := product.Root()
	if err != nil {
		s.Fatal(err)
	}
	manifests, err := os.ReadFile(filepath.Join(root, "config", "install.yaml"))
	if err != nil {
		s.Fatal(err)
	}
	simulated, err := os.ReadFile(filepath.Join(root, "test", "rights.golden"))
	if err != nil {
		s.Fatal(err)
	}
	rights, err := sim.ReadRights(manifests)
	if err != nil {
		s.Fatal(err)
	}
	allowed, refused, err := sandbox.Decisions(s.cluster.AuditLog(), c.user, "kruise-rollout-")
	if err != nil {
		s.Fatal(err)
	}
	needed := map[string]bool{}
	for line := range strings.Lines(string(simulated)) {
		needed[strings.TrimSpace(line)] = true
	}
	for _, q := range allowed {
		p, ok := rights.Grants(q)
		if !ok {
			s.Errorf("the roles are said to allow %+v, and do not", q)
		}
		needed[p.String()] = true
	}
	for _, p := range rights {
		if !needed[p.String()] && !c.miss[p.String()] {
			s.Errorf("nothing needs %s of %s", p, p.Role)
		}
	}
	for _, q := range refused {
		if _, ok := rights.Grants(q); !ok {
			s.Errorf("the manager was refused to %s %s %s %s", q.Verb, q.Resource, q.Namespace, q.Name)
		}
	}
}
