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
			c.ResourceVersion, c.Finalizers, c.Annotations["cloud.example.com/lb"] = "9", []string{"cloud"}, "x"
			if c.Spec.ClusterIP == "" {
				c.Spec.ClusterIP, c.Spec.ClusterIPs = "10.0.0.9", []string{"10.0.0.9"}
			}
			c.Labels["cloud.example.com/lb"] = "x"
			assigned := Services{Stable: first.Stable, Canary: c}
			same("what the cluster assigned does not survive", to(assigned, one), text(assigned))
			made := assigned.Stable.DeepCopy() // anew by its owner, since
			made.Spec.ClusterIP, made.Spec.ClusterIPs = corev1.ClusterIPNone, []string{corev1.ClusterIPNone}
			if again := to(Services{Stable: made, Canary: c}, one).Canary; again != nil && again.Spec.ClusterIP != c.Spec.ClusterIP {
				t.Fatalf("the address %q becomes %q, which the API server refuses", c.Spec.ClusterIP, again.Spec.ClusterIP)
			}
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
	made := func() *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "api-canary", OwnerReferences: []metav1.OwnerReference{config.Owner}}, Spec: corev1.ServiceSpec{Selector: map[string]string{"made": "x"}}}
	}
	lost := func(kind corev1.ServiceType, selector map[string]string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "api"}, Spec: corev1.ServiceSpec{Type: kind, Selector: selector}}
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
		"a name outside":                   {config, Services{Stable: &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "api"}, Spec: corev1.ServiceSpec{Type: "ExternalName", ExternalName: "db.example.com", Selector: map[string]string{"app": "api"}}}}, Setting{Pin: "v1"}, pods, "", "", "Service api is of type ExternalName: requests go to db.example.com and not to pods; make it a ClusterIP Service, or use another Service"},
		"no selector":                      {config, Services{Stable: &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "api"}}}, Setting{Pin: "v1"}, pods, "", "", "Service api has no selector; it cannot be pinned to a revision"},
		"someone else's canary":            {config, Services{Stable: stable(), Canary: stable()}, Setting{Canary: "v2"}, pods, "", "", "was not made by this release"},
		"someone else's canary is left":    {config, Services{Stable: stable(), Canary: stable()}, Setting{}, pods, `{"app":"api","track":"main"}`, "", ""},
		"back: no Service":                 {config, Services{Canary: made()}, Setting{Canary: "v2", Back: true}, pods, `{"made":"x"}`, "", ""},
		"back: no selector":                {config, Services{Stable: lost("", nil), Canary: made()}, Setting{Canary: "v2", Back: true}, pods, `{"made":"x"}`, "", ""},
		"back: no selector, pinned":        {config, Services{Stable: lost("", nil), Canary: made()}, Setting{Pin: "v1", Canary: "v2", Back: true}, pods, `{"made":"x"}`, "", ""},
		"back: no selector, nothing left":  {config, Services{Stable: lost("", nil), Canary: made()}, Setting{Back: true}, pods, "", "", ""},
		"back: a name outside":             {config, Services{Stable: lost("ExternalName", nil), Canary: made()}, Setting{Canary: "v2", Back: true}, pods, `{"made":"x"}`, "", ""},
		"back: a name outside, with a pin": {
			config,
			Services{Stable: lost("ExternalName", map[string]string{"app": "api", "pod-template-hash": "v1"}), Canary: made()},
			Setting{Pin: "v1", Canary: "v2", Back: true},
			pods, `{"made":"x"}`, "", "",
		},
		"back: someone else's canary is left": {config, Services{Stable: stable(), Canary: stable()}, Setting{Canary: "v2", Back: true}, pods, `{"app":"api","track":"main"}`, "", ""},
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

