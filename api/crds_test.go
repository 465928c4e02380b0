// SPDX-License-Identifier: Apache-2.0

package api_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"sigs.k8s.io/yaml"
)

// load reads the generated definition of a resource.
func load(t *testing.T, plural string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "charts", "kruise-rollout", "crds-source", "rollouts.kruise.io_"+plural+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(data, crd); err != nil {
		t.Fatal(err)
	}
	return crd
}

// facts lists what a schema says beyond the types of its fields, a line for each field.
func facts(path string, s *apiextensionsv1.JSONSchemaProps) []string {
	var words []string
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if len(s.Required) > 0 {
		add("needs %s", strings.Join(slices.Sorted(slices.Values(s.Required)), " "))
	}
	if s.Default != nil {
		add("default %s", s.Default.Raw)
	}
	if s.MinLength != nil || s.MaxLength != nil {
		from, to := int64(0), int64(-1)
		if s.MinLength != nil {
			from = *s.MinLength
		}
		if s.MaxLength != nil {
			to = *s.MaxLength
		}
		add("length %d..%d", from, to)
	}
	if s.MaxItems != nil {
		add("max %d", *s.MaxItems)
	}
	if len(s.Enum) > 0 {
		var values []string
		for _, value := range s.Enum {
			values = append(values, strings.Trim(string(value.Raw), `"`))
		}
		add("one of %s", strings.Join(values, " "))
	}
	if s.Pattern != "" && s.Format != "date-time" { // of times every schema says the same (charts, TestSchemasAreDecodable)
		add("matches %s", s.Pattern)
	}
	if s.XListType != nil {
		add("%s %s", *s.XListType, strings.Join(s.XListMapKeys, " "))
	}
	if len(s.XValidations) > 0 {
		add("%d rules", len(s.XValidations))
	}
	if s.XPreserveUnknownFields != nil {
		add("anything")
	}
	if s.XIntOrString {
		add("int or string")
	}
	var lines []string
	if len(words) > 0 {
		lines = append(lines, strings.TrimSpace(strings.TrimPrefix(path, ".")+": "+strings.TrimRight(strings.Join(words, ", "), " ")))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		child := s.Properties[name]
		lines = append(lines, facts(path+"."+name, &child)...)
	}
	if s.Items != nil && s.Items.Schema != nil {
		lines = append(lines, facts(path+"[]", s.Items.Schema)...)
	}
	return lines
}

// header is a header or query parameter to match, at a path.
func header(at string, length int) []string {
	return []string{
		at + ": needs name value",
		at + ".name: length 1..256, matches ^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$",
		at + `.type: default "Exact", one of Exact RegularExpression`,
		at + fmt.Sprintf(".value: length 1..%d", length),
	}
}

// headerModifier is Gateway API's HTTPHeaderFilter, at a path.
func headerModifier(at string) []string {
	lines := []string{at + ".remove: max 16, set"}
	for _, list := range []string{".add", ".set"} {
		lines = append(lines,
			at+list+": max 16, map name",
			at+list+"[]: needs name value",
			at+list+"[].name: length 1..256, matches ^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$",
			at+list+"[].value: length 1..4096")
	}
	return lines
}

// routing is a TrafficRoutingRef, at a path.
func routing(at string) []string {
	return []string{
		at + ": needs service",
		at + ".customNetworkRefs[]: needs apiVersion kind name",
		at + ".gateway.ruleNames: max 16",
		at + ".gracePeriodSeconds: default 3",
		at + ".ingress: needs name",
	}
}

// alphaMatches are the matches of v1alpha1, at a path: headers only, in a plain list.
func alphaMatches(at string) []string {
	return append([]string{at + "[].headers: max 16"}, header(at+"[].headers[]", 4096)...)
}

// asked is what a release has asked for of gateways, at a path of a status.
func asked(at string) []string {
	return slices.Concat([]string{
		at + ".route.matches: max 16",
		at + ".route.matches[].headers: max 16, map name",
		at + ".route.matches[].path: 11 rules",
		at + `.route.matches[].path.type: default "PathPrefix", one of Exact PathPrefix RegularExpression`,
		at + `.route.matches[].path.value: default "/", length 0..1024`,
		at + ".route.matches[].queryParams: max 16, map name",
	},
		header(at+".route.matches[].headers[]", 4096),
		header(at+".route.matches[].queryParams[]", 1024),
		headerModifier(at+".route.requestHeaderModifier"),
		routing(at+".routedWith.routings[]"))
}

// betaStrategy is canary or blueGreen in v1beta1.
func betaStrategy(at string) []string {
	return slices.Concat([]string{
		at + ".failureThreshold: int or string",
		at + ".steps: max 50",
		at + ".steps[].matches: max 16",
		at + ".steps[].matches[].headers: max 16, map name",
		at + ".steps[].matches[].path: 11 rules",
		at + `.steps[].matches[].path.type: default "PathPrefix", one of Exact PathPrefix RegularExpression`,
		at + `.steps[].matches[].path.value: default "/", length 0..1024`,
		at + ".steps[].matches[].queryParams: max 16, map name",
		at + ".steps[].replicas: int or string",
	},
		header(at+".steps[].matches[].headers[]", 4096),
		header(at+".steps[].matches[].queryParams[]", 1024),
		headerModifier(at+".steps[].requestHeaderModifier"),
		routing(at+".trafficRoutings[]"))
}

