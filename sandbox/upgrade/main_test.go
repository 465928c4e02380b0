// SPDX-License-Identifier: Apache-2.0

// Package upgrade starts the product on clusters that are not empty: with what other versions, other tools and accidents
// have left there. Each test has a cluster of its own, and a real API server.
package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/internal/controller"
	"kruise.io/rollouts/sandbox"
	"kruise.io/rollouts/sandbox/product"
)

// binaries is where the manager is.
var binaries string

func TestMain(m *testing.M) {
	os.Exit(run(context.Background(), m)) //nolint:forbidigo // nobody gives us one here
}

func run(ctx context.Context, m *testing.M) int {
	klog.LogToStderr(false)
	ctrl.SetLogger(klog.Background())
	dir, err := os.MkdirTemp("", "upgrade-")
	if err == nil {
		defer os.RemoveAll(dir)
		binaries = dir
		err = product.Build(ctx, dir, os.Stderr, "manager")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// patience is how long tests wait for what takes a second or two on an idle machine.
const patience = time.Minute

// stage is a cluster and one who may do everything there.
type stage struct {
	*testing.T
	cluster *sandbox.Cluster
	admin   client.Client
}

func newStage(t *testing.T, admission ...string) *stage {
	t.Helper()
	c, err := sandbox.Start(t.Context(), sandbox.Options{Log: io.Discard, Admission: admission})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	admin, err := client.New(c.Config(), client.Options{Scheme: controller.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return &stage{T: t, cluster: c, admin: admin}
}

// installed returns what config/install.yaml holds of some kinds.
func (s *stage) installed(kinds ...string) []*unstructured.Unstructured {
	s.Helper()
	root, err := product.Root()
	if err != nil {
		s.Fatal(err)
	}
	file, err := os.Open(filepath.Join(root, "config", "install.yaml"))
	if err != nil {
		s.Fatal(err)
	}
	defer file.Close()
	var found []*unstructured.Unstructured
	for decoder := utilyaml.NewYAMLOrJSONDecoder(file, 4096); ; {
		o := &unstructured.Unstructured{}
		err := decoder.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			s.Fatal(err)
		}
		for _, kind := range kinds {
			if o.GetKind() == kind {
				found = append(found, o)
			}
		}
	}
}

// install applies config/install.yaml, and returns a kubeconfig with the rights of the manager.
func (s *stage) install() string {
	s.Helper()
	kubeconfig, err := product.Install(s.Context(), s.cluster)
	if err != nil {
		s.Fatal(err)
	}
	return kubeconfig
}

// launch starts a manager, and does not wait for it.
func (s *stage) launch(kubeconfig string, args ...string) *product.Manager {
	s.Helper()
	m, err := product.Launch(binaries, kubeconfig, s.TempDir(), args...)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		m.Kill()
		if s.Failed() {
			log, _ := os.ReadFile(m.Log)
			s.Logf("%s", log)
		}
	})
	return m
}

// start starts a manager, and waits until it is ready.
func (s *stage) start(kubeconfig string, args ...string) *product.Manager {
	s.Helper()
	m := s.launch(kubeconfig, args...)
	if err := m.Ready(s.Context()); err != nil {
		s.Fatal(err)
	}
	return m
}

// says waits until a manager that is not ready says why.
func (s *stage) says(m *product.Manager, words ...string) {
	s.Helper()
	said := ""
	s.until("the manager says "+strings.Join(words, ", "), func() error {
		ready := false
		if ready, said = m.Probe(s.Context()); ready {
			s.Fatalf("the manager is ready, want one that says %q", words)
		}
		for _, w := range words {
			if !strings.Contains(said, w) {
				return fmt.Errorf("it says %q", said)
			}
		}
		return nil
	})
}

// until waits until something holds, and fails with what kept it.
func (s *stage) until(what string, try func() error) {
	s.Helper()
	var last error
	err := wait.PollUntilContextTimeout(s.Context(), 50*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		last = try()
		return last == nil, nil
	})
	if err != nil {
		s.Fatalf("waiting until %s: %v", what, errors.Join(err, last))
	}
}

