// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"maps"
	"slices"
	"strings"
)

// passive are domains of labels and annotations that are read by who routes requests, or counts them, and that say the same of a copy.
// Every other domain is of a controller that may act on what carries it: DNS names, load balancers, other clusters, or
// tools that take it for something they have deployed. Kubernetes reserves keys with a domain for such, and those without
// one are the user's own: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
var passive = []string{
	"app.kubernetes.io", "prometheus.io", "gateway.networking.k8s.io",
	"ingress.kubernetes.io", "nginx.ingress.kubernetes.io", "traefik.ingress.kubernetes.io", "alb.ingress.kubernetes.io", "mse.ingress.kubernetes.io",
	"nginx.org", "nginx.com", "traefik.io", "higress.io", "konghq.com", "apisix.apache.org", "k8s.apisix.apache.org", "projectcontour.io", "haproxy.org", "haproxy-ingress.github.io",
	"istio.io", "networking.istio.io", "traffic.istio.io", "ambient.istio.io", "security.istio.io", "topology.istio.io", "kuma.io",
	"linkerd.io", "config.linkerd.io", "balancer.linkerd.io", "retry.linkerd.io", "timeout.linkerd.io",
}

// passiveKeys are such of domains that controllers act on, too.
var passiveKeys = []string{
	"service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints", // where requests go, nearer or farther
	"kubernetes.io/ingress.class",
}

// marks are domains by which tools act on an object of any kind: they deploy it, delete it with others, or publish its names.
var marks = []string{
	"kubectl.kubernetes.io", "applyset.kubernetes.io", "config.kubernetes.io", "config.k8s.io", "argocd.argoproj.io", "kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io",
	"meta.helm.sh", "helm.sh", "objectset.rio.cattle.io", "kapp.k14s.io", "app.oam.dev",
	"external-dns.alpha.kubernetes.io", "external-dns.kubernetes.io", "dns.alpha.kubernetes.io", "cert-manager.io", "acme.cert-manager.io", "certmanager.k8s.io",
}

// isMark reports whether tools act on an object by a label or annotation.
func isMark(key string) bool {
	domain, _, has := strings.Cut(key, "/")
	return has && slices.Contains(marks, domain) || key == "kubernetes.io/tls-acme"
}

// isCopied reports whether a copy of an object may have a label or annotation, too.
func isCopied(key string) bool {
	domain, _, has := strings.Cut(key, "/")
	return !has || slices.Contains(passive, domain) || slices.Contains(passiveKeys, key) ||
		strings.HasSuffix(domain, ".service.kuma.io") // by port
}

// only are the labels or annotations for which a test holds.
func only(of map[string]string, test func(string) bool) map[string]string {
	kept := maps.Clone(of)
	maps.DeleteFunc(kept, func(key, _ string) bool { return !test(key) })
	return kept
}

// follow returns the labels or annotations of a copy: those of the original, and what others have put on the copy.
func follow(own, of map[string]string) map[string]string {
	kept := only(own, func(key string) bool { return !isCopied(key) })
	if kept == nil {
		return only(of, isCopied)
	}
	maps.Copy(kept, only(of, isCopied))
	return kept
}
