// SPDX-License-Identifier: Apache-2.0

package analysis

import "strings"

// Gateway is a way in which requests are counted, with names for series of its own.
type Gateway string

// The gateways whose series are known.
const (
	TraefikHTTPRoute Gateway = "traefik-httproute"
	TraefikIngress   Gateway = "traefik-ingress"
	IngressNginx     Gateway = "ingress-nginx"
	// Istio counts at the side that asks, mesh or gateway, by Service.
	Istio Gateway = "istio"
	// IstioSubsets are subsets of one Service, so pods are told apart where they answer.
	IstioSubsets Gateway = "istio-subsets"
	// Pods is the application's own series; see PodMetrics.
	Pods               Gateway = "pods"
	EnvoyGateway       Gateway = "envoy-gateway"
	NginxGatewayFabric Gateway = "nginx-gateway-fabric"
	Higress            Gateway = "higress"
	MSE                Gateway = "mse"
)

// Names are of what a query asks for. Each gateway needs some of them.
type Names struct {
	Namespace, Route, Ingress, Service, CanaryService string
	// Port is that of the Service as the Ingress has it, a number or a name; "": any. Without it the series of Traefik's Ingresses
	// are those of all Services of the Ingress whose names begin with the Service's and a hyphen, too.
	Port string
	// CanaryPods and StablePods are names of pods; of more than 50 the first ones are asked for.
	CanaryPods, StablePods []string
	// PodMetrics are the application's series, of the gateway Pods.
	PodMetrics PodMetrics
	// Exported: Prometheus scrapes the gateway with labels namespace, service and pod of its own (a ServiceMonitor or PodMonitor
	// without honorLabels), and has renamed the gateway's to exported_namespace and so on.
	Exported bool
}

// PodMetrics are the series of an application that counts its requests itself.
type PodMetrics struct {
	// Requests is the name of the counter of all requests.
	Requests string
	// Errors is the name of a counter of those that failed; "": they are those of Requests that ErrorSelector matches.
	Errors string
	// ErrorSelector are matchers as PromQL has them, such as code=~"5..", status!="ok".
	ErrorSelector string
	// Buckets is the name of the histogram's counters, ending in _bucket; "": there is none.
	Buckets string
	// PodLabel is the label with the pod's name; "": pod.
	PodLabel string
}

// source is what is known of a gateway's series. Where an exported label may be meant, it is written through Names.label.
type source struct {
	gateway Gateway
	// requests and buckets are names of counters.
	requests, buckets string
	// code is the label with the response's code.
	code string
	// unit is that of the boundaries of buckets.
	unit string
	// bad reports whether a code is that of a failed request.
	bad func(code string) bool
	// needs are the names without which there is no query.
	needs []func(Names) (what, name string)
	// stable and canary select the series of either side.
	stable, canary func(Names) selector
	// byPod: the instances are pods, which the selectors name.
	byPod bool
}

// sources is the table of what is known. Each row names where it comes from.
var sources = []source{
	// Read off a Traefik 3.7.13 by a Prometheus. The last number is the index of the backendRef.
	{
		gateway:  TraefikHTTPRoute,
		requests: "traefik_service_requests_total", buckets: "traefik_service_request_duration_seconds_bucket", code: "code", unit: seconds, bad: serverError,
		needs:  []func(Names) (string, string){namespace, route, service, canaryService},
		stable: func(n Names) selector { return n.traefikRoute(n.Service) },
		canary: func(n Names) selector { return n.traefikRoute(n.CanaryService) },
	},
	// Read off the same Traefik. Both sides have the Service's name; the canary's ends in -canary.
	{
		gateway:  TraefikIngress,
		requests: "traefik_service_requests_total", buckets: "traefik_service_request_duration_seconds_bucket", code: "code", unit: seconds, bad: serverError,
		needs: []func(Names) (string, string){namespace, ingress, service},
		stable: func(n Names) selector {
			return selector{}.matches(n.label("service"), n.traefikIngress()+"@kubernetesingressnginx").matchesNot(n.label("service"), ".+-canary@.+")
		},
		canary: func(n Names) selector {
			return selector{}.matches(n.label("service"), n.traefikIngress()+"-canary@kubernetesingressnginx")
		},
	},
	// Its documentation of metrics and of canary annotations: a request to the canary counts for the stable's Ingress and Service,
	// with the canary's backend (namespace-service-port) in a label of its own. Status may be a class, 5xx.
	{
		gateway:  IngressNginx,
		requests: "nginx_ingress_controller_requests", buckets: "nginx_ingress_controller_request_duration_seconds_bucket", code: "status", unit: seconds, bad: serverError,
		needs:  []func(Names) (string, string){namespace, ingress, service, canaryService},
		stable: func(n Names) selector { return n.ingressNginx().is("canary", "") },
		canary: func(n Names) selector {
			return n.ingressNginx().matches("canary", quoteRE(n.Namespace+"-"+n.CanaryService)+"-.+")
		},
	},
	// Istio's page of standard metrics. Code 0: no response.
	{
		gateway:  Istio,
		requests: "istio_requests_total", buckets: "istio_request_duration_milliseconds_bucket", code: "response_code", unit: milliseconds, bad: istioError,
		needs:  []func(Names) (string, string){namespace, service, canaryService},
		stable: func(n Names) selector { return n.istio(n.Service) },
		canary: func(n Names) selector { return n.istio(n.CanaryService) },
	},
	// The same page. Which version answered is seen where it answers only, by the name of the pod that was scraped.
	{
		gateway:  IstioSubsets,
		requests: "istio_requests_total", buckets: "istio_request_duration_milliseconds_bucket", code: "response_code", unit: milliseconds, bad: istioError,
		needs:  []func(Names) (string, string){namespace, service},
		stable: func(n Names) selector { return n.istioPods(n.StablePods) },
		canary: func(n Names) selector { return n.istioPods(n.CanaryPods) },
		byPod:  true,
	},
}

