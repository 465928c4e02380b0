// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/rollouts/api/v1alpha1"
	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/sim/world"
	"kruise.io/rollouts/test/scenario"
)

// A tale is a release that is played to its end, or tells why it does not get there: of all workloads and routes, where the stories
// are of Deployments.
type tale func(ctx context.Context, s *stage) error

// told is a tale that is a story of a file.
func told(name string) tale {
	return func(ctx context.Context, s *stage) error {
		stories, err := scenario.Load(scenarios)
		if err != nil {
			return err
		}
		for _, story := range stories {
			if story.Name != name {
				continue
			}
			s.outage = true // what is refused may cost requests
			play, err := scenario.Start(ctx, s, story, scenarios)
			if err != nil {
				return err
			}
			if err := play.Run(ctx); err != nil {
				return err
			}
			if err := s.settle(ctx); err != nil {
				return err
			}
			difference, err := play.GivenBack(ctx)
			if difference != "" {
				err = errors.Join(err, errors.New(difference))
			}
			return err
		}
		return fmt.Errorf("there is no story %q", name)
	}
}

const podTemplate = `template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: "web:v1"}]}}`

// workloads are those that are released in tales, by their kind.
var workloads = map[string]string{
	"Deployment":           `{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 3, selector: {matchLabels: {app: web}}, ` + podTemplate + `}}`,
	"ReplicaSet":           `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web}, spec: {replicas: 3, selector: {matchLabels: {app: web}}, ` + podTemplate + `}}`,
	"StatefulSet":          `{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: web}, spec: {replicas: 3, selector: {matchLabels: {app: web}}, ` + podTemplate + `}}`,
	"DaemonSet":            `{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: web}, spec: {selector: {matchLabels: {app: web}}, ` + podTemplate + `}}`,
	"CloneSet":             `{apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, metadata: {name: web}, spec: {replicas: 3, selector: {matchLabels: {app: web}}, ` + podTemplate + `}}`,
	"Advanced StatefulSet": `{apiVersion: apps.kruise.io/v1beta1, kind: StatefulSet, metadata: {name: web}, spec: {replicas: 3, selector: {matchLabels: {app: web}}, ` + podTemplate + `}}`,
	"Advanced DaemonSet":   `{apiVersion: apps.kruise.io/v1alpha1, kind: DaemonSet, metadata: {name: web}, spec: {selector: {matchLabels: {app: web}}, ` + podTemplate + `}}`,
}

const plainService = `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}`

// release is a tale in two steps: a workload, what leads requests to it, and a strategy in YAML.
func release(kind, strategy string, routes ...string) tale {
	return func(ctx context.Context, s *stage) error {
		s.outage = true // gateways are not simulated of all kinds
		if err := s.AddNodes(ctx, 3); err != nil {
			return err
		}
		w, err := s.put(ctx, workloads[kind])
		for i := 0; i < len(routes) && err == nil; i++ {
			_, err = s.put(ctx, routes[i])
		}
		if err == nil {
			_, err = s.put(ctx, fmt.Sprintf(`{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web}, spec: {workloadRef: {apiVersion: %s, kind: %s, name: web}, strategy: %s}}`,
				w.GetAPIVersion(), w.GetKind(), strategy))
		}
		if err != nil {
			return err
		}
		return errors.Join(s.begin(ctx, w), s.finish(ctx))
	}
}

// begin changes the image once the Rollout is healthy, and waits until the first step waits.
func (s *stage) begin(ctx context.Context, w *unstructured.Unstructured) error {
	if err := s.reach(ctx, v1beta1.PhaseHealthy, ""); err != nil {
		return err
	}
	change := `{"metadata":{"labels":{"rollouts.kruise.io/rollout-id":"r1"}},"spec":{"template":{"spec":{"containers":[{"name":"main","image":"web:v2"}]}}}}`
	if err := s.User.Patch(ctx, w, client.RawPatch("application/merge-patch+json", []byte(change))); err != nil {
		return err
	}
	return s.reach(ctx, v1beta1.PhaseProgressing, v1beta1.StepPaused)
}

