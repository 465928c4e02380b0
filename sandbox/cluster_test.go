// SPDX-License-Identifier: Apache-2.0

package sandbox_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kruise.io/rollouts/sandbox"
)

func TestStart(t *testing.T) {
	t.Logf("the sandbox was ready after %s", startTook)
	if startTook > time.Minute {
		t.Errorf("starting took %s: it should take less than 10 s, and no machine is that slow", startTook)
	}
	nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes.Items) != 3 {
		t.Errorf("there are %d nodes, want 3", len(nodes.Items))
	}
	for _, node := range nodes.Items {
		if len(node.Spec.Taints) > 0 {
			t.Errorf("node %s has taints %v", node.Name, node.Spec.Taints)
		}
	}
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if version.GitVersion != sandbox.KubernetesVersion {
		t.Errorf("the API server is of version %s, want %s", version.GitVersion, sandbox.KubernetesVersion)
	}
}

func TestKubectl(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), filepath.Join(cluster.Bin(), "kubectl"), "get", "nodes", "--output=name")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig())
	out, err := cmd.CombinedOutput()
	if want := "node/sandbox-1\nnode/sandbox-2\nnode/sandbox-3\n"; err != nil || string(out) != want {
		t.Errorf("kubectl says %q (%v), want %q", out, err, want)
	}
}

func TestDirectoryInUse(t *testing.T) {
	t.Parallel()
	_, err := sandbox.Start(t.Context(), sandbox.Options{Dir: cluster.Dir()})
	if err == nil || !strings.Contains(err.Error(), "already running") {
		t.Errorf("a second start in the same directory: %v, want it refused", err)
	}
	if err := cluster.Err(); err != nil {
		t.Errorf("the first sandbox suffered: %v", err)
	}
}

func TestDirectoryOfSomethingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sandbox.Start(t.Context(), sandbox.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "precious") {
		t.Errorf("start in a directory with other files: %v, want it refused", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

func TestMissingBinaries(t *testing.T) {
	t.Parallel()
	_, err := sandbox.Start(t.Context(), sandbox.Options{Dir: filepath.Join(t.TempDir(), "state"), Bin: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "sandbox build") {
		t.Errorf("start without binaries: %v, want to be told what to do", err)
	}
}

// TestSandboxesSideBySide also shows that stopping leaves nothing.
func TestSandboxesSideBySide(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "other")
	other, err := sandbox.Start(t.Context(), sandbox.Options{Dir: dir, Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Stop() })
	if other.Config().Host == cluster.Config().Host {
		t.Errorf("both sandboxes are at %s", other.Config().Host)
	}
	otherClient, err := kubernetes.NewForConfig(other.Config())
	if err != nil {
		t.Fatal(err)
	}
	_, err = otherClient.AppsV1().Deployments("default").Create(t.Context(), newDeployment("only-here", 2, newPodTemplate("nginx", nil)), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		d, err := otherClient.AppsV1().Deployments("default").Get(t.Context(), "only-here", metav1.GetOptions{})
		if err == nil && d.Status.AvailableReplicas != 2 {
			err = fmt.Errorf("%d pods are available", d.Status.AvailableReplicas)
		}
		return err
	})
	if _, err := client.AppsV1().Deployments("default").Get(t.Context(), "only-here", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the other sandbox's deployment, seen from this one: %v", err)
	}

	state := other.State()
	if err := other.Stop(); err != nil {
		t.Fatal(err)
	}
	if left := survivors(t, state, 4); len(left) > 0 {
		t.Errorf("still running after Stop: %v", left)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state directory after Stop: %v", err)
	}
	if err := other.Err(); err != nil {
		t.Errorf("stopping was taken for a failure: %v", err)
	}
}

// survivors are the processes of a sandbox that are still there, of so many.
func survivors(t *testing.T, state sandbox.State, want int) []string {
	t.Helper()
	if len(state.Processes) != want {
		t.Errorf("the sandbox ran %d processes, want %d", len(state.Processes), want)
	}
	var left []string
	for _, p := range state.Processes {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
		if err == nil && strings.HasPrefix(string(line), p.Name+"\x00") { // a dead one's is empty
			left = append(left, p.Name)
		}
	}
	return left
}

func TestKilledSandboxLeavesNothing(t *testing.T) {
	t.Parallel()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "killed")
	cmd := exec.CommandContext(t.Context(), executable)
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	processes := 4
	if deaf == nil {
		cmd.Env = append(cmd.Env, crashAll+"=1")
		processes += 2
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the sandbox says %q (%v)", line, err)
	}
	state, err := sandbox.Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, func() error {
		if left := survivors(t, state, processes); len(left) > 0 {
			return fmt.Errorf("still running: %v", left)
		}
		return nil
	})
	if _, err := sandbox.Find(dir); !errors.Is(err, sandbox.ErrNotRunning) {
		t.Errorf("looking for the killed sandbox: %v, want %v", err, sandbox.ErrNotRunning)
	}

	again, err := sandbox.Start(t.Context(), sandbox.Options{Dir: dir})
	if err != nil {
		t.Fatalf("starting where a sandbox was killed: %v", err)
	}
	if err := again.Stop(); err != nil {
		t.Error(err)
	}
}

