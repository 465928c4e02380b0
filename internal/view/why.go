// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/util/duration"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// Language is what people read: messages of the cluster are English in any case.
type Language string

// Languages.
const (
	English Language = "en"
	Chinese Language = "zh"
)

// LanguageOf is the language of a locale, such as zh_CN.UTF-8; English where it is none that is known.
func LanguageOf(locale string) Language {
	if strings.HasPrefix(strings.ToLower(locale), string(Chinese)) {
		return Chinese
	}
	return English
}

// whyWords are what is said around blockers.
type whyWords struct {
	healthy, cancelled, disabled, unseen, lagging, late, nothing string
	step, since, until, passed                                   string
}

var whyTexts = map[Language]whyWords{
	English: {
		healthy:   "Nothing is waited for: no release is running.",
		cancelled: "Nothing is waited for: the last release was canceled, and the workload is at the stable version.",
		disabled:  "Nothing is waited for: the Rollout is disabled.",
		unseen:    "No manager has seen this Rollout yet: check that it runs.",
		lagging:   "The manager has not seen the latest change of the Rollout yet: check that it runs. This is what it said before:",
		late:      "The manager should have gone on by itself, and has not: check that it runs.",
		nothing:   "The status names nothing that is waited for: the manager may be older than this plugin. Its message is:",
		step:      "step %d/%d", since: "for %s", until: "until %s", passed: "was due at %s",
	},
	Chinese: {
		healthy:   "没有等待任何条件：当前没有发布。",
		cancelled: "没有等待任何条件：上一次发布已取消，工作负载在稳定版本上。",
		disabled:  "没有等待任何条件：该 Rollout 已禁用。",
		unseen:    "还没有控制器处理过该 Rollout：请检查控制器是否在运行。",
		lagging:   "控制器尚未处理 Rollout 的最新修改：请检查控制器是否在运行。以下是之前的状态：",
		late:      "控制器本应自动继续却没有：请检查控制器是否在运行。",
		nothing:   "状态中没有说明在等待什么：控制器版本可能比本插件旧。其消息为：",
		step:      "步骤 %d/%d", since: "已 %s", until: "到 %s 为止", passed: "应在 %s 结束",
	},
}

// Why says what a release waits for, since when, what that means and what helps.
func (r Rollout) Why(s Style, language Language) string {
	words := whyTexts[language]
	b := &strings.Builder{}
	head := fmt.Sprintf("rollout/%s -n %s: %s", r.Name, r.Namespace, first(string(r.Phase), "Unknown"))
	if r.Running() && r.Step > 0 {
		head += ", " + fmt.Sprintf(words.step, r.Step, len(r.Steps)) + ", " + string(r.State)
	}
	fmt.Fprintln(b, s.status(r)+" "+s.paint(bold, head))
	if note := r.whyNot(words); note != "" {
		fmt.Fprintln(b, s.fit(note))
	}
	for _, blocker := range r.Blockers {
		b.WriteString("\n" + r.explained(s, blocker, words, language))
	}
	return b.String()
}

// whyNot is what is said in front of blockers, or where there are none.
func (r Rollout) whyNot(words whyWords) string {
	switch {
	case r.Phase == "":
		return words.unseen
	case r.Lagging:
		return words.lagging
	case slices.ContainsFunc(r.Blockers, r.late):
		return words.late
	case len(r.Blockers) > 0:
		return ""
	case r.Outcome == Cancelled:
		return words.cancelled
	case r.Phase == rolloutsv1beta1.PhaseDisabled:
		return words.disabled
	case r.Phase == rolloutsv1beta1.PhaseHealthy:
		return words.healthy
	default:
		return words.nothing + "\n  " + plain(r.Message)
	}
}

// plain is a text without what a terminal would take for an order, such as colors, titles and other directions of writing, in one line.
func plain(text string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, text)), " ")
}

// late: a manager that runs would have gone on by now.
func (r Rollout) late(b rolloutsv1beta1.Blocker) bool {
	return b.Until != nil && r.now.Sub(b.Until.Time) > time.Minute
}

// explained is one blocker.
func (r Rollout) explained(s Style, blocker rolloutsv1beta1.Blocker, words whyWords, language Language) string {
	title := plain(string(blocker.Code))
	object := rolloutsv1beta1.BlockerObject{}
	if blocker.Object != nil {
		object = *blocker.Object
		title += ", " + plain(object.String())
	}
	if !r.now.IsZero() && !blocker.Since.IsZero() {
		title += ", " + fmt.Sprintf(words.since, duration.HumanDuration(max(0, r.now.Sub(blocker.Since.Time)))) // clocks differ
	}
	if u := blocker.Until; u != nil {
		layout := "15:04:05 MST"
		if u.Sub(r.now).Abs() > 12*time.Hour {
			layout = "2006-01-02 " + layout
		}
		at := u.UTC().Format(layout)
		if r.now.Sub(u.Time) > time.Second {
			title += ", " + fmt.Sprintf(words.passed, at)
		} else {
			title += ", " + fmt.Sprintf(words.until, at)
		}
	}
	advice := AdviceOf(blocker.Code)
	meaning := advice.English
	if language == Chinese {
		meaning = advice.Chinese
	}
	lines := []string{s.paint(yellow, title)}
	for _, line := range []string{plain(blocker.Message), meaning} {
		if line != "" {
			lines = append(lines, s.fit("  "+line))
		}
	}
	for _, command := range advice.commands(r, object) {
		lines = append(lines, "  "+s.paint(dim, "$")+" "+command)
	}
	return strings.Join(lines, "\n") + "\n"
}
