// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// A Tale is a release in two steps, of which the first waits for approval: of all kinds of workloads and routes, where stories are of
// Deployments. Everything in it is called web.
type Tale struct {
	Name     string
	Workload string // its kind, as in workloads
	Strategy string // YAML
	Objects  []string
}

// Change is the patch of a workload that begins the release of a tale.
const Change = `{"metadata":{"labels":{"rollouts.kruise.io/rollout-id":"r1"}},"spec":{"template":{"spec":{"containers":[{"name":"main","image":"web:v2"}]}}}}`

const (
	pods         = `selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: "web:v1"}]}}`
	inSteps      = `{canary: {steps: [{replicas: 1}, {replicas: 100%}]}}`
	plainService = `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}`
	plainIngress = `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {ingressClassName: nginx,
		rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}}`
	virtualService = `{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: web}, spec: {hosts: [web], http: [{route: [{destination: {host: web}}]}]}}`
)

var workloads = map[string]string{
	"Deployment":           `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 3, ` + pods + `}}`,
	"ReplicaSet":           `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web}, spec: {replicas: 3, ` + pods + `}}`,
	"StatefulSet":          `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: web}, spec: {replicas: 3, serviceName: web, ` + pods + `}}`,
	"DaemonSet":            `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: web}, spec: {` + pods + `}}`,
	"CloneSet":             `{apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, metadata: {name: web}, spec: {replicas: 3, ` + pods + `}}`,
	"Advanced StatefulSet": `{apiVersion: apps.kruise.io/v1beta1, kind: StatefulSet, metadata: {name: web}, spec: {replicas: 3, serviceName: web, ` + pods + `}}`,
	"Advanced DaemonSet":   `{apiVersion: apps.kruise.io/v1alpha1, kind: DaemonSet, metadata: {name: web}, spec: {` + pods + `}}`,
}

