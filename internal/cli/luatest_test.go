// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// tried are the files that lua-test is tried on.
var tried = map[string]string{
	"ingress.yaml": `
apiVersion: v1
kind: Service
metadata: {name: web}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, annotations: {a: b}}
spec:
  rules:
  - http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
`,
	"virtualservice.yaml": `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: [web], http: [{route: [{destination: {host: web}}]}]}
`,
	"route.yaml": `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec: {rules: [{backendRefs: [{name: web, port: 80}]}]}
`,
	"grpc.yaml": `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: web}
spec: {rules: [{name: cart, backendRefs: [{name: web, port: 80}]}, {backendRefs: [{name: web, port: 80}]}]}
`,
	"scoped.yaml": `
apiVersion: rollouts.kruise.io/v1beta1
kind: Rollout
metadata: {name: web}
spec:
  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  strategy:
    canary:
      steps: [{replicas: 1, traffic: 30%}]
      trafficRoutings: [{service: web, gateway: {grpcRouteName: web, ruleNames: [cart]}}]
`,
	"split.yaml": `
apiVersion: example.com/v1
kind: Split
metadata: {name: web}
spec: {}
`,
	"rollout.yaml": `
apiVersion: rollouts.kruise.io/v1beta1
kind: Rollout
metadata: {name: web}
spec:
  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  strategy:
    canary:
      steps: [{replicas: 1}, {replicas: 1, traffic: 30%}]
      trafficRoutings: [{service: web, customNetworkRefs: [{apiVersion: networking.istio.io/v1beta1, kind: VirtualService, name: web}]}]
`,
	"old.yaml": `
apiVersion: rollouts.kruise.io/v1alpha1
kind: Rollout
metadata: {name: web}
spec:
  objectRef: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
  strategy:
    canary:
      steps: [{weight: 30, replicas: 1}]
      trafficRoutings: [{service: web, ingress: {name: web, classType: aliyun-alb}}]
`,
	"split.lua":    "obj.data.spec = { [obj.canaryService] = obj.canaryWeight }\nreturn obj.data",
	"broken.lua":   "local a\nreturn a.b",
	"address.lua":  "local at = {}\nfor i = 1, 50 do at[i] = tostring({}) end\nobj.data.spec = { at = at }\nreturn obj.data",
	"listener.lua": "obj.annotations.weight = obj.weight\nreturn obj.annotations",
}

const held = "ok: rendering is idempotent, and restoring returns the original\n"

