// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	rolloutsv1beta1 "kruise.io/rollouts/api/v1beta1"
)

// reference is how a string refers to an arg.
var reference = regexp.MustCompile(`\{\{\s*args\.([^{}\s]+)\s*\}\}`)

// filled returns the provider's fields with the values of Secrets in the place of their args. All strings are filled in one go, so
// that a value that looks like a reference stays as it is. It goes by JSON: a value is quoted anew where the string is part of a
// jsonBody, and cannot add fields to it.
func (c *Clients) filled(ctx context.Context, q *question, ask Ask) (rolloutsv1beta1.MetricProvider, error) {
	if len(ask.Secrets) == 0 {
		return ask.Provider, nil
	}
	values := map[string]string{}
	for name, from := range ask.Secrets {
		value, err := c.argument(ctx, ask, from)
		if err != nil {
			return ask.Provider, err
		}
		values[name] = value
		q.conceal(value)
	}
	var (
		result rolloutsv1beta1.MetricProvider
		fields any
	)
	text, err := json.Marshal(ask.Provider)
	if err != nil {
		return result, misconfigured("the provider's fields are no JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // numbers stay as they are written
	if err := decoder.Decode(&fields); err != nil {
		return result, misconfigured("the provider's fields are no JSON")
	}
	if text, err = json.Marshal(mapped(fields, func(s string) string { return put(s, values) }, asIs)); err == nil {
		err = json.Unmarshal(text, &result)
	}
	if err != nil {
		return result, misconfigured("the provider's fields do not take the values of the Secrets")
	}
	return result, nil
}

// put replaces the references to the given args.
func put(text string, values map[string]string) string {
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		if value, ok := values[reference.FindStringSubmatch(ref)[1]]; ok {
			return value
		}
		return ref
	})
}

// mapped returns what JSON decodes to with every string replaced, and every key of a map.
func mapped(value any, text, key func(string) string) any {
	switch value := value.(type) {
	case string:
		return text(value)
	case []any:
		list := make([]any, len(value))
		for i, item := range value {
			list[i] = mapped(item, text, key)
		}
		return list
	case map[string]any:
		fields := make(map[string]any, len(value))
		for name, item := range value {
			fields[key(name)] = mapped(item, text, key)
		}
		return fields
	}
	return value
}

func asIs(text string) string { return text }

// argument reads the value of an arg. A template reads Secrets of its own namespace only, a cluster-scoped one of the manager's: that
// is checked where the Secret is read, whoever wrote the name down.
func (c *Clients) argument(ctx context.Context, ask Ask, from Secret) (string, error) {
	if from.Namespace != cmp.Or(ask.Namespace, c.options.Namespace) {
		return "", lacking("a template reads Secrets of its own namespace only, a cluster-scoped one those of the manager's")
	}
	data, exists, err := c.secret(ctx, from.Namespace, from.Name)
	if err != nil {
		return "", err
	}
	value, ok := data[from.Key]
	switch {
	case !exists:
		return "", lacking(fmt.Sprintf("the Secret %s/%s does not exist", from.Namespace, from.Name))
	case !ok:
		return "", lacking(fmt.Sprintf("the Secret %s/%s has no key %s", from.Namespace, from.Name, from.Key))
	case !utf8.Valid(value):
		return "", lacking(fmt.Sprintf("the key %s of the Secret %s/%s is no text", from.Key, from.Namespace, from.Name))
	}
	return string(value), nil
}

// secret reads the data of a Secret, and reports whether it exists.
func (c *Clients) secret(ctx context.Context, namespace, name string) (data map[string][]byte, exists bool, err error) {
	if c.options.SecretReader == nil {
		return nil, false, lacking("the manager reads no Secrets")
	}
	data, err = c.options.SecretReader(ctx, namespace, name)
	switch {
	case err == nil:
		return data, true, nil
	case apierrors.IsNotFound(err):
		return nil, false, nil
	case apierrors.IsForbidden(err):
		return nil, false, lacking(fmt.Sprintf("the manager may not read the Secret %s/%s", namespace, name))
	case ctx.Err() != nil:
		return nil, false, &Error{Class: ClassTimeout, Message: fmt.Sprintf("reading the Secret %s/%s", namespace, name)}
	}
	return nil, false, lacking(fmt.Sprintf("the Secret %s/%s could not be read", namespace, name))
}

// profile reads a Secret of credentials: the given keys are needed. All values but addresses and regions are hidden from then on. A
// template of any namespace may name a profile of the manager's: that one does not exist, and that it is none, is the same error, so
// that nobody learns by it what Secrets there are.
func (c *Clients) profile(ctx context.Context, q *question, namespace, name string, needed ...string) (map[string]string, error) {
	data, _, err := c.secret(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for key, value := range data {
		values[key] = string(bytes.TrimSpace(value)) // a newline at the end is how files end
		if key != "address" && key != "region" {
			q.conceal(values[key])
		}
	}
	for _, key := range needed {
		if values[key] == "" {
			return nil, lacking(fmt.Sprintf("there is no Secret %s/%s with the keys %s", namespace, name, strings.Join(needed, ", ")))
		}
	}
	return values, nil
}

func lacking(message string) *Error { return &Error{Class: ClassSecret, Message: message} }
