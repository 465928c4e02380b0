// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/kubectl/pkg/util/templates"

	"kruise.io/rollouts/internal/view"
)

// why says what Rollouts wait for.
type why struct {
	*shell
	selection
	language string
	noColor  bool
}

func newWhy(s *shell) *cobra.Command {
	o := &why{shell: s}
	c := &cobra.Command{
		Use:                   "why " + selectionUse,
		DisableFlagsInUseLine: true,
		Short:                 "Say what a release waits for, since when, and what helps",
		Long: templates.LongDesc(`
			Say what a release waits for, since when, and what helps.

			The status of a Rollout names everything that it waits for (status.blockers): pods that are not ready, Services and routes,
			metrics, approvals, pauses. This prints each of them with its object, since when it is there, until when it lasts where that
			is known, what it means, and commands that show more or help.`),
		Example: examples(`
			# What a release waits for
			%[1]s rollout why rollout/web

			# In Chinese
			%[1]s rollout why rollout/web --lang zh`),
		RunE: func(_ *cobra.Command, args []string) error {
			language := view.LanguageOf(o.language)
			switch view.Language(o.language) {
			case "":
				language = view.LanguageOf(locale())
			case view.English, view.Chinese:
			default:
				return fmt.Errorf("there is no language %q: use en or zh", o.language)
			}
			return o.each(s, named(args), func(info *resource.Info) error { return o.why(info, language) })
		},
	}
	o.bind(c)
	c.Flags().StringVar(&o.language, "lang", "", "Language of explanations: en or zh. Defaults to that of LC_ALL, LC_MESSAGES or LANG.")
	c.Flags().BoolVar(&o.noColor, "no-color", false, "Use no colors.")
	return c
}

// locale is the user's, by the variables of POSIX in their order.
func locale() string { return cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG")) }

func (o *why) why(info *resource.Info, language view.Language) error {
	if !isRollout(info) {
		return refused(info, "is not a Rollout; use kubectl describe")
	}
	r, err := releaseOf(info)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(o.Out, view.Of(view.Seen{Now: time.Now(), Rollout: r.Rollout}).Why(o.style(o.noColor), language))
	return err
}
