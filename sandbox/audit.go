// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"kruise.io/rollouts/internal/sim"
)

// Call is a kind of API call.
type Call struct {
	// Verb is as RBAC knows it: get, list, watch, create, update, patch, delete, deletecollection.
	Verb string
	// Group, Resource and Subresource say what was called. Resource is empty for a path that is no resource.
	Group, Resource, Subresource string
}

// String is the call as one would write it in a table: "patch deployments.apps/scale".
func (c Call) String() string {
	text := c.Verb + " " + c.Resource
	if c.Group != "" {
		text += "." + c.Group
	}
	if c.Subresource != "" {
		text += "/" + c.Subresource
	}
	return text
}

// Writes reports whether a call of that kind changes something.
func (c Call) Writes() bool {
	return c.Resource != "" && c.Verb != "get" && c.Verb != "list" && c.Verb != "watch"
}

// auditEvent is what we read of an event of the audit log.
type auditEvent struct {
	Stage string `json:"stage"`
	Verb  string `json:"verb"`
	User  struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef *struct {
		Resource    string `json:"resource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
		APIGroup    string `json:"apiGroup"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	RequestReceivedTimestamp time.Time         `json:"requestReceivedTimestamp"`
	Annotations              map[string]string `json:"annotations"`
}

// CountCalls counts the API calls of a user that arrived at or after since, from a sandbox's audit log. A watch counts when
// it begins, everything else when it was answered, be it with an error. The log is written before the answer is sent, so
// every call that has returned is counted.
func CountCalls(auditLog, user string, since time.Time) (map[Call]int, error) {
	return countCalls(auditLog, user, func(event *auditEvent) bool { return !event.RequestReceivedTimestamp.Before(since) })
}

// CountCallsIn counts the API calls of a user about what is in a namespace, as CountCalls does.
func CountCallsIn(auditLog, user, namespace string) (map[Call]int, error) {
	return countCalls(auditLog, user, func(event *auditEvent) bool { return event.ObjectRef != nil && event.ObjectRef.Namespace == namespace },
		namespace)
}

// countCalls counts those of a user that are wanted.
func countCalls(auditLog, user string, wanted func(*auditEvent) bool, words ...string) (map[Call]int, error) {
	calls := map[Call]int{}
	return calls, eachCall(auditLog, user, func(event *auditEvent) {
		if !wanted(event) {
			return
		}
		call := Call{Verb: event.Verb}
		if ref := event.ObjectRef; ref != nil {
			call.Group, call.Resource, call.Subresource = ref.APIGroup, ref.Resource, ref.Subresource
		}
		calls[call]++
	}, words...)
}

// eachCall reads the calls of a user. They hold all the words; most lines need no closer look than that.
func eachCall(auditLog, user string, do func(*auditEvent), words ...string) error {
	words = append(words, user)
	file, err := os.Open(auditLog)
	if err != nil {
		return fmt.Errorf("opening the audit log: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	lines := bufio.NewReaderSize(file, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // an unfinished line is of a call that has not returned
		}
		if err != nil {
			return fmt.Errorf("reading the audit log: %w", err)
		}
		if slices.ContainsFunc(words, func(word string) bool { return !bytes.Contains(line, []byte(word)) }) {
			continue
		}
		var event auditEvent
		if err := json.Unmarshal(line, &event); err != nil {
			return fmt.Errorf("reading the audit log: %w", err)
		}
		counts := event.Stage == "ResponseComplete" || event.Stage == "Panic"
		if event.Verb == "watch" {
			counts = event.Stage == "ResponseStarted"
		}
		if counts && event.User.Username == user {
			do(&event)
		}
	}
}

// Decisions are the requests of a user that a role of some name let through, not one that everybody has, and those that were
// refused. Each is there once.
func Decisions(auditLog, user, role string) (allowed, refused []sim.Request, err error) {
	seen := map[sim.Request]bool{}
	err = eachCall(auditLog, user, func(event *auditEvent) {
		const decision, reason = "authorization.k8s.io/decision", "authorization.k8s.io/reason"
		ref := event.ObjectRef
		if ref == nil {
			return
		}
		q := sim.Request{User: user, Verb: event.Verb, Group: ref.APIGroup, Resource: ref.Resource, Namespace: ref.Namespace, Name: ref.Name}
		if ref.Subresource != "" {
			q.Resource += "/" + ref.Subresource
		}
		switch {
		case event.Annotations[decision] == "forbid":
			refused = append(refused, q)
		case strings.Contains(event.Annotations[reason], role) && !seen[q]:
			seen[q] = true
			allowed = append(allowed, q)
		}
	})
	return allowed, refused, err
}