func TestLuaTest(t *testing.T) {
	canary := func(annotations ...string) string {
		text := "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  annotations:\n"
		for _, a := range annotations {
			text += "    " + a + "\n"
		}
		return text + `  name: web-canary
spec:
  rules:
  - http:
      paths:
      - backend:
          service:
            name: web-canary
            port:
              number: 80
        path: /
        pathType: Prefix
`
	}
	virtual := func(route, routes string) string {
		return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  annotations:
    rollouts.kruise.io/original-spec-configuration: '{"spec":{"hosts":["web"],"http":[{"route":[{"destination":{"host":"web"}}]}]}}'
    rollouts.kruise.io/routed-by: '{"Rollout/lua-test web/web-canary":{"stable":"web","canary":"web-canary","route":` + route + `}}'
  name: web
  namespace: shop
spec:
  hosts:
  - web
  http:
` + routes
	}
	split := `apiVersion: example.com/v1
kind: Split
metadata:
  annotations:
    rollouts.kruise.io/original-spec-configuration: '{"spec":{}}'
    rollouts.kruise.io/routed-by: '{"Rollout/lua-test web/web-canary":{"stable":"web","canary":"web-canary","route":{"weight":20}}}'
  name: web
spec:
  web-canary: 20
`
	thirty := virtual(`{"weight":30}`, "  - route:\n    - destination:\n        host: web\n      weight: 70\n    - destination:\n        host: web-canary\n      weight: 30\n")
	for name, c := range map[string]struct {
		args string
		want result
	}{
		"a share, by the default class": {
			"-f ingress.yaml --weight 20",
			result{canary("a: b", `nginx.ingress.kubernetes.io/canary: "true"`, `nginx.ingress.kubernetes.io/canary-weight: "20"`), held, 0},
		},
		"a header, by a class": {
			"-f ingress.yaml --class aliyun-alb --header user-agent=Android",
			result{canary("a: b", `alb.ingress.kubernetes.io/canary: "true"`, `alb.ingress.kubernetes.io/canary-by-header: user-agent`, `alb.ingress.kubernetes.io/canary-by-header-value: Android`, `alb.ingress.kubernetes.io/order: "1"`), held, 0},
		},
		"an own class": {
			"-f ingress.yaml --script listener.lua --weight 20",
			result{canary("a: b", `weight: "20"`), held, 0},
		},
		"nothing is made for nothing": {"-f ingress.yaml --weight 0", result{"", "nothing is written: without traffic to the new version, no Ingress web-canary is created\n" + held, 0}},
		"a step of v1alpha1": {
			"-f ingress.yaml --rollout old.yaml --step 1",
			result{canary("a: b", `alb.ingress.kubernetes.io/canary: "true"`, `alb.ingress.kubernetes.io/canary-weight: "30"`, `alb.ingress.kubernetes.io/order: "1"`), held, 0},
		},
		"a step":                {"-f virtualservice.yaml --rollout rollout.yaml --step 2", result{thirty, held, 0}},
		"a share":               {"-f virtualservice.yaml --service web --weight 30", result{thirty, held, 0}},
		"by the kind's name":    {"-f virtualservice.yaml --kind VirtualService.networking.istio.io --service web --weight 30", result{thirty, held, 0}},
		"a pattern":             {"-f virtualservice.yaml --service web --header user=~^a", result{virtual(`{"matches":[{"headers":[{"type":"RegularExpression","name":"user","value":"^a"}]}]}`, "  - match:\n    - headers:\n        user:\n          regex: ^a\n    route:\n    - destination:\n        host: web-canary\n  - route:\n    - destination:\n        host: web\n"), held, 0}},
		"an own kind":           {"-f split.yaml --script split.lua --service web --weight 20", result{split, held, 0}},
		"what differs":          {"-f split.yaml --script split.lua --service web --weight 20 --diff", result{split + "---\n--- Split web\n+++ Split web, in the step\n@@ -1,6 +1,10 @@\n apiVersion: example.com/v1\n kind: Split\n metadata:\n+  annotations:\n+    rollouts.kruise.io/original-spec-configuration: '{\"spec\":{}}'\n+    rollouts.kruise.io/routed-by: '{\"Rollout/lua-test web/web-canary\":{\"stable\":\"web\",\"canary\":\"web-canary\",\"route\":{\"weight\":20}}}'\n   name: web\n-spec: {}\n+spec:\n+  web-canary: 20\n", held, 0}},
		"an error has its line": {"-f split.yaml --script broken.lua --service web --weight 20", result{"", "error: script broken.lua:2: attempt to index a non-table object(nil) with key 'b'\n", 1}},
		"no script":             {"-f split.yaml --service web --weight 20", result{"", "error: there is no built-in script for Split.example.com; name yours with --script\n", 1}},
		"a built-in comes first": {
			"-f virtualservice.yaml --script broken.lua --service web --weight 1",
			result{"", "Warning: in a cluster, the built-in script of VirtualService.networking.istio.io is run and not one of yours\nerror: script broken.lua:2: attempt to index a non-table object(nil) with key 'b'\n", 1},
		},
		"what a class cannot": {
			"-f ingress.yaml --header a=b --header c=d",
			result{"", "error: admission would refuse this step: Ingress class nginx cannot match several headers or parameters of one request (match 1); it can route by weight, match headers by value or regular expression (one), match a cookie that is always (canary-by-cookie)\n", 1},
		},
		"no file":       {"--weight 20", result{"", "error: -f is required: the file with the Ingress or the route\n", 1}},
		"no step":       {"-f ingress.yaml", result{"", "error: the step is not known: set --weight, --header, or --rollout and --step\n", 1}},
		"no such step":  {"-f virtualservice.yaml --rollout rollout.yaml --step 3", result{"", "error: --step 3: the Rollout has steps 1 to 2; name its file with --rollout\n", 1}},
		"an empty step": {"-f virtualservice.yaml --rollout rollout.yaml --step 1", result{"", "error: the step routes no traffic: set traffic or matches\n", 1}},
		"no Service":    {"-f split.yaml --script split.lua --weight 20", result{"", "error: the Service is not known: set --service\n", 1}},
		"not named":     {"-f ingress.yaml --rollout rollout.yaml --step 2", result{"", "error: rollout.yaml: no trafficRouting of the Rollout names Ingress web\n", 1}},
		"no Rollout":    {"-f ingress.yaml --rollout split.yaml --step 2", result{"", "error: split.yaml: example.com/v1 Split is no Rollout of rollouts.kruise.io\n", 1}},
		"a bad header":  {"-f ingress.yaml --header a", result{"", "error: --header \"a\": write NAME=VALUE, or NAME=~PATTERN\n", 1}},
		"too much":      {"-f ingress.yaml --weight 101", result{"", "error: traffic \"101%\" is no percentage; write one from 0% to 100%\n", 1}},
	} {
		t.Run(name, func(t *testing.T) {
			inFiles(t)
			s := newServer(t)
			s.check(s.run(append([]string{"rollout", "lua-test"}, strings.Fields(c.args)...)...), c.want)
			if len(s.requests) > 0 {
				t.Errorf("the server was asked: %v", s.requests)
			}
		})
	}
}

// inFiles makes the files the working directory.
func inFiles(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range tried {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

// TestLuaTestOfTables: what the interpreter has addresses for is the same every time, so the laws hold of it, too.
func TestLuaTestOfTables(t *testing.T) {
	inFiles(t)
	got := newServer(t).run("rollout", "lua-test", "-f", "split.yaml", "--script", "address.lua", "--service", "web", "--weight", "20")
	if got.code != 0 || got.err != held || !strings.Contains(got.out, "- table\n") {
		t.Errorf("got %+v", got)
	}
}

// TestLuaTestSaysABrokenLaw: a law that does not hold is an error. No script is known that breaks one.
func TestLuaTestSaysABrokenLaw(t *testing.T) {
	o := &luaTest{shell: &shell{IOStreams: genericiooptions.NewTestIOStreamsDiscard()}}
	if err := o.laws([]error{errors.New("one"), errors.New("two")}); err == nil || err.Error() != "a check failed: one\ntwo" {
		t.Errorf("got %v", err)
	}
}

// TestLuaTestOfGatewayAPI: routes that need no script can be tried, too.
func TestLuaTestOfGatewayAPI(t *testing.T) {
	inFiles(t)
	got := newServer(t).run("rollout", "lua-test", "-f", "route.yaml", "--service", "web", "--weight", "20")
	if got.code != 0 || !strings.Contains(got.out, "name: web-canary\n      port: 80\n      weight: 20") || got.err != held {
		t.Errorf("got %+v", got)
	}
}

// TestLuaTestOfNamedRules: a Rollout names the rules, and the others stay.
func TestLuaTestOfNamedRules(t *testing.T) {
	inFiles(t)
	got := newServer(t).run("rollout", "lua-test", "-f", "grpc.yaml", "--rollout", "scoped.yaml", "--step", "1")
	if got.code != 0 || strings.Count(got.out, "name: web-canary") != 1 || !strings.Contains(got.out, "weight: 30\n    name: cart") {
		t.Errorf("got %+v", got)
	}
}

// TestLuaTestIsFound: by names that are near.
func TestLuaTestIsFound(t *testing.T) {
	s := newServer(t)
	if got := s.run("rollout", "render"); !strings.Contains(got.err, "\tlua-test\n") {
		t.Errorf("got %+v", got)
	}
	if got := s.run("rollout", "lua-test", "--help"); got.code != 0 || !strings.Contains(got.out, "kubectl kruise rollout lua-test -f ingress.yaml --weight 20") {
		t.Errorf("got %+v", got)
	}
}