// Tales are releases of all kinds of workloads, and by all kinds of routes that the chart's roles know.
var Tales = []Tale{
	{"a ReplicaSet", "ReplicaSet", inSteps, nil},
	{"a StatefulSet", "StatefulSet", inSteps, nil},
	{"a DaemonSet", "DaemonSet", inSteps, nil},
	{"a CloneSet", "CloneSet", inSteps, nil},
	{"an Advanced StatefulSet", "Advanced StatefulSet", inSteps, nil},
	{"an Advanced DaemonSet", "Advanced DaemonSet", inSteps, nil},
	{"pods beside a Deployment", "Deployment", `{canary: {enableExtraWorkloadForCanary: true, trafficRoutings: [{service: web, gracePeriodSeconds: 0, ingress: {name: web}}],
		steps: [{replicas: 1, traffic: 50%}, {replicas: 100%}]}}`, []string{plainService, plainIngress}},
	{"blue-green by an HTTPRoute", "Deployment", `{blueGreen: {trafficRoutings: [{service: web, gracePeriodSeconds: 0, gateway: {httpRouteName: web}}],
		steps: [{replicas: 100%, traffic: 50%}, {replicas: 100%, traffic: 100%, pause: {duration: 1}}]}}`, []string{
		plainService, `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: web}, spec: {rules: [{backendRefs: [{group: "", kind: Service, name: web, port: 80, weight: 1}]}]}}`,
		`{apiVersion: autoscaling/v1, kind: HorizontalPodAutoscaler, metadata: {name: web}, spec: {minReplicas: 3, maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web-DisableByRollout}}}`,
	}},
	{"by a GRPCRoute", "Deployment", `{canary: {trafficRoutings: [{service: web, gracePeriodSeconds: 0, gateway: {grpcRouteName: web}}], steps: [{replicas: 1, traffic: 50%}, {replicas: 100%}]}}`, []string{
		plainService, `{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: web}, spec: {rules: [{backendRefs: [{group: "", kind: Service, name: web, port: 80, weight: 1}]}]}}`,
	}},
	{"by a VirtualService", "Deployment", custom("networking.istio.io/v1", "VirtualService"), []string{plainService, virtualService}},
	{"by a DestinationRule", "Deployment", `{canary: {trafficRoutings: [{service: web, gracePeriodSeconds: 0, customNetworkRefs: [
			{apiVersion: networking.istio.io/v1, kind: VirtualService, name: web}, {apiVersion: networking.istio.io/v1, kind: DestinationRule, name: web}]}],
			disableGenerateCanaryService: true, steps: [{replicas: 1, traffic: 50%}, {replicas: 100%}]}}`, []string{
		plainService, virtualService,
		`{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: web}, spec: {host: web, subsets: [{name: stable, labels: {app: web}}]}}`,
	}},
	{"by an ApisixRoute", "Deployment", custom("apisix.apache.org/v2", "ApisixRoute"), []string{
		plainService, `{apiVersion: apisix.apache.org/v2, kind: ApisixRoute, metadata: {name: web}, spec: {http: [{name: all, match: {paths: ["/*"]}, backends: [{serviceName: web, servicePort: 80}]}]}}`,
	}},
	{"by a TraefikService", "Deployment", custom("traefik.io/v1alpha1", "TraefikService"), []string{
		plainService, `{apiVersion: traefik.io/v1alpha1, kind: TraefikService, metadata: {name: web}, spec: {weighted: {services: [{name: web, port: 80}]}}}`,
	}},
	{"by a MeshHTTPRoute", "Deployment", custom("kuma.io/v1alpha1", "MeshHTTPRoute"), []string{
		plainService, `{apiVersion: kuma.io/v1alpha1, kind: MeshHTTPRoute, metadata: {name: web}, spec: {to: [{targetRef: {kind: MeshService, name: web, namespace: NAMESPACE, sectionName: http},
			rules: [{matches: [{path: {type: PathPrefix, value: /}}], default: {backendRefs: [{kind: MeshService, name: web, namespace: NAMESPACE, port: 80}]}}]}]}}`,
	}},
	{"by a TrafficRouting", "Deployment", `{canary: {trafficRoutingRef: front, steps: [{replicas: 1}, {replicas: 100%}]}}`, []string{
		plainService, plainIngress,
		`{apiVersion: rollouts.kruise.io/v1alpha1, kind: TrafficRouting, metadata: {name: front}, spec: {objectRef: [{service: web, gracePeriodSeconds: 0, ingress: {name: web, classType: mse}}],
			strategy: {matches: [{headers: [{name: env, value: gray}]}], requestHeaderModifier: {set: [{name: x-version, value: new}]}}}}`,
	}},
}

// custom is a strategy that routes half of the requests by an object of some kind.
func custom(apiVersion, kind string) string {
	return fmt.Sprintf(`{canary: {trafficRoutings: [{service: web, gracePeriodSeconds: 0, customNetworkRefs: [{apiVersion: %s, kind: %s, name: web}]}], `+
		`steps: [{replicas: 1, traffic: 50%%}, {replicas: 100%%}]}}`, apiVersion, kind)
}

// Given are the objects of a tale in a namespace: the workload is the first, the Rollout the last.
func (t Tale) Given(namespace string) ([]*unstructured.Unstructured, error) {
	objects := []*unstructured.Unstructured{{}}
	if err := yaml.Unmarshal([]byte(workloads[t.Workload]), &objects[0].Object); err != nil {
		return nil, fmt.Errorf("reading a %s: %w", t.Workload, err)
	}
	w := objects[0]
	rollout := fmt.Sprintf(`{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web}, spec: {workloadRef: {apiVersion: %s, kind: %s, name: web}, strategy: %s}}`,
		w.GetAPIVersion(), w.GetKind(), t.Strategy)
	for _, text := range append(slices.Clip(t.Objects), rollout) {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(strings.ReplaceAll(text, "NAMESPACE", namespace)), &o.Object); err != nil {
			return nil, fmt.Errorf("reading an object of %s: %w", t.Name, err)
		}
		objects = append(objects, o)
	}
	for _, o := range objects {
		o.SetNamespace(namespace)
	}
	return objects, nil
}