// finish approves what waits, until the release is over and nothing is left of it.
func (s *stage) finish(ctx context.Context) error {
	ro := &v1beta1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: "web"}}
	s.Get(ctx, "web", ro)
	part := "canaryStatus"
	if ro.Spec.Strategy.BlueGreen != nil {
		part = "blueGreenStatus"
	}
	approval := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"status":{%q:{"currentStepState":"StepReady"}}}`, part))
	if err := s.User.Status().Patch(ctx, ro, approval); err != nil {
		return err
	}
	if err := s.reach(ctx, v1beta1.PhaseHealthy, v1beta1.StepCompleted); err != nil {
		return err
	}
	return s.Until(ctx, time.Minute, func() bool { return !s.Get(ctx, "web", &v1beta1.BatchRelease{}) })
}

func (s *stage) reach(ctx context.Context, phase v1beta1.RolloutPhase, state v1beta1.CanaryStepState) error {
	ro := &v1beta1.Rollout{}
	err := s.Until(ctx, 2*time.Minute, func() bool {
		s.Get(ctx, "web", ro)
		return ro.Status.Phase == phase && (state == "" || stateOf(ro) == state)
	})
	if err != nil {
		return fmt.Errorf("the Rollout is %s %s and not %s %s: %s: %w", ro.Status.Phase, stateOf(ro), phase, state, ro.Status.Message, err)
	}
	return nil
}

func stateOf(ro *v1beta1.Rollout) v1beta1.CanaryStepState {
	if b := ro.Status.BlueGreenStatus; b != nil {
		return b.CurrentStepState
	}
	return ro.Status.CurrentStepState
}

// put creates an object from YAML.
func (s *stage) put(ctx context.Context, text string) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		return nil, err
	}
	o.SetNamespace(world.Namespace)
	return o, s.User.Create(ctx, o)
}

// custom is a strategy that leads half of the requests by an object of some kind.
func custom(apiVersion, kind string) string {
	return fmt.Sprintf(`{canary: {trafficRoutings: [{service: web, gracePeriodSeconds: 0, customNetworkRefs: [{apiVersion: %s, kind: %s, name: web}]}], `+
		`steps: [{replicas: 1, traffic: 50%%}, {replicas: 100%%}]}}`, apiVersion, kind)
}

const inSteps = `{canary: {steps: [{replicas: 1}, {replicas: 100%}]}}`

// tales show what the manager writes, all of it.
var tales = map[string]tale{
	"a Deployment":                    told("approved"),
	"one that is superseded":          told("superseded"),
	"a Deployment on record":          recorded("Deployment"),
	"a ReplicaSet on record":          recorded("ReplicaSet"),
	"a record written over":           writtenOver,
	"pods beside a Deployment":        told("canary-traffic"),
	"blue-green":                      told("bluegreen-traffic"),
	"by an Ingress":                   told("traffic-ingress"),
	"a BatchRelease without Rollout":  told("stand-alone"),
	"by a TrafficRouting":             told("traffic-shared"),
	"by a TrafficRouting and Ingress": sharedIngress,
	"a StatefulSet":                   release("StatefulSet", inSteps),
	"a DaemonSet":                     release("DaemonSet", inSteps),
	"a CloneSet":                      release("CloneSet", inSteps),
	"an Advanced StatefulSet":         release("Advanced StatefulSet", inSteps),
	"an Advanced DaemonSet":           release("Advanced DaemonSet", inSteps),
	"a renamed autoscaler":            renamedAutoscaler,
	"by a GRPCRoute": release("Deployment", `{canary: {trafficRoutings: [{service: web, gracePeriodSeconds: 0, gateway: {grpcRouteName: web}}], steps: [{replicas: 1, traffic: 50%}, {replicas: 100%}]}}`, plainService,
		`{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: web}, spec: {rules: [{backendRefs: [{group: "", kind: Service, name: web, port: 80, weight: 1}]}]}}`),
	"by a VirtualService": release("Deployment", custom("networking.istio.io/v1", "VirtualService"), plainService,
		`{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: web}, spec: {hosts: [web], http: [{route: [{destination: {host: web}}]}]}}`),
	"by a DestinationRule": release("Deployment", `{canary: {trafficRoutings: [{service: web, gracePeriodSeconds: 0, customNetworkRefs: [
			{apiVersion: networking.istio.io/v1, kind: VirtualService, name: web}, {apiVersion: networking.istio.io/v1, kind: DestinationRule, name: web}]}],
			disableGenerateCanaryService: true, steps: [{replicas: 1, traffic: 50%}, {replicas: 100%}]}}`, plainService,
		`{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: web}, spec: {hosts: [web], http: [{route: [{destination: {host: web}}]}]}}`,
		`{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: web}, spec: {host: web, subsets: [{name: stable, labels: {app: web}}]}}`),
	"by an ApisixRoute": release("Deployment", custom("apisix.apache.org/v2", "ApisixRoute"), plainService,
		`{apiVersion: apisix.apache.org/v2, kind: ApisixRoute, metadata: {name: web}, spec: {http: [{name: all, match: {paths: ["/*"]}, backends: [{serviceName: web, servicePort: 80}]}]}}`),
	"by a TraefikService": release("Deployment", custom("traefik.io/v1alpha1", "TraefikService"), plainService,
		`{apiVersion: traefik.io/v1alpha1, kind: TraefikService, metadata: {name: web}, spec: {weighted: {services: [{name: web, port: 80}]}}}`),
	"by a MeshHTTPRoute": release("Deployment", custom("kuma.io/v1alpha1", "MeshHTTPRoute"), plainService,
		`{apiVersion: kuma.io/v1alpha1, kind: MeshHTTPRoute, metadata: {name: web}, spec: {to: [{targetRef: {kind: MeshService, name: web, namespace: default, sectionName: http},
			rules: [{matches: [{path: {type: PathPrefix, value: /}}], default: {backendRefs: [{kind: MeshService, name: web, namespace: default, port: 80}]}}]}]}}`),
}

// recorded wants the release of a kind on record, as a whole.
func recorded(kind string) tale {
	return func(ctx context.Context, s *stage) error {
		if err := release(kind, inSteps)(ctx, s); err != nil {
			return err
		}
		record, err := s.record(ctx)
		if err == nil && !strings.Contains(string(record.Spec.Workload.Data.Raw), unknown) {
			err = fmt.Errorf("what our types do not know is not on record: %s", record.Spec.Workload.Data.Raw)
		}
		return err
	}
}

// record is the only one.
func (s *stage) record(ctx context.Context) (*v1alpha1.RolloutHistory, error) {
	histories := &v1alpha1.RolloutHistoryList{}
	if err := s.List(ctx, histories); err != nil {
		return nil, err
	}
	if n := len(histories.Items); n != 1 {
		return nil, fmt.Errorf("%d releases are on record, want 1", n)
	}
	return &histories.Items[0], nil
}

// writtenOver releases a workload, and another one of its name until its record is written over the first one.
func writtenOver(ctx context.Context, s *stage) error {
	if err := release("Deployment", inSteps)(ctx, s); err != nil {
		return err
	}
	record, err := s.record(ctx)
	if err != nil {
		return err
	}
	last := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"10"}}}`, v1beta1.AnnotationReleaseNumber))
	if err := s.User.Patch(ctx, record, last); err != nil {
		return err
	}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: "web"}}
	if err := s.User.Delete(ctx, d, client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
		return err
	}
	if err := s.Until(ctx, time.Minute, func() bool { return !s.Get(ctx, "web", d) }); err != nil {
		return fmt.Errorf("the Deployment stays: %w", err)
	}
	w, err := s.put(ctx, workloads["Deployment"])
	if err != nil {
		return err
	}
	if err := s.Pass(ctx, time.Minute); err != nil {
		return err
	}
	if err := errors.Join(s.begin(ctx, w), s.finish(ctx)); err != nil {
		return err
	}
	if record, err = s.record(ctx); err == nil && record.Annotations[v1beta1.AnnotationReleaseNumber] != "11" {
		err = fmt.Errorf("the record is of release %s", record.Annotations[v1beta1.AnnotationReleaseNumber])
	}
	return err
}