// parse reads YAML.
func (s *stage) parse(text string) *unstructured.Unstructured {
	s.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		s.Fatal(err)
	}
	return o
}

func (s *stage) create(objects ...*unstructured.Unstructured) {
	s.Helper()
	for _, o := range objects {
		if err := s.admin.Create(s.Context(), o); err != nil && !apierrors.IsAlreadyExists(err) {
			s.Fatalf("creating %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
}

// apply applies objects as "kubectl apply --server-side" does.
func (s *stage) apply(objects ...*unstructured.Unstructured) {
	s.Helper()
	for _, o := range objects {
		if err := s.admin.Apply(s.Context(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("kubectl"), client.ForceOwnership); err != nil {
			s.Fatalf("applying %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
}

// get reads an object.
func (s *stage) get(apiVersion, kind, namespace, name string) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	return o, s.admin.Get(s.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o)
}

// edit changes an object as it is stored.
func (s *stage) edit(apiVersion, kind, namespace, name string, change func(o *unstructured.Unstructured)) {
	s.Helper()
	s.until("changing "+name, func() error {
		o, err := s.get(apiVersion, kind, namespace, name)
		if err != nil {
			return err
		}
		change(o)
		return s.admin.Update(s.Context(), o)
	})
}

// defined waits until CRDs are served.
func (s *stage) defined(names ...string) {
	s.Helper()
	for _, name := range names {
		s.until(name+" is served", func() error {
			crd, err := s.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", name)
			if err != nil {
				return err
			}
			conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
			for _, c := range conditions {
				if c, _ := c.(map[string]any); c["type"] == "Established" && c["status"] == string(metav1.ConditionTrue) {
					return nil
				}
			}
			return errors.New("not established")
		})
	}
}

const (
	group     = "rollouts.kruise.io/"
	converted = "{apiVersion: rollouts.kruise.io/v1alpha1, kind: Rollout, metadata: {name: %s, namespace: default, annotations: {rollouts.kruise.io/rolling-style: partition}}, " +
		"spec: {objectRef: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: %[1]s}}, strategy: {canary: {steps: [{weight: 20}, {replicas: 50%%}, {replicas: 100%%}]}}}}"
)

// serves checks that conversion and admission are served with a certificate that the API server trusts.
func (s *stage) serves() {
	s.Helper()
	name := fmt.Sprintf("served-%d", time.Now().UnixNano())
	s.until("a Rollout can be written in one version", func() error {
		return s.admin.Create(s.Context(), s.parse(fmt.Sprintf(converted, name)))
	})
	if o, err := s.get(group+"v1beta1", "Rollout", "default", name); err != nil {
		s.Fatalf("reading it in the other: %v", err)
	} else if to, _, _ := unstructured.NestedString(o.Object, "spec", "workloadRef", "name"); to != name {
		s.Fatalf("converted to %v", o.Object["spec"])
	}
	err := s.admin.Create(s.Context(), s.parse("{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: wrong, namespace: default}, "+
		"spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: wrong}, strategy: {canary: {steps: [{replicas: 5}, {replicas: 1}]}}}}"))
	if err == nil || !strings.Contains(err.Error(), "non decreasing") {
		s.Fatalf("what is wrong is refused with %v", err)
	}
}

// reaches waits until a Rollout's status has a value at a path.
func (s *stage) reaches(name, path, want string) {
	s.Helper()
	s.until(name+" has "+path+" "+want, func() error {
		o, err := s.get(group+"v1beta1", "Rollout", "default", name)
		if err != nil {
			return err
		}
		got, _, _ := unstructured.NestedString(o.Object, append([]string{"status"}, strings.Split(path, ".")...)...)
		if got != want {
			return fmt.Errorf("it is %q: %v", got, o.Object["status"])
		}
		return nil
	})
}
