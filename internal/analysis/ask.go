// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"time"

	"kruise.io/rollouts/api/v1beta1"
)

// An Ask is one measurement to make.
type Ask struct {
	Key       string                 // of the measurement among those of its Rollout: the analysis, the metric, and its number
	Due       time.Time              // when it is to be made
	Provider  v1beta1.MetricProvider // who is asked; args are put in, but for those of Secrets
	Namespace string                 // of the template; "": one of the whole cluster
	Secrets   map[string]Secret      // by the names of the args whose values they are
	Source    *v1beta1.PrometheusSource
	Query     string // with Source: of a built-in check, whose series are wanted with their labels
	// ByPods: the query names pods, which are to be put in when it is asked; see WithPods.
	ByPods bool
	// Pods: it is the pods of the release that are looked at, again and again, until something speaks against them; that is the
	// result, a text. Nothing is said of good pods, so that they cost no write.
	Pods bool
	// Hook is a webhook of a step that is called. The result is a HookAnswer.
	Hook *Hook
}

// A Secret is where the value of an arg is read.
type Secret struct{ Namespace, Name, Key string }

// Measured is what came of an Ask.
type Measured struct {
	Time   time.Time // when the provider had answered
	Result any       // as conditions see it
	Series []Series  // of a built-in check
	Err    string    // why there is no answer; "": there is
}

// A Series is one time series of Prometheus as it is now.
type Series struct {
	Labels map[string]string
	Value  float64
}
