// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/cli-runtime/pkg/resource"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
)

// selection is the objects a command is about, in kubectl's forms.
type selection struct {
	resource.FilenameOptions
	selector string
}

// selectionUse is how the forms are written in a command's use line.
const selectionUse = "(TYPE NAME | TYPE/NAME | -f FILENAME) [flags]"

func (s *selection) bind(c *cobra.Command) {
	cmdutil.AddFilenameOptionFlags(c, &s.FilenameOptions, "identifying the resource to get from a server.")
	cmdutil.AddLabelSelectorFlagVar(c, &s.selector)
}

// find reads the objects from the server, in the version that it prefers. With an error there may be some all the same.
func (s *selection) find(sh *shell, args []string) ([]*resource.Info, error) {
	if len(args) == 0 && cmdutil.IsFilenameSliceEmpty(s.Filenames, s.Kustomize) {
		return nil, errors.New("required resource not specified")
	}
	namespace, enforce, err := sh.factory.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, err
	}
	result := sh.factory.NewBuilder().
		Unstructured().
		NamespaceParam(namespace).DefaultNamespace().
		LabelSelectorParam(s.selector).
		FilenameParam(enforce, &s.FilenameOptions).
		ResourceTypeOrNameArgs(true, qualified(args)...).
		ContinueOnError().
		Latest().
		Flatten().
		Do()
	if err := result.Err(); err != nil {
		return nil, err
	}
	infos, err := result.Infos()
	if err == nil && len(infos) == 0 {
		_, _ = fmt.Fprintf(sh.ErrOut, "No resources found in %s namespace.\n", namespace)
	}
	return infos, err
}

// each finds the objects and does something with every one of them, whatever becomes of the others.
func (s *selection) each(sh *shell, args []string, do func(*resource.Info) error) error {
	infos, err := s.find(sh, args)
	problems := []error{}
	if err != nil {
		problems = append(problems, err)
	}
	for _, info := range infos {
		if err := do(info); err != nil {
			problems = append(problems, err)
		}
	}
	return utilerrors.Flatten(utilerrors.NewAggregate(problems))
}

// qualified names the group of Rollouts: other projects have a kind of that name, too.
func qualified(args []string) []string {
	result := []string{}
	for i, arg := range args {
		kind, name, named := strings.Cut(arg, "/")
		switch {
		case named && isRolloutName(kind):
			arg = rolloutResource + "/" + name
		case i == 0 && !named && isRolloutName(arg):
			arg = rolloutResource
		}
		result = append(result, arg)
	}
	return result
}

// isRolloutName distinguishes the names of the kind from names of objects.
func isRolloutName(s string) bool {
	switch strings.ToLower(s) {
	case "rollout", "rollouts", "ro":
		return true
	default:
		return false
	}
}

// named puts the kind before bare names of Rollouts: NAME, rollout NAME and rollout/NAME are all understood where only
// Rollouts are asked for.
func named(args []string) []string {
	if len(args) == 0 || isRolloutName(args[0]) || strings.ContainsAny(args[0], "/,.") {
		return args
	}
	return append([]string{rolloutResource}, args...)
}

// refused is an error about one object, as kubectl writes it.
func refused(info *resource.Info, why string) error {
	name := info.Mapping.Resource.Resource
	if group := info.Mapping.Resource.Group; group != "" {
		name += "." + group
	}
	return fmt.Errorf("error: %s %q %s", name, info.Name, why)
}
