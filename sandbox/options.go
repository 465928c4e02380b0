// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// Options say what to start. The zero value is a sandbox of three nodes without listeners in a new temporary directory.
type Options struct {
	// Name finds the state directory when Dir is empty. A sandbox of a name replaces what a crashed one of the same name
	// left behind. With neither Name nor Dir, the state is kept in a new temporary directory.
	Name string
	// Dir is the state directory. It is made by Start and removed by Stop, and must hold nothing else.
	Dir string
	// Bin is a directory with etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl. It defaults to
	// the environment variable SANDBOX_BIN, and then to what Build has built, or builds now. If it holds traefik as well,
	// that is the gateway; else it is what BuildGateway has built, or builds now.
	Bin string
	// Nodes is how many nodes there are; 0 means 3.
	Nodes int
	// Listeners makes the pods listen on their addresses, in a network namespace of the sandbox. This needs root.
	Listeners bool
	// Gateway puts a gateway into the pods' network, with the Gateway API installed; nil for none. It implies Listeners.
	Gateway *GatewayOptions
	// Admission are plugins of the API server next to those that are on by default.
	Admission []string
	// NoAudit leaves the audit log out.
	NoAudit bool
	// Log takes lines about the progress, for a human; nil for none.
	Log io.Writer
}

// GatewayOptions say how the gateway behaves. The zero value is Traefik with its defaults.
type GatewayOptions struct {
	// Throttle is the least time between two changes of routes or endpoints that take effect: what changes earlier waits.
	// 0 means Traefik's own 2 s; tests that are not about waiting are quick with 100 ms.
	Throttle time.Duration
}

const (
	defaultNodes = 3
	tempPrefix   = "kruise-sandbox-"
)

var validName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)

// StateDir is the state directory of the sandbox with that name.
func StateDir(name string) (string, error) {
	if !validName.MatchString(name) {
		return "", fmt.Errorf("a sandbox cannot be named %q: use at most 40 small letters, digits and hyphens", name)
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "clusters", name), nil
}

// cacheDir holds everything the sandbox keeps on this machine.
func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a directory for the sandbox (set HOME or XDG_CACHE_HOME): %w", err)
	}
	return filepath.Join(base, "kruise-rollouts-sandbox"), nil
}

// complete fills in what was left open.
func (o Options) complete() (Options, error) {
	o.Nodes = cmp.Or(o.Nodes, defaultNodes)
	if o.Nodes < 0 {
		return o, fmt.Errorf("%d nodes: there must be at least one", o.Nodes)
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	o.Listeners = o.Listeners || o.Gateway != nil
	o.Bin = cmp.Or(o.Bin, os.Getenv("SANDBOX_BIN"))
	var err error
	switch {
	case o.Dir != "":
		o.Dir, err = filepath.Abs(o.Dir)
	case o.Name != "":
		o.Dir, err = StateDir(o.Name)
	default:
		sweep(os.TempDir())
		o.Dir, err = os.MkdirTemp("", tempPrefix)
	}
	if err != nil {
		return o, fmt.Errorf("finding the state directory: %w", err)
	}
	o.Name = cmp.Or(o.Name, filepath.Base(o.Dir))
	return o, nil
}
