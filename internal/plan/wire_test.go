// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// documented is docs/wire.md: by the header of a column, what stands in code font in the columns of that header, in all tables.
type documented map[string][]string

var (
	spans    = regexp.MustCompile("`([^`]+)`")
	unquoted = regexp.MustCompile(`(^|[^\\])\|`)
)

// readTables reads the tables of a page.
func readTables(t *testing.T, path string) (documented, [][]string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	columns, rows := documented{}, [][]string{}
	var header []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			header = nil
			continue
		}
		cells := strings.Split(unquoted.ReplaceAllString(strings.Trim(line, "|"), "$1\x00"), "\x00")
		for i := range cells {
			cells[i] = strings.TrimSpace(strings.ReplaceAll(cells[i], `\|`, "|"))
		}
		switch {
		case header == nil:
			header = cells
		case strings.HasPrefix(line, "|---"):
		default:
			for i, cell := range cells[:min(len(cells), len(header))] {
				columns[header[i]] = append(columns[header[i]], inCode(cell)...)
			}
			rows = append(rows, append([]string{header[len(header)-1]}, cells...))
		}
	}
	return columns, rows
}

func inCode(cell string) []string {
	var found []string
	for _, span := range spans.FindAllStringSubmatch(cell, -1) {
		found = append(found, span[1])
	}
	return found
}

// sources are the files of packages, as they were written, by their paths below the root. Tests are none.
type sources map[string]*ast.File

func readSources(t *testing.T, dirs ...string) sources {
	t.Helper()
	all := sources{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files in %s: %v", dir, err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			all[strings.TrimPrefix(filepath.ToSlash(path), root+"/")] = file
		}
	}
	return all
}

// A constant is a string with a name.
type constant struct{ file, name, kind, value string }

// constants are those of files that are strings. One that is another constant has the value of that.
func (s sources) constants() []constant {
	var all []constant
	byName := map[string]string{}
	for _, path := range slices.Sorted(maps.Keys(s)) {
		for _, decl := range s[path].Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				values := spec.(*ast.ValueSpec)
				kind, _ := values.Type.(*ast.Ident)
				for i, name := range values.Names[:len(values.Values)] {
					text, ok := literal(values.Values[i])
					if other, isOther := values.Values[i].(*ast.SelectorExpr); isOther {
						text, ok = byName[other.Sel.Name]
					}
					if !ok {
						continue
					}
					c := constant{file: path, name: name.Name, value: text}
					if kind != nil {
						c.kind = kind.Name
					}
					byName[c.name] = text
					all = append(all, c)
				}
			}
		}
	}
	return all
}

// literal is the text of an expression that is one, with %v for what is not known before it runs.
func literal(e ast.Expr) (string, bool) {
	switch x := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(x.Value)
		return text, err == nil && x.Kind == token.STRING
	case *ast.ParenExpr:
		return literal(x.X)
	case *ast.CallExpr:
		if f, ok := x.Fun.(*ast.SelectorExpr); ok && (f.Sel.Name == "Sprintf" || f.Sel.Name == "Errorf") {
			return literal(x.Args[0])
		}
	case *ast.BinaryExpr:
		left, isLeft := literal(x.X)
		right, isRight := literal(x.Y)
		if x.Op != token.ADD || !isLeft && !isRight {
			return "", false
		}
		if !isLeft {
			left = "%v"
		}
		if !isRight {
			right = "%v"
		}
		return left + right, true
	}
	return "", false
}

// texts calls with every text of a part of a file, but for imports and tags.
func texts(n ast.Node, found func(text string)) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			return x.Tag == nil
		case ast.Expr:
			text, ok := literal(x)
			if ok {
				found(text)
			}
			_, isCall := x.(*ast.CallExpr) // it may have others among its arguments
			return !ok || isCall
		}
		return true
	})
}

var (
	verbs        = regexp.MustCompile(`%[-+#0-9.]*[a-zA-Z]`)
	placeholders = regexp.MustCompile(`<[^<>=]*>`)
	several      = regexp.MustCompile(`<>( <>)+`)
	words        = regexp.MustCompile(`[A-Za-z']{2,}`)
)

// constantParts is a text with <> for whatever differs from one to the next, without what stands before and behind its words. What
// is one in the page, and put together in the code, is alike for that.
func constantParts(text string) string {
	const part = "<>"
	text = strings.ReplaceAll(text, "%q", `"%v"`)
	text = verbs.ReplaceAllString(strings.ReplaceAll(text, "%%", "\x00"), part)
	text = placeholders.ReplaceAllString(strings.ReplaceAll(text, "\x00", "%"), part)
	text = several.ReplaceAllString(text, part)
	for before := ""; before != text; {
		before = text
		text = strings.TrimPrefix(strings.TrimSuffix(strings.Trim(text, ` ,:;"()`), part), part)
	}
	return text
}

