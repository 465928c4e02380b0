//go:build deps

// Package deps keeps requirements of packages that are still being written. It goes once they import them.
package deps

import (
	_ "github.com/open-policy-agent/cert-controller/pkg/rotator"
	_ "github.com/spf13/cobra"
	_ "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	_ "k8s.io/cli-runtime/pkg/genericclioptions"
	_ "k8s.io/component-base/logs"
	_ "k8s.io/kubectl/pkg/cmd/util"
	_ "pgregory.net/rapid"
	_ "sigs.k8s.io/controller-runtime"
	_ "sigs.k8s.io/randfill"
)
