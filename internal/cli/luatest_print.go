// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/internal/traffic"
)

// print shows the object that the manager would write, and what differs from the user's. Of an Ingress it is the one
// next to it.
func (o *luaTest) print(router traffic.Router, user *unstructured.Unstructured, rendered traffic.Objects) error {
	refs := router.Refs()
	made := rendered[refs[len(refs)-1]]
	if made == nil {
		_, err := fmt.Fprintf(o.ErrOut, "nothing is written: without traffic to the new version, no %s is created\n", refs[len(refs)-1])
		return err
	}
	if len(refs) > 1 {
		made = made.DeepCopy()
		made.SetOwnerReferences(nil) // which Rollout makes it, only a cluster knows
	}
	text, err := yaml.Marshal(made.Object)
	if err != nil {
		return err
	}
	if _, err := o.Out.Write(text); err != nil || !o.diff {
		return err
	}
	before, err := yaml.Marshal(user.Object)
	if err != nil {
		return err
	}
	return difference(o, refs[0].String(), refs[len(refs)-1].String()+", in the step", string(before), string(text))
}

// difference prints what differs between two texts.
func difference(o *luaTest, from, to, before, after string) error {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: strings.SplitAfter(before, "\n"), B: strings.SplitAfter(after, "\n"), FromFile: from, ToFile: to, Context: 3,
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(o.Out, "---\n", strings.TrimSuffix(text, " ")) // what comes before it is still one document of YAML
	return err
}
