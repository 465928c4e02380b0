// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/rollouts/api/v1beta1"
)

const (
	maxWebhooks    = 10 // of a step
	maxHookRetries = 10
	maxHookTimeout = 30 * time.Second
)

// ownHookHeaders say how a call is sent, or are put on every call.
var ownHookHeaders = []string{
	"host", "connection", "content-length", "content-type", "transfer-encoding", "te", "trailer", "upgrade", "proxy-authorization", "proxy-connection",
	"accept-encoding", "expect", "idempotency-key", "rollouts-signature",
}

// validateWebhooks checks the webhooks of all steps, at the path of their strategy. What an update leaves as it was is not checked.
func validateWebhooks(path *field.Path, ro, old *v1beta1.Rollout) field.ErrorList {
	f, steps, before := &faults{}, partsOf(ro).steps, []v1beta1.CanaryStep(nil)
	if old != nil {
		before = partsOf(old).steps
	}
	for i := range steps {
		hooks, at := steps[i].Webhooks, path.Child("Steps").Index(i).Child("Webhooks")
		if i < len(before) && equality.Semantic.DeepEqual(hooks, before[i].Webhooks) {
			continue
		}
		if len(hooks) > maxWebhooks {
			f.errs = append(f.errs, field.TooMany(at, len(hooks), maxWebhooks))
		}
		for j := range hooks {
			f.webhook(at.Index(j), hooks, j)
		}
	}
	return f.errs
}

// webhook checks one among those of its step.
func (f *faults) webhook(at *field.Path, all []v1beta1.StepWebhook, j int) {
	h := all[j]
	switch problems := validation.IsDNS1123Label(h.Name); {
	case len(problems) > 0:
		f.Invalid(at.Child("Name"), h.Name, "the name of a webhook must be lower-case letters, digits and -; "+strings.Join(problems, "; "))
	case slices.ContainsFunc(all[:j], func(other v1beta1.StepWebhook) bool { return other.Name == h.Name }):
		f.errs = append(f.errs, field.Duplicate(at.Child("Name"), h.Name))
	}
	if h.When != v1beta1.WebhookBefore && h.When != v1beta1.WebhookAfter {
		f.Invalid(at.Child("When"), h.When, "when must be Before or After")
	}
	f.hookURL(at.Child("URL"), h.URL)
	for i, header := range h.Headers {
		f.hookHeader(at.Child("Headers").Index(i), header)
	}
	if s := h.SecretRef; s != nil {
		if problems := validation.IsDNS1123Subdomain(s.Name); len(problems) > 0 {
			f.Invalid(at.Child("SecretRef", "Name"), s.Name, "secretRef must name a Secret of the Rollout's namespace; "+strings.Join(problems, "; "))
		}
		if problems := validation.IsConfigMapKey(s.Key); len(problems) > 0 {
			f.Invalid(at.Child("SecretRef", "Key"), s.Key, "secretRef must name a key of the Secret; "+strings.Join(problems, "; "))
		}
	}
	if d, ok := f.duration(at.Child("Timeout"), h.Timeout); ok && (d < time.Second || d > maxHookTimeout) {
		f.Invalid(at.Child("Timeout"), h.Timeout, "the timeout of a webhook must be from 1s to 30s")
	}
	if r := h.Retries; r != nil && (*r < 0 || *r > maxHookRetries) {
		f.Invalid(at.Child("Retries"), *r, fmt.Sprintf("retries must be a number from 0 to %d", maxHookRetries))
	}
	f.duration(at.Child("WaitAtMost"), h.WaitAtMost)
	f.goesOnOr(at.Child("OnFailure"), h.OnFailure)
}

func (f *faults) hookURL(at *field.Path, text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		f.Invalid(at, text, "the url of a webhook must begin with http:// or https:// and name a host; write one such as https://gate.example.com/check")
	case u.User != nil:
		f.Invalid(at, "", "the url of a webhook must not have a user name or a password, because it is shown; sign the calls by secretRef")
	}
}

func (f *faults) hookHeader(at *field.Path, h v1beta1.MetricHeader) {
	switch {
	case !httpguts.ValidHeaderFieldName(h.Key):
		f.Invalid(at.Child("Key"), h.Key, "it must be the name of a header; write one such as X-Team")
	case slices.Contains(ownHookHeaders, strings.ToLower(h.Key)):
		f.Invalid(at.Child("Key"), h.Key, "this header of a webhook must not be set, because the controller sets it")
	}
	if !httpguts.ValidHeaderFieldValue(h.Value) {
		f.Invalid(at.Child("Value"), h.Value, "it must be the value of a header; leave out line breaks and control characters")
	}
}