// indistinct are gateways that count both versions in the same series, or in series that nothing documents.
var indistinct = map[Gateway]string{
	EnvoyGateway:       "Envoy Gateway counts the requests of a rule, not of each of its backends",
	NginxGatewayFabric: "NGINX Gateway Fabric counts the requests of the whole gateway only",
	Higress:            "no documented series of Higress distinguishes the canary's requests from the stable's",
	MSE:                "no documented series of MSE distinguishes the canary's requests from the stable's",
}

// Units of histograms' boundaries.
const (
	seconds      = "s"
	milliseconds = "ms"
)

func namespace(n Names) (string, string)     { return "namespace", n.Namespace }
func route(n Names) (string, string)         { return "route", n.Route }
func ingress(n Names) (string, string)       { return "Ingress", n.Ingress }
func service(n Names) (string, string)       { return "Service", n.Service }
func canaryService(n Names) (string, string) { return "canary Service", n.CanaryService }

// serverError reports whether a code, or its class such as 5xx, is a failure of the server.
func serverError(code string) bool { return len(code) == 3 && code[0] == '5' }

func istioError(code string) bool { return code == "0" || serverError(code) }

// label is a label of the gateway as Prometheus has it.
func (n Names) label(name string) string {
	if n.Exported {
		return "exported_" + name
	}
	return name
}

func (n Names) traefikRoute(service string) selector {
	return selector{}.matches(n.label("service"),
		quoteRE("httproute-"+n.Namespace+"-"+n.Route+"-gw-")+".+"+quoteRE("-svc-"+n.Namespace+"-"+service+"-")+"[0-9]+@kubernetesgateway")
}

func (n Names) traefikIngress() string {
	port := "[0-9a-z-]+"
	if n.Port != "" {
		port = quoteRE(n.Port)
	}
	return quoteRE(strings.Join([]string{n.Namespace, n.Ingress, n.Service, ""}, "-")) + port
}

func (n Names) ingressNginx() selector {
	return selector{}.is(n.label("namespace"), n.Namespace).is("ingress", n.Ingress).is(n.label("service"), n.Service)
}

func (n Names) istio(service string) selector {
	return selector{}.is("reporter", "source").is("destination_service_namespace", n.Namespace).is("destination_service_name", service)
}

func (n Names) istioPods(pods []string) selector {
	if len(pods) == 0 {
		return nil
	}
	// The label pod is of the target that was scraped, never one of Istio's own.
	return selector{}.is("reporter", "destination").is("destination_service_namespace", n.Namespace).is("destination_service_name", n.Service).
		matches("pod", anyOf(pods))
}

// GatewayOfClass is who counts the requests of an Ingress of a class (trafficRoutings: ingress.classType).
func GatewayOfClass(class string) string {
	switch class {
	case "", "nginx":
		return string(IngressNginx)
	default:
		return class
	}
}

// controllers are gateways by a part of the name of the controller that accepts their routes.
var controllers = []struct {
	part    string
	gateway string
}{
	{"traefik.io", "traefik"}, {"istio.io", string(Istio)}, {"envoyproxy.io", string(EnvoyGateway)}, {"gateway.nginx.org", string(NginxGatewayFabric)},
	{"higress.io", string(Higress)},
}

// GatewayOfController is who counts the requests of a route that a controller has accepted (Gateway API, status.parents of the
// route); "": not known.
func GatewayOfController(name string) string {
	for _, c := range controllers {
		if strings.Contains(name, c.part) {
			return c.gateway
		}
	}
	return ""
}