// The wire contract: kinds, versions, columns in their order, and what each schema asks for beyond types. nextStepIndex
// and finalisingStep are required nowhere: older clients write statuses without them.
func TestDefinitions(t *testing.T) {
	t.Parallel()
	const conditions = "status.conditions[]: needs message reason status type"
	const age = "AGE date .metadata.creationTimestamp"
	release := []string{"status.release: needs number startTime", "status.release.timeline[]: needs time type"}
	rolloutColumns := func(step string) []string {
		return []string{
			"STATUS string .status.phase The rollout status phase",
			"CANARY_STEP integer " + step + ".currentStepIndex The rollout canary status step",
			"CANARY_STATE string " + step + ".currentStepState The rollout canary status step state",
			"MESSAGE string .status.message The rollout canary status message",
			age,
		}
	}
	batchColumns := func(kind string) []string {
		return []string{
			"KIND string " + kind, "PHASE string .status.phase", "BATCH integer .status.canaryStatus.currentBatch",
			"BATCH-STATE string .status.canaryStatus.batchState", age,
		}
	}
	plan := []string{
		"spec.releasePlan: needs enableExtraWorkloadForCanary",
		"spec.releasePlan.batches[]: needs canaryReplicas",
		"spec.releasePlan.batches[].canaryReplicas: int or string",
		"spec.releasePlan.failureThreshold: int or string",
		"status.canaryStatus: needs currentBatch", "status.canaryStatus.largestBatch: int or string",
		conditions,
	}
	type version struct {
		name    string
		storage bool
		columns []string
		facts   []string
	}
	tests := map[string]struct {
		kind, list, singular string
		versions             []version
	}{
		"rollouts": {"Rollout", "RolloutList", "rollout", []version{
			{"v1alpha1", false, rolloutColumns(".status.canaryStatus"), slices.Concat([]string{
				"spec: needs objectRef strategy",
				"spec.disabled: default false",
				"spec.objectRef.workloadRef: needs apiVersion kind name",
				"spec.strategy.canary.failureThreshold: int or string",
				"spec.strategy.canary.steps[].replicas: int or string",
				"status.canaryStatus: needs canaryReadyReplicas canaryReplicas currentStepState podTemplateHash",
				conditions, release[0], release[1],
			}, asked("status.canaryStatus.traffic"), alphaMatches("spec.strategy.canary.steps[].matches"), headerModifier("spec.strategy.canary.steps[].requestHeaderModifier"),
				routing("spec.strategy.canary.trafficRoutings[]"))},
			{"v1beta1", true, rolloutColumns(".status"), slices.Concat([]string{
				"spec: needs strategy workloadRef",
				"spec.disabled: default false",
				"spec.workloadRef: needs apiVersion kind name",
				"status: needs currentStepIndex currentStepState",
				"status.blueGreenStatus: needs currentStepState podTemplateHash updatedReadyReplicas updatedReplicas",
				"status.canaryStatus: needs canaryReadyReplicas canaryReplicas currentStepState podTemplateHash",
				conditions, release[0], release[1],
			}, asked("status.canaryStatus.traffic"), asked("status.blueGreenStatus.traffic"), betaStrategy("spec.strategy.canary"), betaStrategy("spec.strategy.blueGreen"))},
		}},
		"batchreleases": {"BatchRelease", "BatchReleaseList", "batchrelease", []version{
			{"v1alpha1", false, batchColumns(".spec.targetReference.workloadRef.kind"), slices.Concat(plan, []string{
				"spec: needs releasePlan targetReference", "spec.targetReference.workloadRef: needs apiVersion kind name",
			})},
			{"v1beta1", true, batchColumns(".spec.workloadRef.kind"), slices.Concat(plan, []string{
				"spec: needs releasePlan", "spec.workloadRef: needs apiVersion kind name",
			})},
		}},
		"trafficroutings": {"TrafficRouting", "TrafficRoutingList", "trafficrouting", []version{
			{"v1alpha1", true, []string{
				"STATUS string .status.phase The TrafficRouting status phase", "MESSAGE string .status.message The TrafficRouting message", age,
			}, slices.Concat([]string{"spec: needs objectRef strategy"}, routing("spec.objectRef[]"), routing("status.routedWith.routings[]"),
				alphaMatches("spec.strategy.matches"), headerModifier("spec.strategy.requestHeaderModifier"))},
		}},
		"rollouthistories": {"RolloutHistory", "RolloutHistoryList", "rollouthistory", []version{
			{"v1alpha1", true, nil, []string{
				"spec.rollout: needs name rolloutID", "spec.rollout.data: anything",
				"spec.service: needs name", "spec.service.data: anything",
				"spec.trafficRouting.httpRoute: needs name", "spec.trafficRouting.httpRoute.data: anything",
				"spec.trafficRouting.ingress: needs name", "spec.trafficRouting.ingress.data: anything",
				"spec.workload: needs name", "spec.workload.data: anything",
				"spec.release: needs number startTime", "spec.release.timeline[]: needs time type", "spec.release.template: anything",
			}},
		}},
	}
	for plural, want := range tests {
		t.Run(plural, func(t *testing.T) {
			t.Parallel()
			crd := load(t, plural)
			names := apiextensionsv1.CustomResourceDefinitionNames{
				Plural: plural, Kind: want.kind, ListKind: want.list, Singular: want.singular, // no shortNames, no categories
			}
			if got := fmt.Sprintf("%+v", crd.Spec.Names); got != fmt.Sprintf("%+v", names) {
				t.Errorf("names are %s, want %+v", got, names)
			}
			if crd.Name != plural+".rollouts.kruise.io" || crd.Spec.Group != "rollouts.kruise.io" || crd.Spec.Scope != apiextensionsv1.NamespaceScoped {
				t.Errorf("got %s, group %s, %s", crd.Name, crd.Spec.Group, crd.Spec.Scope)
			}
			if len(crd.Spec.Versions) != len(want.versions) {
				t.Fatalf("got %d versions, want %d", len(crd.Spec.Versions), len(want.versions))
			}
			for i, want := range want.versions {
				got := crd.Spec.Versions[i]
				if got.Name != want.name || !got.Served || got.Storage != want.storage {
					t.Errorf("version %d is %s, served %t, storage %t", i, got.Name, got.Served, got.Storage)
				}
				if plural == "rollouthistories" { // a record, its status included, is one write of the manager
					if got.Subresources != nil {
						t.Errorf("%s: subresources are %+v, want none", got.Name, got.Subresources)
					}
				} else if got.Subresources == nil || got.Subresources.Status == nil || got.Subresources.Scale != nil {
					t.Errorf("%s: subresources are %+v, want just status", got.Name, got.Subresources)
				}
				var columns []string
				for _, column := range got.AdditionalPrinterColumns {
					columns = append(columns, strings.TrimSpace(column.Name+" "+column.Type+" "+column.JSONPath+" "+column.Description))
				}
				if !slices.Equal(columns, want.columns) {
					t.Errorf("%s: columns are\n%q, want\n%q", got.Name, columns, want.columns)
				}
				compare(t, got.Name, contract(facts("", got.Schema.OpenAPIV3Schema)), want.facts)
				structural(t, got.Schema.OpenAPIV3Schema)
			}
		})
	}
}

