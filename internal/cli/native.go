// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/resource"
	nativerollout "k8s.io/kubectl/pkg/cmd/rollout"
)

// reference names one object to a builder, in the version it was read in.
func reference(info *resource.Info) string {
	gvk := info.Mapping.GroupVersionKind
	return info.Mapping.Resource.Resource + "." + gvk.Version + "." + gvk.Group + "/" + info.Name
}

// native does to a workload what kubectl does.
func (o *toggle) native(c *cobra.Command, info *resource.Info) error {
	args := []string{reference(info)}
	if o.pause {
		n := &nativerollout.PauseOptions{PrintFlags: o.print, IOStreams: o.IOStreams}
		if err := n.Complete(o.factory, c, args); err != nil {
			return err
		}
		n.Namespace = info.Namespace
		return n.RunPause()
	}
	n := &nativerollout.ResumeOptions{PrintFlags: o.print, IOStreams: o.IOStreams}
	if err := n.Complete(o.factory, c, args); err != nil {
		return err
	}
	n.Namespace = info.Namespace
	return n.RunResume()
}

// native rolls a workload back as kubectl does.
func (o *undo) native(c *cobra.Command, info *resource.Info) error {
	n := nativerollout.NewRolloutUndoOptions(o.IOStreams)
	n.PrintFlags, n.ToRevision, n.CmdBaseName = o.print, o.toRevision, "kubectl"
	if err := n.Complete(o.factory, c, []string{reference(info)}); err != nil {
		return err
	}
	n.Namespace = info.Namespace
	return n.RunUndo()
}

// native watches a workload as kubectl does.
func (o *status) native(info *resource.Info) error {
	n := nativerollout.NewRolloutStatusOptions(o.IOStreams)
	n.Watch, n.Revision, n.Timeout = o.watch, o.revision, o.timeout
	if err := n.Complete(o.factory, []string{reference(info)}); err != nil {
		return err
	}
	if err := n.Validate(); err != nil {
		return err
	}
	n.Namespace = info.Namespace
	return n.Run()
}

// native lists the revisions of a workload as kubectl does.
func (o *history) native(info *resource.Info) error {
	n := nativerollout.NewRolloutHistoryOptions(o.IOStreams)
	n.PrintFlags, n.Revision = o.print, o.revision
	if err := n.Complete(o.factory, nil, []string{reference(info)}); err != nil {
		return err
	}
	if err := n.Validate(); err != nil {
		return err
	}
	n.Namespace = info.Namespace
	return n.Run()
}
