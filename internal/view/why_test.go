// SPDX-License-Identifier: Apache-2.0

package view

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// TestWhy draws what is said of blockers in both languages.
func TestWhy(t *testing.T) {
	blocked := func(blockers ...rolloutsv1beta1.Blocker) func(*rolloutsv1beta1.Rollout) {
		return func(ro *rolloutsv1beta1.Rollout) { ro.Status.Blockers = blockers }
	}
	ago := func(d time.Duration) metav1.Time { return metav1.NewTime(noon.Add(-d)) }
	soon, past := metav1.NewTime(noon.Add(24*time.Second)), ago(2*time.Minute)
	approval := blocked(rolloutsv1beta1.Blocker{Code: rolloutsv1beta1.BlockerApproval, Since: ago(6 * time.Minute), Message: "Rollout is in step(1/3), and you need manually confirm to enter the next step"})
	for name, ro := range map[string]*rolloutsv1beta1.Rollout{
		"approval": rollout(approval),
		"pods": rollout(state(rolloutsv1beta1.StepUpgrade), blocked(
			rolloutsv1beta1.Blocker{Code: rolloutsv1beta1.BlockerImagePull, Object: &rolloutsv1beta1.BlockerObject{Kind: "Pod", Name: "web-1"}, Since: ago(3 * time.Minute), Message: "Pod web-1: container main: the image cannot be pulled: web:bad"},
			rolloutsv1beta1.Blocker{Code: rolloutsv1beta1.BlockerGatewaySettling, Object: &rolloutsv1beta1.BlockerObject{Kind: "HTTPRoute", Name: "web"}, Since: ago(0), Until: &soon, Message: "waiting"},
			rolloutsv1beta1.Blocker{Code: rolloutsv1beta1.BlockerTimer, Since: ago(0), Until: &past},
			rolloutsv1beta1.Blocker{Code: "OfANewerVersion", Since: ago(0), Message: "what a newer version says"},
		)),
		"healthy":  rollout(healthy(metav1.ConditionTrue)),
		"canceled": rollout(healthy(metav1.ConditionFalse)),
		"lagging":  rollout(approval, func(ro *rolloutsv1beta1.Rollout) { ro.Generation = 9 }),
		"older":    rollout(),
		"unseen":   rollout(func(ro *rolloutsv1beta1.Rollout) { ro.Status = rolloutsv1beta1.RolloutStatus{} }),
	} {
		r := Of(Seen{Now: noon, Rollout: ro})
		for _, language := range []Language{English, Chinese} {
			golden(t, name+".why-"+string(language), r.Why(Style{}, language))
		}
	}
	hostile := Of(Seen{Now: noon, Rollout: rollout(blocked(rolloutsv1beta1.Blocker{
		Code: rolloutsv1beta1.BlockerNotReady, Object: &rolloutsv1beta1.BlockerObject{Kind: "Pod", Name: "x; rm -rf ~ #"}, Since: ago(-time.Hour),
		Message: "red \x1b[31m, title \x1b]0;x\a, \u202eback\nand more",
	}))}).Why(Style{}, English)
	if strings.ContainsAny(hostile, "\x1b\a\u202e") || strings.Contains(hostile, "describe pod x;") || strings.Contains(hostile, "invalid") {
		t.Errorf("what others write reaches the terminal:\n%s", hostile)
	}
	long := Of(Seen{Now: noon, Rollout: rollout(approval)}).Why(Style{Width: 60}, English)
	for line := range strings.Lines(long) {
		if line = strings.TrimSuffix(line, "\n"); width(line) > 60 && !strings.Contains(line, "$ ") && !strings.Contains(line, "rollout/rollouts-demo -n") {
			t.Errorf("%q is wider than the terminal", line)
		}
	}
	if !strings.Contains(long, "  $ kubectl kruise rollout approve rollout/") {
		t.Errorf("a command is broken:\n%s", long)
	}
}

// TestLanguageOf: the locale chooses, whatever its encoding.
func TestLanguageOf(t *testing.T) {
	for locale, want := range map[string]Language{"": English, "C": English, "de_DE.UTF-8": English, "zh_CN.UTF-8": Chinese, "zh-Hans": Chinese, "ZH_TW": Chinese} {
		if got := LanguageOf(locale); got != want {
			t.Errorf("%q: got %s, want %s", locale, got, want)
		}
	}
}

// TestAdvices: there is advice for each code, once, in both languages, with commands that can be typed.
func TestAdvices(t *testing.T) {
	var known []string
	for _, a := range Advices {
		known = append(known, string(a.Code))
		if !strings.HasSuffix(a.English, ".") || !strings.HasSuffix(a.Chinese, "。") || len(a.Commands) == 0 {
			t.Errorf("%s: %q, %q, %q", a.Code, a.English, a.Chinese, a.Commands)
		}
		for _, c := range a.commands(Rollout{Name: "web", Namespace: "shop", Workload: "Deployment/web"}, rolloutsv1beta1.BlockerObject{Kind: "Service", Name: "web"}) {
			if !strings.HasPrefix(c, "kubectl ") || strings.ContainsAny(c, "{}") {
				t.Errorf("%s: %q", a.Code, c)
			}
		}
	}
	codes := codesOf(t)
	slices.Sort(known)
	slices.Sort(codes)
	if !slices.Equal(known, codes) {
		t.Errorf("there is advice for\n%q, and there are\n%q", known, codes)
	}
}

// codesOf are the codes of the API.
func codesOf(t *testing.T) (codes []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "api", "v1beta1", "blocker.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "BlockerCode" {
				code, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				codes = append(codes, code)
			}
		}
		return true
	})
	return codes
}

// TestTroubleshooting: the pages say of each code what the plugin says.
func TestTroubleshooting(t *testing.T) {
	const begins, ends = "<!-- written by go test ./internal/view -update -->\n", "<!-- end -->"
	for _, page := range []struct {
		path, header string
		of           func(Advice) string
	}{
		{"troubleshooting.md", "| code | what it means | commands |\n|---|---|---|\n", func(a Advice) string { return a.English }},
		{"troubleshooting.zh.md", "| 代码 | 含义 | 命令 |\n|---|---|---|\n", func(a Advice) string { return a.Chinese }},
	} {
		path := filepath.Join("..", "..", "docs", page.path)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, ok := strings.Cut(string(raw), begins)
		_, after, closed := strings.Cut(rest, ends)
		if !ok || !closed {
			t.Fatalf("%s has no place for its table", page.path)
		}
		table := page.header
		for _, a := range Advices {
			commands := make([]string, len(a.Commands))
			for i, c := range a.Commands {
				commands[i] = "`" + strings.ReplaceAll(c, "|", `\|`) + "`"
			}
			table += "| `" + string(a.Code) + "` | " + page.of(a) + " | " + strings.Join(commands, "<br>") + " |\n"
		}
		want := before + begins + table + ends + after
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if want != string(raw) {
			t.Errorf("%s is not what is said of blockers: go test ./internal/view -update writes it anew", page.path)
		}
	}
}