func withoutAdvice(text string) string {
	text, _, _ = strings.Cut(text, ";")
	return text
}

// isSentence reports whether a text is more than a name.
func isSentence(text string) bool {
	text = constantParts(text)
	return strings.Contains(text, " ") && len(words.FindAllString(text, 2)) > 1
}

// alike reports what only one of the page and the code has.
func alike(t *testing.T, what string, page, code []string) {
	t.Helper()
	page, code = slices.Compact(slices.Sorted(slices.Values(page))), slices.Compact(slices.Sorted(slices.Values(code)))
	contained(t, what+" is in docs/wire.md, and not in the code", page, code)
	contained(t, what+" is in the code, and not in docs/wire.md", code, page)
}

func contained(t *testing.T, complaint string, some, all []string) {
	t.Helper()
	if len(some) == 0 {
		t.Errorf("nothing is there to compare: %s", complaint)
	}
	for _, one := range some {
		if !slices.Contains(all, one) {
			t.Errorf("%s: %q", complaint, one)
		}
	}
}

// TestWireEnumerations: the values of docs/wire.md are those of the types, and what is said of each is said of all.
func TestWireEnumerations(t *testing.T) {
	page, rows := readTables(t, root+"/docs/wire.md")
	code := map[string][]string{}
	for _, c := range readSources(t, "api/v1beta1", "api/v1alpha1").constants() {
		if c.kind != "" && c.value != "" {
			code[c.kind] = append(code[c.kind], c.value)
		}
	}
	listed, byTitle := map[string][]string{}, map[string][]string{}
	for _, row := range rows {
		if row[0] == "values" {
			kind := inCode(row[2])[0]
			listed[kind] = append(listed[kind], inCode(row[3])...)
			byTitle[row[1]] = inCode(row[3])
		}
	}
	alike(t, "a type", slices.Collect(maps.Keys(listed)), slices.Collect(maps.Keys(code)))
	for kind, values := range listed {
		alike(t, "a value of "+kind, values, code[kind])
	}
	alike(t, "a phase of a Rollout (4.1)", page["phase"], byTitle["phase of a Rollout"])
	alike(t, "a step state (4.3)", page["state"], code["CanaryStepState"])
	alike(t, "a finalising step (4.11)", page["order"], code["FinalisingStepType"])
	alike(t, "a condition (4.14)", page["condition"], code["RolloutConditionType"])
}

// TestFieldsNameTheirValues: of every enumeration, the comments of the fields that have it name all values, for kubectl explain.
func TestFieldsNameTheirValues(t *testing.T) {
	files := readSources(t, "api/v1beta1", "api/v1alpha1")
	comments := map[string]string{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			field, ok := n.(*ast.Field)
			if !ok || field.Tag == nil {
				return true
			}
			kind := field.Type
			if imported, ok := kind.(*ast.SelectorExpr); ok {
				kind = imported.Sel
			}
			if name, ok := kind.(*ast.Ident); ok {
				comments[name.Name] += field.Doc.Text()
			}
			return true
		})
	}
	for _, c := range files.constants() {
		if c.kind != "" && !strings.Contains(comments[c.kind], c.value) {
			t.Errorf("no field of type %s says that it may be %s", c.kind, c.value)
		}
	}
}

// TestWireKeys: every annotation, label and finalizer with our domain is in docs/wire.md, written out.
func TestWireKeys(t *testing.T) {
	page, _ := readTables(t, root+"/docs/wire.md")
	var code []string
	ours := regexp.MustCompile(`^([a-z]+\.)?rollouts\.kruise\.io/[a-z-]*$`)
	for _, file := range readSources(t, "api/v1beta1", "api/v1alpha1", "internal/plan", "internal/plan/admission", "internal/workload",
		"internal/traffic", "internal/controller", "internal/webhook", "internal/cli", "internal/view", "cmd/manager") {
		texts(file, func(text string) {
			if ours.MatchString(text) {
				code = append(code, text)
			}
		})
	}
	of := func(key string) string { return placeholders.ReplaceAllString(key, "") }
	var keys []string
	for _, key := range page["key"] {
		if key = of(key); strings.Contains(key, "rollouts.kruise.io/") {
			keys = append(keys, key)
		}
	}
	alike(t, "a key", keys, code)
}