// contract leaves out what other implementations do not have: analyses are described in docs/api.md only.
func contract(facts []string) []string {
	return slices.DeleteFunc(facts, func(fact string) bool {
		return strings.Contains(fact, ".analysis") || strings.Contains(fact, ".webhooks") || strings.HasPrefix(fact, "status.approval") || strings.HasPrefix(fact, "status.blockers") || strings.HasPrefix(fact, "spec.progressDeadlineSeconds")
	})
}

// TestFieldsAreDescribed: kubectl explain has a sentence to say of every field.
func TestFieldsAreDescribed(t *testing.T) {
	t.Parallel()
	for _, plural := range []string{"rollouts", "batchreleases", "trafficroutings", "rollouthistories", "analysistemplates", "clusteranalysistemplates"} {
		for _, version := range load(t, plural).Spec.Versions {
			for _, path := range undescribed(version.Name, version.Schema.OpenAPIV3Schema) {
				t.Errorf("%s: nothing is said of %s", plural, path)
			}
		}
	}
}

// undescribed are the fields of which a schema says less than a sentence. Metadata is the API server's.
func undescribed(path string, s *apiextensionsv1.JSONSchemaProps) []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		child, at := s.Properties[name], path+"."+name
		if name != "metadata" && !strings.Contains(strings.TrimSuffix(child.Description, "."), " ") {
			found = append(found, at)
		}
		found = append(found, undescribed(at, &child)...)
	}
	if s.Items != nil && s.Items.Schema != nil {
		found = append(found, undescribed(path+"[]", s.Items.Schema)...)
	}
	return found
}

// compare names the lines that are in one list only.
func compare(t *testing.T, version string, got, want []string) {
	t.Helper()
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("%s has the unwanted %q", version, line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("%s lacks %q", version, line)
		}
	}
}

// structural fails unless the API server can prune and default by the schema.
func structural(t *testing.T, s *apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	internal := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(s, internal, nil); err != nil {
		t.Fatal(err)
	}
	structural, err := schema.NewStructural(internal)
	if err != nil {
		t.Fatal(err)
	}
	if errs := schema.ValidateStructural(nil, structural); len(errs) > 0 {
		t.Error(errs.ToAggregate())
	}
}
