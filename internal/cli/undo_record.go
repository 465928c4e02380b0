// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	nativedescribe "k8s.io/kubectl/pkg/describe"

	rolloutsv1alpha1 "kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/internal/view"
)

var errNoTemplate = errors.New("it has none")

// toRecord gives a Rollout's workload, of whatever kind, the template of a recorded release. A revision that the workload's
// own controller still has is left to it; false: so is one that is on no record.
func (o *undo) toRecord(ctx context.Context, r *release, info *resource.Info) (done bool, err error) {
	records, err := o.recorded(ctx, r)
	if err != nil {
		return false, err
	}
	d, err := deploymentOf(info)
	if err != nil {
		return false, err
	}
	if d != nil {
		sets, err := o.replicaSets(ctx, d)
		if err != nil {
			return false, err
		}
		for _, set := range sets {
			if view.Number(set) == o.toRevision {
				return false, nil
			}
		}
	}
	h := recordOf(records, o.toRevision)
	switch {
	case h != nil:
	case len(records) > 0 && (d != nil || !kubectlKeeps(info)):
		return false, fmt.Errorf("unable to find specified revision %d in history: neither the workload nor the recorded releases have it (recorded: %s)",
			o.toRevision, numbersOf(records))
	case d == nil && !kubectlKeeps(info):
		return false, fmt.Errorf("unable to find specified revision %d in history: no release is recorded", o.toRevision)
	default:
		return false, nil
	}
	key := info.Namespace + "/" + reference(info)
	if o.done[key] {
		return true, nil
	}
	o.done[key] = true
	outcome, err := o.restore(info, h)
	if err != nil {
		return true, err
	}
	return true, o.report(info, outcome)
}

// kubectlKeeps reports whether kubectl itself knows the revisions of a kind.
func kubectlKeeps(info *resource.Info) bool {
	gk := info.Mapping.GroupVersionKind.GroupKind()
	return gk.Group == deploymentKind.Group && (gk.Kind == "Deployment" || gk.Kind == "StatefulSet" || gk.Kind == "DaemonSet")
}

// numbersOf are the recorded revisions.
func numbersOf(records []*rolloutsv1alpha1.RolloutHistory) string {
	numbers := []string{}
	for _, h := range records {
		if n := storyOf(h).Revision; n != 0 {
			numbers = append(numbers, strconv.FormatInt(n, 10))
		}
	}
	if len(numbers) == 0 {
		return "none"
	}
	return strings.Join(slices.Compact(numbers), ", ")
}

// restore writes a recorded template into a workload, and says what became of it.
func (o *undo) restore(info *resource.Info, h *rolloutsv1alpha1.RolloutHistory) (string, error) {
	if o.dryRun == cmdutil.DryRunClient {
		template, err := templateOf(h)
		if err != nil {
			return "", err
		}
		out := &bytes.Buffer{}
		nativedescribe.DescribePodTemplate(template, nativedescribe.NewPrefixWriter(out))
		return out.String(), nil
	}
	raw, err := rawTemplate(h)
	if err != nil {
		return "", fmt.Errorf("reading the recorded template in %s: %w", h.Name, err)
	}
	if u, ok := info.Object.(*unstructured.Unstructured); ok {
		have, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "template")
		want := any(nil)
		if err := json.Unmarshal(raw, &want); err != nil {
			return "", fmt.Errorf("reading the recorded template in %s: %w", h.Name, err)
		}
		if same, _ := json.Marshal(have); equality.Semantic.DeepEqual(decoded(same), want) {
			return fmt.Sprintf("skipped rollback (current template already matches revision %d)", o.toRevision), nil
		}
	}
	patch, err := json.Marshal([]operation{{"replace", "/spec/template", raw}})
	if err != nil {
		return "", err
	}
	helper := resource.NewHelper(info.Client, info.Mapping).DryRun(o.dryRun == cmdutil.DryRunServer)
	obj, err := helper.Patch(info.Namespace, info.Name, types.JSONPatchType, patch, nil)
	if err != nil {
		return "", fmt.Errorf("failed restoring revision %d: %w", o.toRevision, err)
	}
	return "rolled back", info.Refresh(obj, true)
}

// decoded reads JSON with all numbers alike, independent of the client that wrote it.
func decoded(raw []byte) (v any) {
	_ = json.Unmarshal(raw, &v)
	return v
}