// renamedAutoscaler has the target of an autoscaler put right that an older version has renamed.
func renamedAutoscaler(ctx context.Context, s *stage) error {
	for _, text := range []string{
		workloads["Deployment"],
		`{apiVersion: autoscaling/v1, kind: HorizontalPodAutoscaler, metadata: {name: web}, spec: {maxReplicas: 9, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web-DisableByRollout}}}`,
		`{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web}, spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {blueGreen: {steps: [{replicas: 100%}, {replicas: 100%}]}}}}`,
	} {
		if _, err := s.put(ctx, text); err != nil {
			return err
		}
	}
	return s.Until(ctx, time.Minute, func() bool {
		scaler := &autoscalingv1.HorizontalPodAutoscaler{}
		return s.Get(ctx, "web", scaler) && !strings.Contains(scaler.Spec.ScaleTargetRef.Name, "DisableByRollout")
	})
}

// sharedIngress leads marked requests by a TrafficRouting that makes an Ingress beside the user's.
func sharedIngress(ctx context.Context, s *stage) error {
	for _, text := range []string{
		plainService,
		`{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {ingressClassName: nginx, rules: [{http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}}`,
		`{apiVersion: rollouts.kruise.io/v1alpha1, kind: TrafficRouting, metadata: {name: front, finalizers: [` + v1beta1.FinalizerProgressingPrefix + `web]},
			spec: {objectRef: [{service: web, gracePeriodSeconds: 0, ingress: {name: web}}], strategy: {weight: 20}}}`,
	} {
		if _, err := s.put(ctx, text); err != nil {
			return err
		}
	}
	beside := func() bool { return s.Get(ctx, "web-canary", &networkingv1.Ingress{}) }
	if err := s.Until(ctx, time.Minute, beside); err != nil {
		return fmt.Errorf("there is no Ingress beside the user's: %w", err)
	}
	t := &v1alpha1.TrafficRouting{ObjectMeta: metav1.ObjectMeta{Namespace: world.Namespace, Name: "front"}}
	if err := s.User.Delete(ctx, t); err != nil {
		return err
	}
	return s.Until(ctx, time.Minute, func() bool { return !beside() })
}