// TestNothingButThePin: where somebody has left nothing but the revision in a selector, it is opened to all pods of the workload; without a
// selector nobody would keep its endpoints.
func TestNothingButThePin(t *testing.T) {
	for name, test := range map[string]struct {
		selector, all map[string]string
		want          string
	}{
		"the pin and more":       {map[string]string{"pod-template-hash": "v1", "tier": "web"}, map[string]string{"app": "api"}, `{"tier":"web"}`},
		"the pin alone":          {map[string]string{"pod-template-hash": "v1"}, map[string]string{"app": "api"}, `{"app":"api"}`},
		"and nobody knows pods":  {map[string]string{"pod-template-hash": "v1"}, nil, `null`},
		"somebody unpinned them": {map[string]string{"tier": "web"}, map[string]string{"app": "api"}, `{"tier":"web"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "api"}, Spec: corev1.ServiceSpec{Selector: test.selector}}
			for _, back := range []bool{false, true} {
				got, err := config.Render(Services{Stable: s}, Setting{Back: back}, Pods{RevisionKey: pods.RevisionKey, All: test.all})
				if err != nil || text(got.Stable.Spec.Selector) != test.want {
					t.Errorf("back %t: it selects %s, want %s (%v)", back, text(got.Stable.Spec.Selector), test.want, err)
				}
			}
		})
	}
}

// TestNobodyActsOnACanaryService: what makes other controllers act on a Service is not copied, and everything else is.
func TestNobodyActsOnACanaryService(t *testing.T) {
	user := &corev1.Service{ObjectMeta: metav1.ObjectMeta{
		Name: "api", Namespace: "shop",
		Labels: map[string]string{
			"app": "api", "app.kubernetes.io/instance": "shop", "argocd.argoproj.io/instance": "shop", "kustomize.toolkit.fluxcd.io/name": "shop",
			"cis.f5.com/as3-tenant": "t", "mirror.linkerd.io/exported": "true", "istio.io/use-waypoint": "w", "example.com/team": "a",
		},
		Annotations: map[string]string{
			"prometheus.io/scrape": "true", "service.kubernetes.io/topology-mode": "Auto", "traefik.ingress.kubernetes.io/service.sticky.cookie": "true",
			"external-dns.alpha.kubernetes.io/hostname": "a.example.com", "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-id": "lb-1",
			"service.beta.kubernetes.io/aws-load-balancer-type": "nlb", "cloud.google.com/neg": "{}", "metallb.io/address-pool": "a",
			"service.kubernetes.io/qcloud-loadbalancer-internal-subnetid": "s", "kubernetes.io/elb.id": "e",
			"tailscale.com/expose": "true", "getambassador.io/config": "m", "consul.hashicorp.com/service-sync": "true", "service.cilium.io/global": "true", "coredns.io/hostname": "api",
			"konghq.com/override": "x", "80.service.kuma.io/protocol": "http", "note": "mine", "field.cattle.io/publicEndpoints": "[]", "example.com/unheard-of": "x",
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
	if want := `{"app":"api","app.kubernetes.io/instance":"shop","istio.io/use-waypoint":"w"}`; text(c.Labels) != want {
		t.Errorf("labels are %s, want %s", text(c.Labels), want)
	}
	if want := `{"80.service.kuma.io/protocol":"http","konghq.com/override":"x","note":"mine","prometheus.io/scrape":"true","service.kubernetes.io/topology-mode":"Auto","traefik.ingress.kubernetes.io/service.sticky.cookie":"true"}`; text(c.Annotations) != want {
		t.Errorf("annotations are %s, want %s", text(c.Annotations), want)
	}
}

// TestCanaryServiceFollows: what is removed from the stable Service goes from the canary one, and what others put there stays.
func TestCanaryServiceFollows(t *testing.T) {
	user := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "api", Labels: map[string]string{"app": "api", "team": "a"}, Annotations: map[string]string{"konghq.com/protocol": "http"}}}
	user.Spec.Selector = map[string]string{"app": "api"}
	first, err := config.Render(Services{Stable: user}, Setting{Canary: "v2"}, pods)
	if err != nil {
		t.Fatal(err)
	}
	canary, edited := first.Canary.DeepCopy(), user.DeepCopy()
	canary.Annotations["example.com/seen"] = "true"
	edited.Labels, edited.Annotations = map[string]string{"app": "api", "tier": "b"}, nil
	next, err := config.Render(Services{Stable: edited, Canary: canary}, Setting{Canary: "v2"}, pods)
	if err != nil {
		t.Fatal(err)
	}
	if got := text(next.Canary.Labels) + text(next.Canary.Annotations); got != `{"app":"api","tier":"b"}{"example.com/seen":"true"}` {
		t.Errorf("got %s", got)
	}
}

// TestCanaryServiceFamilies: the canary Service has addresses of the stable one's families; but the first one never changes.
func TestCanaryServiceFamilies(t *testing.T) {
	const four, six, single, dual = corev1.IPv4Protocol, corev1.IPv6Protocol, corev1.IPFamilyPolicySingleStack, corev1.IPFamilyPolicyPreferDualStack
	of := func(policy corev1.IPFamilyPolicy, families ...corev1.IPFamily) corev1.ServiceSpec {
		s := corev1.ServiceSpec{Selector: map[string]string{"app": "api"}, IPFamilies: families, IPFamilyPolicy: &policy}
		for _, family := range families {
			s.ClusterIPs = append(s.ClusterIPs, "of "+string(family))
		}
		return s
	}
	for name, test := range map[string]struct{ stable, canary, want corev1.ServiceSpec }{
		"a new one":            {of(single, six), corev1.ServiceSpec{}, of(single, six)},
		"a new one of both":    {of(dual, six, four), corev1.ServiceSpec{}, of(dual, six, four)},
		"made by an older one": {of(single, six), of(single, four), of(single, four)},
		"one more":             {of(dual, four, six), of(single, four), of(dual, four, six)},
		"one less":             {of(single, four), of(dual, four, six), of(single, four)},
		"not told":             {corev1.ServiceSpec{Selector: map[string]string{"app": "api"}}, of(single, four), of(single, four)},
	} {
		t.Run(name, func(t *testing.T) {
			have := Services{Stable: &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "api"}, Spec: test.stable}}
			if test.canary.Selector != nil {
				have.Canary = &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "api-canary", OwnerReferences: []metav1.OwnerReference{config.Owner}}, Spec: test.canary}
			}
			got, err := config.Render(have, Setting{Canary: "v2"}, pods)
			if err != nil {
				t.Fatal(err)
			}
			spec := got.Canary.Spec
			if text(spec.IPFamilies)+text(spec.IPFamilyPolicy) != text(test.want.IPFamilies)+text(test.want.IPFamilyPolicy) || len(spec.ClusterIPs) > len(spec.IPFamilies) {
				t.Errorf("got %s", text(spec))
			}
		})
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
		if c.Spec.LoadBalancerIP != "" || c.Spec.ExternalIPs != nil || c.ResourceVersion != "" || c.UID != "" {
			t.Fatal("addresses are copied")
		}
		for _, p := range c.Spec.Ports {
			if p.NodePort != 0 {
				t.Fatal("node ports are copied")
			}
		}
		if text(c.Spec.IPFamilies) != text(user.Spec.IPFamilies) {
			t.Fatal("families are not copied")
		}
		if c.Spec.SessionAffinity != user.Spec.SessionAffinity || c.Spec.Type != corev1.ServiceTypeClusterIP || text(c.Labels) != text(user.Labels) || text(c.Annotations) != text(user.Annotations) {
			t.Fatal("what makes a Service is not copied")
		}
		if !owned(c.OwnerReferences, config.Owner) || c.Name != "api-canary" || c.Namespace != "shop" {
			t.Fatal("whose is it?")
		}
	})
}
