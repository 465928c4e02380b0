// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// object is one as it is on the wire.
type object = map[string]any

// server is as much of an API server as the plugin needs, and remembers what it was asked.
type server struct {
	*httptest.Server
	t        *testing.T
	versions []string // of Rollouts, the preferred one first

	mu       sync.Mutex
	objects  map[string]object   // by path
	updates  map[string][]object // what a watch shows after the first pass, by path
	requests []string            // all but discovery
	writes   []string
	before   func(path string) // a write: the world may change before it
	warning  string            // sent with every write
	secret   []string          // plurals that this account may not read
	denied   []string          // verbs that this account has not for Rollouts
}

func newServer(t *testing.T, versions ...string) *server {
	t.Helper()
	s := &server{t: t, versions: versions, objects: map[string]object{}, updates: map[string][]object{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// put stores objects where their kind belongs.
func (s *server) put(objects ...object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range objects {
		s.objects[pathOf(o)] = o
	}
}

func pathOf(o object) string {
	version, kind := o["apiVersion"].(string), o["kind"].(string)
	root := "/apis/"
	if !strings.Contains(version, "/") {
		root = "/api/"
	}
	meta := o["metadata"].(object)
	plural := strings.ToLower(kind) + "s"
	if kind == "RolloutHistory" {
		plural = "rollouthistories"
	}
	return fmt.Sprintf("%s%s/namespaces/default/%s/%s", root, version, plural, meta["name"])
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.discover(w, r) {
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.String())
	s.mu.Unlock()
	if verb := verbOf(r); slices.Contains(s.denied, verb) && strings.Contains(r.URL.Path, "/rollouts") {
		failure(w, http.StatusForbidden, "Forbidden", `rollouts is forbidden: User "dev" cannot `+verb+` it`)
		return
	}
	switch {
	case r.Method == http.MethodPatch:
		s.patch(w, r)
	case r.URL.Query().Get("watch") != "":
		s.watch(w, r)
	default:
		s.read(w, r)
	}
}

// verbOf is what the server would ask the roles about.
func verbOf(r *http.Request) string {
	switch {
	case r.URL.Query().Get("watch") != "":
		return "watch"
	case strings.HasSuffix(r.URL.Path, "s"): // a collection
		return "list"
	default:
		return strings.ToLower(r.Method)
	}
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func failure(w http.ResponseWriter, code int, reason, message string) {
	answer(w, code, object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code})
}

func (s *server) read(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, plural := range s.secret {
		if strings.Contains(r.URL.Path, "/"+plural) {
			failure(w, http.StatusForbidden, "Forbidden", plural+` is forbidden: User "dev" cannot read it`)
			return
		}
	}
	if o, found := s.objects[r.URL.Path]; found {
		answer(w, http.StatusOK, o)
		return
	}
	parts := strings.Split(r.URL.Path, "/")
	if parts[len(parts)-2] == "default" {
		version, kind := strings.Join(parts[2:len(parts)-3], "/"), "List"
		if parts[len(parts)-1] == "replicasets" { // typed clients insist
			kind = "ReplicaSetList"
		}
		answer(w, http.StatusOK, object{"kind": kind, "apiVersion": version, "metadata": object{"resourceVersion": "1"}, "items": s.list(r)})
		return
	}
	plural, name := parts[len(parts)-2], parts[len(parts)-1]
	group := map[bool]string{true: "." + parts[2], false: ""}[parts[1] == "apis"]
	failure(w, http.StatusNotFound, "NotFound", fmt.Sprintf("%s%s %q not found", plural, group, name))
}

// list is what a selector and a field selector leave of a collection.
func (s *server) list(r *http.Request) []object {
	items := []object{}
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		s.t.Error(err)
	}
	_, name, byName := strings.Cut(r.URL.Query().Get("fieldSelector"), "metadata.name=")
	for _, path := range slices.Sorted(maps.Keys(s.objects)) {
		meta, _ := s.objects[path]["metadata"].(object)
		set := labels.Set{}
		if l, ok := meta["labels"].(object); ok {
			for k, v := range l {
				set[k] = fmt.Sprint(v)
			}
		}
		if strings.HasPrefix(path, r.URL.Path+"/") && selector.Matches(set) && (!byName || meta["name"] == name) {
			items = append(items, s.objects[path])
		}
	}
	return items
}

// watch shows what there is, that this was all, and then the updates; afterwards it is silent until the client goes.
func (s *server) watch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	send := func(kind string, o object) {
		_ = encoder.Encode(object{"type": kind, "object": o})
	}
	s.mu.Lock()
	items := s.list(r)
	for _, o := range items {
		send("ADDED", o)
	}
	parts := strings.Split(r.URL.Path, "/")
	send("BOOKMARK", object{
		"apiVersion": strings.Join(parts[2:len(parts)-3], "/"), "kind": "Bookmark",
		"metadata": object{"resourceVersion": "1", "annotations": object{metav1.InitialEventsAnnotationKey: "true"}},
	})
	for _, o := range s.updates[r.URL.Path] {
		if o == nil {
			send("DELETED", items[0])
			continue
		}
		send("MODIFIED", o)
	}
	s.mu.Unlock()
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

func (s *server) patch(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	path := strings.TrimSuffix(r.URL.Path, "/status")
	if s.before != nil {
		s.before(path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, fmt.Sprintf("%s %s %s %s", r.Method, r.URL.String(), r.Header.Get("Content-Type"), body))
	old, err := json.Marshal(s.objects[path])
	if err != nil {
		s.t.Error(err)
	}
	patched, err := apply(r.Header.Get("Content-Type"), old, body)
	if err != nil {
		failure(w, http.StatusUnprocessableEntity, "Invalid", "the server rejected our request due to an error in our request")
		return
	}
	o := object{}
	if err := json.Unmarshal(patched, &o); err != nil {
		s.t.Error(err)
	}
	s.objects[path] = o
	if s.warning != "" {
		w.Header().Set("Warning", fmt.Sprintf(`299 - %q`, s.warning))
	}
	answer(w, http.StatusOK, o)
}

func apply(kind string, old, patch []byte) ([]byte, error) {
	if kind == "application/merge-patch+json" {
		return jsonpatch.MergePatch(old, patch)
	}
	p, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, err
	}
	return p.Apply(old)
}

// discover answers what kinds there are.
func (s *server) discover(w http.ResponseWriter, r *http.Request) bool {
	kinds := func(gv string, resources ...[2]string) {
		list := []object{}
		for _, res := range resources {
			list = append(list, object{"name": res[0], "kind": res[1], "singularName": strings.ToLower(res[1]), "namespaced": true, "verbs": []string{"get", "list", "watch", "patch"}})
		}
		answer(w, http.StatusOK, object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": gv, "resources": list})
	}
	group := func(name string, versions ...string) object {
		list := []object{}
		for _, v := range versions {
			list = append(list, object{"groupVersion": name + "/" + v, "version": v})
		}
		return object{"name": name, "versions": list, "preferredVersion": list[0]}
	}
	switch r.URL.Path {
	case "/api":
		answer(w, http.StatusOK, object{"kind": "APIVersions", "versions": []string{"v1"}})
	case "/apis":
		groups := []object{group("apps", "v1")}
		if len(s.versions) > 0 {
			groups = append(groups, group("rollouts.kruise.io", s.versions...), group("argoproj.io", "v1alpha1"), group("apps.kruise.io", "v1alpha1"))
		}
		answer(w, http.StatusOK, object{"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
	case "/api/v1":
		kinds("v1", [2]string{"pods", "Pod"})
	case "/apis/apps/v1":
		kinds("apps/v1", [2]string{"deployments", "Deployment"}, [2]string{"replicasets", "ReplicaSet"})
	case "/apis/argoproj.io/v1alpha1":
		kinds("argoproj.io/v1alpha1", [2]string{"rollouts", "Rollout"})
	case "/apis/apps.kruise.io/v1alpha1":
		kinds("apps.kruise.io/v1alpha1", [2]string{"clonesets", "CloneSet"})
	case "/apis/rollouts.kruise.io/v1beta1", "/apis/rollouts.kruise.io/v1alpha1":
		kinds(strings.TrimPrefix(r.URL.Path, "/apis/"), [2]string{"rollouts", "Rollout"})
	default:
		return false
	}
	return true
}

// result is what a command answered.
type result struct {
	out, err string
	code     int
}

// run runs the plugin against the server, as a user in the namespace default.
func (s *server) run(args ...string) result {
	s.t.Helper()
	home := s.t.TempDir()
	s.t.Setenv("HOME", home)
	s.t.Setenv("KUBECONFIG", filepath.Join(home, "none"))
	out, errOut := &bytes.Buffer{}, &bytes.Buffer{}
	streams := genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: out, ErrOut: errOut}
	code := Run(s.t.Context(), append([]string{"-s", s.URL, "--cache-dir", home}, args...), streams, "v1.2.3")
	return result{out.String(), errOut.String(), code}
}

// check compares a result and the writes it took.
func (s *server) check(got, want result, writes ...string) {
	s.t.Helper()
	if got.code != want.code {
		s.t.Errorf("code %d, want %d", got.code, want.code)
	}
	if got.out != want.out {
		s.t.Errorf("out\n%s\nwant\n%s", got.out, want.out)
	}
	if got.err != want.err {
		s.t.Errorf("err\n%s\nwant\n%s", got.err, want.err)
	}
	if !slices.Equal(s.writes, writes) {
		s.t.Errorf("writes\n%s\nwant\n%s", strings.Join(s.writes, "\n"), strings.Join(writes, "\n"))
	}
}
