// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

var pods = Pods{RevisionKey: "pod-template-hash"}

func aService(t *rapid.T) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: "shop", Labels: map[string]string{"app": "api"}, Annotations: map[string]string{"a": "b"}, ResourceVersion: "3"},
		Spec: corev1.ServiceSpec{
			Selector:  map[string]string{"app": "api"},
			ClusterIP: "10.0.0.1", ClusterIPs: []string{"10.0.0.1"}, ExternalIPs: []string{"1.2.3.4"}, LoadBalancerIP: "1.2.3.5",
			IPFamilies:      []corev1.IPFamily{corev1.IPv4Protocol},
			SessionAffinity: rapid.SampledFrom([]corev1.ServiceAffinity{corev1.ServiceAffinityNone, corev1.ServiceAffinityClientIP}).Draw(t, "affinity"),
			Type:            rapid.SampledFrom([]corev1.ServiceType{corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer}).Draw(t, "type"),
		},
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "ports") {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: int32(80 + i), Protocol: corev1.ProtocolTCP, NodePort: int32(30000 + i)})
	}
	if rapid.Bool().Draw(t, "headless") {
		s.Spec.ClusterIP, s.Spec.ClusterIPs = corev1.ClusterIPNone, []string{corev1.ClusterIPNone}
	}
	return s
}

