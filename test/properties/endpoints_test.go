// SPDX-License-Identifier: Apache-2.0

package properties

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
)

// TestNobodyAnswers: a step is not reached, and no request is routed to the new version, as long as its pods do not answer: they
// lack the port that the Service names, another label has taken them out of it, or they have stopped being ready since.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	for _, style := range []v1beta1.RollingStyleType{v1beta1.PartitionRollingStyle, v1beta1.CanaryRollingStyle, v1beta1.BlueGreenRollingStyle} {
		t.Run(strings.ToLower(string(style)), func(t *testing.T) {
			t.Parallel()
			for name, c := range map[string]struct{ release, mend, says string }{
				"a port renamed": {
					release: `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"example/web:v2","ports":[{"name":"web","containerPort":8080}]}]}}}}`,
					mend:    `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"example/web:v3","ports":[{"name":"http","containerPort":8080}]}]}}}}`,
					says:    "waiting for a ready pod behind Service web-canary",
				},
				"pods that are never ready": {
					release: `{"spec":{"template":{"metadata":{"annotations":{"sandbox.kruise.io/never-ready":"true"}},"spec":{"containers":[{"name":"main","image":"example/web:v2","ports":[{"name":"http","containerPort":8080}]}]}}}}`,
					mend:    `{"spec":{"template":{"metadata":{"annotations":{"sandbox.kruise.io/never-ready":"false"}},"spec":{"containers":[{"name":"main","image":"example/web:v3","ports":[{"name":"http","containerPort":8080}]}]}}}}`,
					says:    "upgrade workload to new version",
				},
			} {
				t.Run(name, func(t *testing.T) { nobodyAnswers(t, style, c.release, c.mend, c.says) })
			}
		})
	}
}

func nobodyAnswers(t *testing.T, style v1beta1.RollingStyleType, release, mend, says string) {
	p := newPoliced(t.Context(), t, deployments(style))
	service, d := named(&corev1.Service{}), named(&appsv1.Deployment{})
	p.Get(t.Context(), "web", service)
	p.Get(t.Context(), "web", d)
	service.Spec.Ports[0] = corev1.ServicePort{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}
	p.must(p.User.Update(t.Context(), service))
	d.Spec.Template.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}
	p.must(p.User.Update(t.Context(), d))
	p.must(p.Until(t.Context(), time.Minute, func() bool { return p.rollout().Status.Phase == v1beta1.PhaseHealthy }))
	p.must(p.Pass(t.Context(), 10*time.Second))
	p.patchDeployment(release)
	before := p.WritesOfManager()
	p.must(p.Pass(t.Context(), 3*time.Minute))
	ro := p.rollout()
	if sub := progress(ro); sub.CurrentStepState == v1beta1.StepPaused || !strings.Contains(ro.Status.Message, says) {
		t.Fatalf("step %d is %s: %s", sub.CurrentStepIndex, sub.CurrentStepState, ro.Status.Message)
	}
	if got, err := shares(t.Context(), p.World, ""); err != nil || got["v1"] != 1 {
		t.Fatalf("requests are answered by %v: %v", got, err)
	}
	if n := p.WritesOfManager() - before; n > 60 {
		t.Errorf("%d writes for a step that waits", n)
	}
	p.patchDeployment(mend)
	p.must(p.Until(t.Context(), 5*time.Minute, func() bool { return progress(p.rollout()).CurrentStepState == v1beta1.StepPaused }))
	if got, err := shares(t.Context(), p.World, ""); err != nil || got["v3"] < 0.099 || got["nobody"] > 0 {
		t.Fatalf("mended, requests are answered by %v: %v", got, err)
	}

	// Once the step is reached its pods stop being ready: nothing is routed to them, until they are again.
	p.unready(true)
	p.must(p.Pass(t.Context(), time.Minute))
	if got, err := shares(t.Context(), p.World, ""); err != nil || got["v1"] != 1 {
		t.Fatalf("with unready pods, requests are answered by %v: %v; %s", got, err, p.rollout().Status.Message)
	}
	if message := p.rollout().Status.Message; !strings.Contains(message, "all traffic is routed to the stable version") {
		t.Errorf("it says %q", message)
	}
	p.unready(false)
	p.must(p.Pass(t.Context(), time.Minute))
	if got, err := shares(t.Context(), p.World, ""); err != nil || got["v3"] < 0.099 || got["nobody"] > 0 {
		t.Fatalf("ready again, requests are answered by %v: %v; %s", got, err, p.rollout().Status.Message)
	}
}

// TestCrashedBehindNoService: pods that crash for good once their step was reached abort a release that is to be aborted for it, although
// no request is routed to them any more.
func TestCrashedBehindNoService(t *testing.T) {
	t.Parallel()
	for _, style := range []v1beta1.RollingStyleType{v1beta1.PartitionRollingStyle, v1beta1.CanaryRollingStyle, v1beta1.BlueGreenRollingStyle} {
		t.Run(strings.ToLower(string(style)), func(t *testing.T) {
			t.Parallel()
			p := newPoliced(t.Context(), t, deployments(style))
			ro := p.rollout()
			beside := &v1beta1.BackgroundAnalysis{Analysis: v1beta1.Analysis{OnFailure: v1beta1.ActionAbort, Pods: &v1beta1.PodCheck{}}}
			if s := &ro.Spec.Strategy; s.BlueGreen != nil {
				s.BlueGreen.Analysis = beside
			} else {
				s.Canary.Analysis = beside
			}
			p.must(p.User.Update(t.Context(), ro))
			p.must(p.Until(t.Context(), time.Minute, func() bool { return p.rollout().Status.Phase == v1beta1.PhaseHealthy }))
			p.patchDeployment(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"example/web:v3"}]}}}}`)
			p.must(p.Until(t.Context(), 5*time.Minute, func() bool { return progress(p.rollout()).CurrentStepState == v1beta1.StepPaused }))
			p.unready(true)
			p.must(p.Pass(t.Context(), time.Minute))
			if message := p.rollout().Status.Message; !strings.Contains(message, "all traffic is routed to the stable version") {
				t.Fatalf("it says %q", message)
			}
			p.PodTrouble = "pod web-1, container main: CrashLoopBackOff"
			p.must(p.Pass(t.Context(), 3*time.Minute))
			ro = p.rollout()
			if got, err := shares(t.Context(), p.World, ""); err != nil || got["v1"] != 1 || !strings.Contains(ro.Status.Message, "Rollout has been aborted") {
				t.Errorf("requests are answered by %v: %v; %s", got, err, ro.Status.Message)
			}
		})
	}
}

func (p *policed) patchDeployment(patch string) {
	p.must(p.User.Patch(p.ctx, named(&appsv1.Deployment{}), client.RawPatch("application/merge-patch+json", []byte(patch))))
}

// unready makes all pods of v3 not ready, or ready again.
func (p *policed) unready(unready bool) {
	pods := &corev1.PodList{}
	p.must(p.List(p.ctx, pods))
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.Spec.Containers[0].Image != image("v3") {
			continue
		}
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		pod.Annotations["sandbox.kruise.io/never-ready"] = fmt.Sprint(unready)
		p.must(p.User.Update(p.ctx, pod))
	}
}
