// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// InstallGatewayAPI installs the CRDs of the Gateway API, of its standard channel, in the version that the product is
// built against, and returns when the API server serves them. A sandbox with a gateway has them already. Like
// Build it needs Go and a checkout.
func (c *Cluster) InstallGatewayAPI(ctx context.Context) error {
	files, err := gatewayAPIFiles(ctx)
	if err != nil {
		return fmt.Errorf("finding the CRDs of the Gateway API: %w", err)
	}
	list := "--filename=" + strings.Join(files, ",")
	if err := c.kubectl(ctx, nil, "apply", "--server-side", list); err != nil {
		return fmt.Errorf("installing the Gateway API: %w", err)
	}
	if err := c.kubectl(ctx, nil, "wait", "--for=condition=Established", "--timeout=1m", list); err != nil {
		return fmt.Errorf("installing the Gateway API: %w", err)
	}
	return nil
}

// gatewayAPIFiles finds the CRDs in the module that our go.mod requires. Go downloads it if it is not there: only its types
// are compiled in.
func gatewayAPIFiles(ctx context.Context) ([]string, error) {
	source, err := gateway.findSource()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", "sigs.k8s.io/gateway-api")
	cmd.Dir = filepath.Dir(filepath.Dir(source)) // the sandbox's module
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go mod download: %w\n%s%s", err, out, complaints.String())
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return nil, fmt.Errorf("reading what go mod download says: %w", err)
	}
	// The other file there is a policy about how CRDs are upgraded.
	files, err := filepath.Glob(filepath.Join(module.Dir, "config", "crd", "standard", "gateway.networking.k8s.io_*s.yaml"))
	if err != nil {
		return nil, fmt.Errorf("listing the module's files: %w", err)
	}
	var crds []string
	for _, file := range files {
		if !strings.Contains(file, "_vap_") {
			crds = append(crds, file)
		}
	}
	if len(crds) == 0 {
		return nil, fmt.Errorf("%s holds none", module.Dir)
	}
	return crds, nil
}
