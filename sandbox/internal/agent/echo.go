// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Pod annotations that show how a listening pod answers; they work on a running pod, too.
const (
	// ErrorPercentAnnotation is the percentage of requests that are answered with status 500.
	ErrorPercentAnnotation = "sandbox.kruise.io/error-percent"
	// LatencyAnnotation is how long an answer takes: a duration, or two with a hyphen between them, for anything from one to the other.
	LatencyAnnotation = "sandbox.kruise.io/latency"
	// CrashAfterRequestsAnnotation is at which request the containers exit with an error, counted anew after each restart.
	CrashAfterRequestsAnnotation = "sandbox.kruise.io/crash-after-requests"
)

// Headers of every answer, for those who count who answered what.
const (
	// PodHeader is the pod's name.
	PodHeader = "Sandbox-Pod"
	// VersionHeader is VERSION in the container's environment.
	VersionHeader = "Sandbox-Version"
	// ImageHeader is the container's image.
	ImageHeader = "Sandbox-Image"
	// RevisionHeader is the label by which the workload's controller distinguishes pods of different templates.
	RevisionHeader = "Sandbox-Revision"
)

// echo answers requests to one container by showing who answers and what was asked, as the echoserver image does.
type echo struct {
	pod           *atomic.Pointer[corev1.Pod]
	container     string
	podIP, hostIP string
	crash         func(limit int) bool // counts a request; reports whether it was that one too many
}

// answer is what a pod says of itself and of the request.
type answer struct {
	Pod       string            `json:"pod"`
	Namespace string            `json:"namespace"`
	Node      string            `json:"node"`
	IP        string            `json:"ip"`
	Container string            `json:"container"`
	Image     string            `json:"image"`
	Revision  string            `json:"revision,omitempty"`
	Env       map[string]string `json:"env"`
	Client    string            `json:"client"`
	Method    string            `json:"method"`
	Path      string            `json:"path"`
	Query     string            `json:"query"`
	Host      string            `json:"host"`
	Headers   http.Header       `json:"headers"`
	Body      string            `json:"body,omitempty"`
}

func (e echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	pod := e.pod.Load()
	if limit, err := strconv.Atoi(pod.Annotations[CrashAfterRequestsAnnotation]); err == nil && e.crash(limit) {
		panic(http.ErrAbortHandler) // there is nobody any more who would answer
	}
	if d := latency(pod.Annotations[LatencyAnnotation]); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 64<<10)) // an echo of what arrived, however little that was
	a := answer{
		Pod: pod.Name, Namespace: pod.Namespace, Node: pod.Spec.NodeName, IP: e.podIP, Container: e.container,
		Revision: cmp.Or(pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey], pod.Labels[appsv1.ControllerRevisionHashLabelKey]),
		Client:   r.RemoteAddr, Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Host: r.Host, Headers: r.Header,
		Body: string(body),
	}
	for _, c := range pod.Spec.Containers {
		if c.Name == e.container {
			a.Image = c.Image
			a.Env = environment(pod, c, e.podIP, e.hostIP)
		}
	}
	w.Header().Set(PodHeader, a.Pod)
	w.Header().Set(VersionHeader, a.Env["VERSION"])
	w.Header().Set(ImageHeader, a.Image)
	w.Header().Set(RevisionHeader, a.Revision)
	status := http.StatusOK
	if percent, err := strconv.ParseFloat(pod.Annotations[ErrorPercentAnnotation], 64); err == nil && rand.Float64()*100 < percent {
		status = http.StatusInternalServerError
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") || r.URL.Query().Get("format") == "json" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(a) // the client may have left
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, a.text(r))
}

// latency reads LatencyAnnotation; 0 where it cannot be read.
func latency(text string) time.Duration {
	from, to, ranged := strings.Cut(text, "-")
	least, err := time.ParseDuration(from)
	if err != nil || !ranged {
		return least
	}
	most, err := time.ParseDuration(to)
	if err != nil {
		return 0
	}
	return least + time.Duration(rand.Float64()*float64(most-least))
}

// text is the answer in the shape of the echoserver image, with the environment added.
func (a answer) text(r *http.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n\nHostname: %s\n\nPod Information:\n", a.Pod)
	for _, line := range [][2]string{
		{"node name", a.Node},
		{"pod name", a.Pod},
		{"pod namespace", a.Namespace},
		{"pod IP", a.IP},
		{"image", a.Image},
		{"revision", a.Revision},
	} {
		fmt.Fprintf(&b, "\t%s:\t%s\n", line[0], line[1])
	}
	b.WriteString("\nEnvironment:\n")
	for _, name := range slices.Sorted(maps.Keys(a.Env)) {
		fmt.Fprintf(&b, "\t%s=%s\n", name, a.Env[name])
	}
	fmt.Fprintf(&b, "\nRequest Information:\n\tclient_address=%s\n\tmethod=%s\n\treal path=%s\n\tquery=%s\n\trequest_version=%d.%d\n\trequest_uri=http://%s%s\n",
		a.Client, a.Method, r.URL.RequestURI(), a.Query, r.ProtoMajor, r.ProtoMinor, a.Host, r.URL.RequestURI())
	b.WriteString("\nRequest Headers:\n")
	fmt.Fprintf(&b, "\thost=%s\n", a.Host)
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		fmt.Fprintf(&b, "\t%s=%s\n", strings.ToLower(name), strings.Join(a.Headers[name], ", "))
	}
	fmt.Fprintf(&b, "\nRequest Body:\n\t%s\n", cmp.Or(a.Body, "-no body in request-"))
	return b.String()
}