func TestFailureIsNoticed(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]sandbox.Options{
		"kube-scheduler": {NoAudit: true},
		"traefik":        {Gateway: &sandbox.GatewayOptions{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if options.Gateway != nil {
				needListeners(t)
			}
			options.Dir = filepath.Join(t.TempDir(), "failing")
			other, err := sandbox.Start(t.Context(), options)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = other.Stop() })
			for _, p := range other.State().Processes {
				if p.Name == name {
					process, err := os.FindProcess(p.PID)
					if err != nil {
						t.Fatal(err)
					}
					if err := process.Kill(); err != nil {
						t.Fatal(err)
					}
				}
			}
			select {
			case <-other.Failed():
				if err := other.Err(); !strings.Contains(err.Error(), name+" ended") {
					t.Errorf("the failure is %q, want it to name %s", err, name)
				}
			case <-time.After(patience):
				t.Errorf("the end of %s went unnoticed", name)
			}
		})
	}
}

func TestUserIsBoundByRBACAndCounted(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	user, groups := sandbox.ServiceAccount(namespace, "counted")
	config, err := cluster.User(user, groups...)
	if err != nil {
		t.Fatal(err)
	}
	counted, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	maps := counted.CoreV1().ConfigMaps(namespace)
	if _, err := maps.List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Fatalf("without a role: %v, want it forbidden", err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "counted"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "counted", Namespace: namespace}},
	}
	if _, err := client.RbacV1().RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		_, err := maps.List(t.Context(), metav1.ListOptions{})
		return err
	})

	since := time.Now()
	if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := maps.Get(t.Context(), "one", metav1.GetOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := counted.AppsV1().Deployments(namespace).UpdateStatus(t.Context(),
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "none"}}, metav1.UpdateOptions{}); err == nil {
		t.Fatal("the status of no deployment was updated")
	}
	watching, err := maps.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	watching.Stop()

	calls, err := sandbox.CountCalls(cluster.AuditLog(), user, since)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		"create configmaps": 1, "get configmaps": 2, "watch configmaps": 1, "update deployments.apps/status": 1,
	}
	for call, n := range calls {
		if want[call.String()] != n {
			t.Errorf("counted %d calls %q, want %d", n, call, want[call.String()])
		}
		if writes := call.Verb == "create" || call.Verb == "update"; call.Writes() != writes {
			t.Errorf("%q counts as a write: %t", call, call.Writes())
		}
		delete(want, call.String())
	}
	for call := range want {
		t.Errorf("calls %q were not counted", call)
	}
}

func TestUserKubeconfig(t *testing.T) {
	t.Parallel()
	path, err := cluster.UserKubeconfig("somebody", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(cluster.Bin(), "kubectl"), "--kubeconfig="+path, "auth", "whoami", "--output=jsonpath={.status.userInfo.username}").Output()
	if err != nil || string(out) != "somebody" {
		t.Errorf("kubectl is %q (%v), want somebody", out, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the kubeconfig has mode %v (%v), want it private", info.Mode(), err)
	}
}