// TestWireReasons: the reasons of conditions and events are those of docs/wire.md, and each has a name in the code.
func TestWireReasons(t *testing.T) {
	page, _ := readTables(t, root+"/docs/wire.md")
	var conditions, events []string
	for _, c := range readSources(t, "api/v1beta1", "internal/plan").constants() {
		switch {
		case c.kind == "EventReason":
			events = append(events, c.value)
		case strings.HasPrefix(c.name, "Reason"):
			conditions = append(conditions, c.value)
		}
	}
	alike(t, "a reason of a condition (4.14)", page["reasons"], conditions)
	alike(t, "a reason of an event (4.15)", page["event"], events)

	bare := func(path string, e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && regexp.MustCompile(`^"[A-Z][a-zA-Z]*"$`).MatchString(lit.Value) {
			t.Errorf("%s: the reason %s has no name; make it a constant", path, lit.Value)
		}
	}
	for path, file := range readSources(t, "internal/plan", "internal/plan/admission", "internal/controller", "internal/webhook") {
		ast.Inspect(file, func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := x.Key.(*ast.Ident); ok && strings.EqualFold(key.Name, "reason") {
					bare(path, x.Value)
				}
			case *ast.CallExpr:
				if f, ok := x.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"warn", "reason", "Event", "Eventf"}, f.Sel.Name) {
					for _, argument := range x.Args {
						bare(path, argument)
					}
				}
			}
			return true
		})
	}
}

// TestWireMessages: what a status, an event or an answer of admission says is in docs/wire.md, and what that lists is said.
func TestWireMessages(t *testing.T) {
	page, _ := readTables(t, root+"/docs/wire.md")
	everything := readSources(t, "internal/plan", "internal/plan/admission", "internal/controller", "internal/workload", "internal/traffic", "internal/webhook")
	for _, c := range []struct {
		column string
		cut    func(string) string
		in     func(path string, file *ast.File, found func(string)) // the texts that have to be listed
	}{
		{"message", func(text string) string { return text }, statusTexts},
		{"text", withoutAdvice, validationTexts},
		{"warning", withoutAdvice, warningTexts},
	} {
		t.Run(c.column, func(t *testing.T) {
			var listed, said, all []string
			for _, text := range page[c.column] {
				listed = append(listed, constantParts(c.cut(text)))
			}
			for path, file := range everything {
				texts(file, func(text string) { all = append(all, constantParts(c.cut(text))) })
				c.in(path, file, func(text string) {
					if text = c.cut(text); isSentence(text) {
						said = append(said, constantParts(text))
					}
				})
			}
			contained(t, fmt.Sprintf("a %s is in docs/wire.md, and not in the code", c.column), listed, all)
			contained(t, fmt.Sprintf("a %s is in the code, and not in docs/wire.md", c.column), said, listed)
		})
	}
}

// statusTexts are all of the planner, those about writes that the cluster does not take, and the events of the loop.
func statusTexts(path string, file *ast.File, found func(string)) {
	switch filepath.ToSlash(filepath.Dir(path)) {
	case "internal/plan":
		texts(file, found)
	case "internal/controller":
		if filepath.Base(path) == "attempts.go" {
			texts(file, found)
		}
		argumentsOf(file, "warn", found)
	}
}

// validationTexts are the last arguments of errors about fields, and what becomes one.
func validationTexts(path string, file *ast.File, found func(string)) {
	if !strings.HasPrefix(path, "internal/plan/admission/validate") {
		return
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.CallExpr:
			f, _ := x.Fun.(*ast.SelectorExpr)
			local, _ := x.Fun.(*ast.Ident)
			if f != nil && slices.Contains([]string{"Invalid", "Required", "Forbidden"}, f.Sel.Name) || local != nil && (local.Name == "invalid" || local.Name == "forbid") {
				texts(x.Args[len(x.Args)-1], found)
			}
		case *ast.AssignStmt:
			for i, left := range x.Lhs {
				if name, ok := left.(*ast.Ident); ok && name.Name == "text" && i < len(x.Rhs) {
					texts(x.Rhs[i], found)
				}
			}
		}
		return true
	})
}

// warningTexts are what admission says next to its answer.
func warningTexts(path string, file *ast.File, found func(string)) {
	switch path {
	case "internal/plan/admission/hold.go":
		texts(file, found)
	case "internal/webhook/signing.go", "internal/webhook/workload.go":
		argumentsOf(file, "WithWarnings", found)
	}
}

func argumentsOf(file *ast.File, method string, found func(string)) {
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == method {
				for _, argument := range call.Args {
					texts(argument, found)
				}
			}
		}
		return true
	})
}