// TestServiceLaws: what holds for routers holds for Services.
func TestServiceLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		user := Services{Stable: aService(t)}
		before := text(user)
		revision := rapid.SampledFrom([]string{"", "v1", "v2"})
		one, two := Setting{Pin: revision.Draw(t, "pin"), Canary: revision.Draw(t, "canary")}, Setting{Pin: revision.Draw(t, "next pin"), Canary: revision.Draw(t, "next canary")}
		to := func(have Services, s Setting) Services {
			want, err := config.Render(have, s, pods)
			must(t, err)
			return want
		}
		same := func(what string, got Services, want string) {
			if text(got) != want {
				t.Fatalf("%s:\n got %s\nwant %s", what, text(got), want)
			}
		}
		first := to(user, one)
		same("what it was given is changed", user, before)
		same("rendering twice is not rendering once", to(first, one), text(first))
		same("from one to another is not as from nothing", to(first, two), text(to(user, two)))
		same("it does not come back", to(first, Setting{}), before)

		if first.Canary != nil { // what the cluster assigns stays
			c := first.Canary.DeepCopy()
			c.ResourceVersion, c.Finalizers, c.Annotations["cloud"] = "9", []string{"cloud"}, "x"
			if c.Spec.ClusterIP == "" {
				c.Spec.ClusterIP, c.Spec.ClusterIPs = "10.0.0.9", []string{"10.0.0.9"}
			}
			c.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
			assigned := Services{Stable: first.Stable, Canary: c}
			same("what the cluster assigned does not survive", to(assigned, one), text(assigned))
		}
	})
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestService(t *testing.T) {
	stable := func() *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: "shop"},
			Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "api", "track": "main"}, ClusterIP: "10.0.0.1", Ports: []corev1.ServicePort{{Port: 80, NodePort: 30000}}},
		}
	}
	for name, test := range map[string]struct {
		config  Config
		have    Services
		setting Setting
		pods    Pods
		want    string // canary's selector, "" none
		pinned  string
		err     string
	}{
		"pinned":                           {config, Services{Stable: stable()}, Setting{Pin: "v1"}, pods, "", "v1", ""},
		"canary":                           {config, Services{Stable: stable()}, Setting{Pin: "v1", Canary: "v2"}, pods, `{"app":"api","pod-template-hash":"v2","track":"main"}`, "v1", ""},
		"labels of the canary's pods":      {config, Services{Stable: stable()}, Setting{Canary: "v2"}, Pods{RevisionKey: "pod-template-hash", Labels: map[string]string{"track": "canary", "new": "x"}}, `{"app":"api","pod-template-hash":"v2","track":"canary"}`, "", ""},
		"labels added by the feature gate": {config, Services{Stable: stable()}, Setting{Canary: "v2"}, Pods{RevisionKey: "pod-template-hash", Labels: map[string]string{"new": "x"}, AddLabels: true}, `{"app":"api","new":"x","pod-template-hash":"v2","track":"main"}`, "", ""},
		"one Service for both":             {shared, Services{Stable: stable()}, Setting{Pin: "v1", Canary: "v2"}, pods, "", "", ""},
		"no Service, nothing asked":        {config, Services{}, Setting{Pin: "v1"}, pods, "", "", ""},
		"no Service":                       {config, Services{}, Setting{Canary: "v2"}, pods, "", "", "Service api does not exist"},
		"no selector":                      {config, Services{Stable: &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "api"}}}, Setting{Pin: "v1"}, pods, "", "", "Service api has no selector; it cannot be pinned to a revision"},
		"someone else's canary":            {config, Services{Stable: stable(), Canary: stable()}, Setting{Canary: "v2"}, pods, "", "", "was not made by this release"},
		"someone else's canary is left":    {config, Services{Stable: stable(), Canary: stable()}, Setting{}, pods, `{"app":"api","track":"main"}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.config.Render(test.have, test.setting, test.pods)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			selector := ""
			if got.Canary != nil {
				selector = text(got.Canary.Spec.Selector)
			}
			if selector != test.want {
				t.Errorf("the canary selects %s, want %s", selector, test.want)
			}
			if got.Stable != nil && got.Stable.Spec.Selector["pod-template-hash"] != test.pinned {
				t.Errorf("pinned to %q, want %q", got.Stable.Spec.Selector["pod-template-hash"], test.pinned)
			}
		})
	}
}

// TestNobodyActsOnACanaryService: what makes other controllers act on a Service is not copied, and everything else is.
func TestNobodyActsOnACanaryService(t *testing.T) {
	user := &corev1.Service{ObjectMeta: metav1.ObjectMeta{
		Name: "api", Namespace: "shop",
		Labels: map[string]string{"app": "api", "app.kubernetes.io/instance": "shop", "argocd.argoproj.io/instance": "shop", "kustomize.toolkit.fluxcd.io/name": "shop"},
		Annotations: map[string]string{
			"prometheus.io/scrape": "true", "service.kubernetes.io/topology-mode": "Auto", "traefik.ingress.kubernetes.io/service.sticky.cookie": "true",
			"external-dns.alpha.kubernetes.io/hostname": "a.example.com", "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-id": "lb-1",
			"service.beta.kubernetes.io/aws-load-balancer-type": "nlb", "cloud.google.com/neg": "{}", "metallb.io/address-pool": "a",
			"service.kubernetes.io/qcloud-loadbalancer-internal-subnetid": "s", "kubernetes.io/elb.id": "e",
			"argocd.argoproj.io/tracking-id": "shop:/Service:shop/api", "meta.helm.sh/release-name": "shop", corev1.LastAppliedConfigAnnotation: "{}",
		},
	}}
	user.Spec = corev1.ServiceSpec{
		Selector: map[string]string{"app": "api"}, Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: new("example.com/lb"), LoadBalancerSourceRanges: []string{"10.0.0.0/8"},
		AllocateLoadBalancerNodePorts: new(true), ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, HealthCheckNodePort: 30001, SessionAffinity: corev1.ServiceAffinityClientIP,
		Ports: []corev1.ServicePort{{Name: "http", Port: 80, NodePort: 30000}},
	}
	got, err := config.Render(Services{Stable: user}, Setting{Canary: "v2"}, pods)
	if err != nil {
		t.Fatal(err)
	}
	c := got.Canary
	if want := `{"ports":[{"name":"http","port":80,"targetPort":0}],"selector":{"app":"api","pod-template-hash":"v2"},"type":"ClusterIP","sessionAffinity":"ClientIP"}`; text(c.Spec) != want {
		t.Errorf("spec is %s, want %s", text(c.Spec), want)
	}
	if want := `{"app":"api","app.kubernetes.io/instance":"shop"}`; text(c.Labels) != want {
		t.Errorf("labels are %s, want %s", text(c.Labels), want)
	}
	if want := `{"prometheus.io/scrape":"true","service.kubernetes.io/topology-mode":"Auto","traefik.ingress.kubernetes.io/service.sticky.cookie":"true"}`; text(c.Annotations) != want {
		t.Errorf("annotations are %s, want %s", text(c.Annotations), want)
	}
}

// TestCanaryService: a copy has nothing that only one Service can have.
func TestCanaryService(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		user := aService(t)
		got, err := config.Render(Services{Stable: user}, Setting{Canary: "v2"}, pods)
		must(t, err)
		c := got.Canary
		if (c.Spec.ClusterIP == corev1.ClusterIPNone) != (user.Spec.ClusterIP == corev1.ClusterIPNone) || c.Spec.ClusterIP == "10.0.0.1" {
			t.Fatalf("clusterIP %q", c.Spec.ClusterIP)
		}
		if c.Spec.LoadBalancerIP != "" || c.Spec.ExternalIPs != nil || c.Spec.IPFamilies != nil || c.ResourceVersion != "" || c.UID != "" {
			t.Fatal("addresses are copied")
		}
		for _, p := range c.Spec.Ports {
			if p.NodePort != 0 {
				t.Fatal("node ports are copied")
			}
		}
		if c.Spec.SessionAffinity != user.Spec.SessionAffinity || c.Spec.Type != corev1.ServiceTypeClusterIP || text(c.Labels) != text(user.Labels) || text(c.Annotations) != text(user.Annotations) {
			t.Fatal("what makes a Service is not copied")
		}
		if !owned(c.OwnerReferences, config.Owner) || c.Name != "api-canary" || c.Namespace != "shop" {
			t.Fatal("whose is it?")
		}
	})
}
