// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"kruise.io/rollouts/sandbox"
)

const long = `sandbox runs a real Kubernetes control plane on this machine, without a container engine: etcd, kube-apiserver,
kube-controller-manager and kube-scheduler as ordinary processes, and simulated nodes. Deployments, Services, webhooks, RBAC
and kubectl work as in any cluster; only containers are simulated, and behave as the pods' annotations say.

Your own kubeconfig is neither read nor changed: the sandbox writes one of its own.`

const example = `  # Build what is needed (once; some minutes) and start; Ctrl-C stops it and removes all it made
  sandbox up

  # Start in the background, use it, stop it
  sandbox up --detach
  sandbox kubectl create deployment web --image=nginx --replicas=3
  sandbox kubectl get pods -o wide
  sandbox down

  # Pods that listen (needs root), and a look at what they answer
  sandbox up --detach --listeners
  sandbox kubectl create deployment web --image=echoserver --port=8080
  sandbox curl http://$(sandbox kubectl get pods -l app=web -o jsonpath='{.items[0].status.podIP}'):8080/

  # A gateway (needs root): a Gateway "gateway" in namespace default, and the IngressClass nginx
  sandbox up --detach --gateway
  sandbox curl http://shop.example.com/`

// target is which sandbox a command is for.
type target struct {
	name, dir string
}

func (t *target) stateDir() (string, error) {
	if t.dir != "" {
		return t.dir, nil
	}
	return sandbox.StateDir(t.name)
}

// find is the running sandbox that is meant.
func (t *target) find() (sandbox.State, error) {
	dir, err := t.stateDir()
	if err != nil {
		return sandbox.State{}, err
	}
	state, err := sandbox.Find(dir)
	if errors.Is(err, sandbox.ErrNotRunning) {
		return state, fmt.Errorf("no sandbox is running in %s: start one with \"sandbox up\"", dir)
	}
	if err == nil && !state.Ready {
		return state, errors.New("the sandbox is still starting: try again in a moment")
	}
	return state, err
}

func newRoot() *cobra.Command {
	t := &target{}
	root := &cobra.Command{
		Use: "sandbox", Short: "A real Kubernetes control plane with simulated nodes, on this machine",
		Long: long, Example: example, SilenceUsage: true, SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&t.name, "name", "default", "name of the sandbox; several can run at a time")
	root.PersistentFlags().StringVar(&t.dir, "dir", "", "state directory, instead of the one that belongs to the name")
	root.AddCommand(newUp(t), newDown(t), newStatus(t), newBuild(), newKubectl(t), newCurl(t), newExec(t))
	return root
}
