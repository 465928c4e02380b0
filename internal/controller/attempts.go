// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/rollouts/api/v1beta1"
	"kruise.io/rollouts/internal/plan"
)

const (
	// writesAtOnce is how often the same write is repeated before it backs off, where others revert it: more than the
	// corrections of drift in one go (internal/plan), fewer than anyone would call a loop.
	writesAtOnce = 6
	// refusedBackoff and revertedBackoff are the longest waits between two attempts. No event reports when a quota or a policy
	// changes, so a refused write is tried more often; a reverted one costs the client that reverts it a write, too.
	refusedBackoff  = 15 * time.Second
	revertedBackoff = time.Minute
	// flips is how long a write has to last to count as one that we changed back ourselves: what goes there and back faster is
	// a loop, no matter who keeps it going.
	flips = time.Second
	// attemptsKept is how long a write is remembered after its last attempt was due.
	attemptsKept = 2 * time.Minute
)

// attempts remembers the writes that the cluster did not take, so that none is repeated in a loop: what the API server
// refuses, what comes back without what was written (defaults, conversion, a policy engine), and what others put back.
// It is reported to users (plan.Obstacle), backed off, and tried again. A restart forgets it, which costs a few writes.
type attempts struct {
	clock clock.PassiveClock
	mu    sync.Mutex
	by    map[types.UID]map[string]*attempt // of the reconciled object, by the write
}

// attempt is one write, as often as it was tried.
type attempt struct {
	object  string            // that is written
	name    string            // as plan calls it
	fields  map[string]string // what is written, by its path
	count   int               // of tries in a row
	last    time.Time         // when it was accepted last
	due     time.Time         // of the next one
	refused string            // the API server's words; "": it is accepted
	vain    bool              // the answer lacked what was written
	manager string            // who wrote the object since the try before, as far as it shows
	rest    plan.Change       // what is left to write of it, on the object as it came back; no From: nothing
}

// sweep drops what has not been tried for long, once in a while.
func (a *attempts) sweep(now time.Time) {
	const enough = 1024
	if len(a.by) < enough {
		return
	}
	maps.DeleteFunc(a.by, func(_ types.UID, all map[string]*attempt) bool {
		maps.DeleteFunc(all, func(_ string, t *attempt) bool { return now.After(t.due.Add(attemptsKept)) })
		return len(all) == 0
	})
}

func newAttempts(c clock.PassiveClock) *attempts {
	return &attempts{clock: c, by: map[types.UID]map[string]*attempt{}}
}

// unfinished is a write that was accepted in part and that no one wants any more, because what it would be decided from is
// gone with the part that was taken: restoring a workload, for instance. It is finished before anything else.
func (a *attempts) unfinished(of client.Object, changes []plan.Change) (rest plan.Change, o plan.Obstacle, found bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.by[of.GetUID()]
	for _, key := range slices.Sorted(maps.Keys(all)) {
		t := all[key]
		if t.rest.From == nil || slices.ContainsFunc(changes, func(c plan.Change) bool { return keyOf(subject(c)) == t.object }) {
			continue
		}
		return t.rest, plan.Obstacle{Reason: v1beta1.ReasonWriteReverted, Message: t.reverted(t.rest), Until: t.due, Object: plan.ObjectOf(subject(t.rest))}, true
	}
	return plan.Change{}, plan.Obstacle{}, false
}

// obstacles finds the first of changes that is known not to succeed; free are those before it, and nil: none.
// Where its next attempt is due, it is among the free ones, and so are those behind it.
func (a *attempts) obstacles(of client.Object, changes []plan.Change) (free []plan.Change, o *plan.Obstacle) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.by[of.GetUID()]
	if len(all) == 0 {
		return changes, nil
	}
	now := a.clock.Now()
	maps.DeleteFunc(all, func(_ string, t *attempt) bool { return now.After(t.due.Add(attemptsKept)) })
	for i, c := range changes {
		t := all[keyOfChange(c)]
		if t == nil || t.refused == "" && !t.vain && t.count < writesAtOnce {
			continue
		}
		o = &plan.Obstacle{Reason: v1beta1.ReasonWriteReverted, Message: t.reverted(c), Until: t.due, Object: plan.ObjectOf(subject(c))}
		if t.refused != "" {
			o.Reason, o.Message = v1beta1.ReasonWriteRefused, t.refused
		}
		if now.Before(t.due) {
			return changes[:i], o
		}
		return changes, o
	}
	return changes, nil
}

// failed notes that a change was refused; false: the error says nothing of it, and the next pass will show.
func (a *attempts) failed(of client.Object, c plan.Change, err error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	words, final := refusal(err)
	if words == "" {
		return false
	}
	t := a.of(of, c)
	t.count++
	if !final && t.count < writesAtOnce {
		return false // a cache that lags says the same for a moment
	}
	t.refused = fmt.Sprintf("%s %s is refused: %s", verbOf(c), plan.Named(subject(c)), words)
	t.due = a.clock.Now().Add(backoff(t.count, refusedBackoff))
	return true
}

// wrote notes that a change was accepted; written is the object as it came back. It returns whether that lacks what was
// written.
func (a *attempts) wrote(of client.Object, c plan.Change, written client.Object) (vain bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.of(of, c)
	for key, other := range a.by[of.GetUID()] {
		undone := other.object == t.object && other != t && contradicts(other.fields, t.fields)
		if undone && a.clock.Now().Sub(other.last) >= flips {
			delete(a.by[of.GetUID()], key) // it was changed back by what is written now
		}
	}
	t.count++
	t.refused, t.last = "", a.clock.Now()
	t.vain, t.rest = false, plan.Change{}
	if missing := missing(t.fields, c.From, written); c.From != nil && written != nil && len(missing) > 0 {
		t.vain = true
		if _, pod := written.(*corev1.Pod); !pod { // its labels are wanted for as long as the batch is
			t.rest = plan.Change{From: written, To: completed(written, missing)}
		}
	}
	t.manager = lastManager(written)
	t.due = a.clock.Now()
	switch {
	case t.vain:
		t.due = t.due.Add(backoff(t.count, revertedBackoff))
	case t.count >= writesAtOnce:
		t.due = t.due.Add(backoff(t.count-writesAtOnce+1, revertedBackoff))
	}
	return t.vain
}

// lost forgets what was left to write of an object that has changed since.
func (a *attempts) lost(of client.Object, c plan.Change) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.by[of.GetUID()] {
		if t.object == keyOf(subject(c)) {
			t.rest = plan.Change{}
		}
	}
}

// refused are the objects whose creation the API server refuses, as keyOf names them.
func (a *attempts) refused(of client.Object) map[string]bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	objects := map[string]bool{}
	for _, t := range a.by[of.GetUID()] {
		if t.refused != "" {
			objects[t.name] = true
		}
	}
	return objects
}

// written is when the last write of each object went through, as far as this process has made it. What an object says itself of
// that is rounded down to the second, and one that was deleted says nothing.
func (a *attempts) written(of client.Object) map[string]time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	written := map[string]time.Time{}
	for _, t := range a.by[of.GetUID()] {
		if t.last.After(written[t.name]) {
			written[t.name] = t.last
		}
	}
	return written
}

// gone forgets what was tried for an object that is gone.
func (a *attempts) gone(of client.Object) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.by, of.GetUID())
}

func (a *attempts) of(of client.Object, c plan.Change) *attempt {
	all := a.by[of.GetUID()]
	if all == nil {
		a.sweep(a.clock.Now())
		all = map[string]*attempt{}
		a.by[of.GetUID()] = all
	}
	for _, t := range all {
		if t.rest.From != nil && t.rest.From == c.From {
			return t // what was left of it
		}
	}
	key := keyOfChange(c)
	if all[key] == nil {
		all[key] = &attempt{object: keyOf(subject(c)), name: plan.Named(subject(c)), fields: fieldsOf(c)}
	}
	return all[key]
}

// backoff is how long to wait after so many tries: twice as long each time.
func backoff(count int, most time.Duration) time.Duration {
	return min(time.Second<<min(count-1, 10), most)
}

// refusal is what the API server says of a write that it does not take; final: it will say the same until somebody mends
// it. "": the error is none of that kind.
func refusal(err error) (words string, final bool) {
	answer := apierrors.APIStatus(nil)
	if !errors.As(err, &answer) || apierrors.IsConflict(err) || lostFence(err) || apierrors.IsTimeout(err) {
		return "", false
	}
	status := answer.Status()
	switch status.Code {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge,
		http.StatusUnprocessableEntity, http.StatusUnauthorized:
		return status.Message, true
	case http.StatusConflict, http.StatusInternalServerError:
		return status.Message, false // it exists already; a webhook of someone else does not answer
	default:
		return "", false
	}
}

// subject is the object that a change is about.
func subject(c plan.Change) client.Object {
	if c.To != nil {
		return c.To
	}
	return c.From
}

func verbOf(c plan.Change) string {
	switch {
	case c.From == nil:
		return "creating"
	case c.To == nil:
		return "deleting"
	default:
		return "updating"
	}
}

// keyOfChange distinguishes writes: by the object, and by what is written of it.
func keyOfChange(c plan.Change) string {
	o := subject(c)
	return verbOf(c) + " " + keyOf(o) + " " + string(o.GetUID()) + " " + encoded(fieldsOf(c))
}

// fieldsOf is what a change writes: each field by its path, lists as a whole; null removes it.
func fieldsOf(c plan.Change) map[string]string {
	if c.From == nil || c.To == nil {
		return nil
	}
	fields := map[string]string{}
	compare("", plain(c.From), plain(c.To), fields)
	for _, own := range []string{"resourceVersion", "managedFields", under("annotations", v1beta1.AnnotationOrdered)} {
		delete(fields, under("metadata", own)) // when a write is made does not make it another
	}
	return fields
}

func compare(path string, from, to any, into map[string]string) {
	a, ok1 := from.(map[string]any)
	b, ok2 := to.(map[string]any)
	if ok1 != ok2 && (from == nil || to == nil) && len(a)+len(b) > 0 {
		ok1, ok2 = true, true // nothing is a map without keys
	}
	if !ok1 || !ok2 {
		if x, y := encoded(from), encoded(to); x != y {
			into[path] = y
		}
		return
	}
	for key := range a {
		compare(under(path, key), a[key], b[key], into)
	}
	for key := range b {
		if _, both := a[key]; !both {
			compare(under(path, key), nil, b[key], into)
		}
	}
}

// separator is in no key of an object.
const separator = "\x00"

func under(path, key string) string {
	if path == "" {
		return key
	}
	return path + separator + key
}

// at is the value at a path of fieldsOf; nil: none.
func at(o any, path string) any {
	for key := range strings.SplitSeq(path, separator) {
		m, _ := o.(map[string]any)
		o = m[key]
	}
	return o
}

// dotted is a path for people to read.
func dotted(path string) string {
	text := ""
	for key := range strings.SplitSeq(path, separator) {
		switch {
		case strings.ContainsAny(key, "./"):
			text += "[" + key + "]"
		case text == "":
			text = key
		default:
			text += "." + key
		}
	}
	return text
}

func plain(o any) any {
	raw, _ := json.Marshal(o)
	var v any
	_ = json.Unmarshal(raw, &v)
	return v
}

func encoded(v any) string {
	raw, _ := json.Marshal(v)
	return string(raw)
}

// missing are the fields of a write that an object lacks which came back from it. What is absent means the same as what is
// empty; what was removed may come back as the API server's default, but not as what it was.
func missing(fields map[string]string, from, written client.Object) map[string]string {
	had, have := plain(from), plain(written)
	lacks := map[string]string{}
	for path, want := range fields {
		got := encoded(at(have, path))
		if kept := got == encoded(at(had, path)); !alike(got, want) && (want != "null" || kept) {
			lacks[path] = want
		}
	}
	return lacks
}

// completed is an object with fields put.
func completed(o client.Object, fields map[string]string) client.Object {
	all, _ := plain(o).(map[string]any)
	for path, value := range fields {
		into := all
		keys := strings.Split(path, separator)
		for _, key := range keys[:len(keys)-1] {
			next, ok := into[key].(map[string]any)
			if !ok {
				next = map[string]any{}
				into[key] = next
			}
			into = next
		}
		var v any
		_ = json.Unmarshal([]byte(value), &v)
		into[keys[len(keys)-1]] = v
		if v == nil {
			delete(into, keys[len(keys)-1])
		}
	}
	next, _ := reflect.TypeAssert[client.Object](reflect.New(reflect.TypeOf(o).Elem()))
	_ = json.Unmarshal([]byte(encoded(all)), next)
	return next
}

// alike compares two values by what they mean: nothing, false, zero and the empty ones are the same.
func alike(a, b string) bool {
	nothing := []string{"null", "false", "0", `""`, "[]", "{}"}
	return a == b || slices.Contains(nothing, a) && slices.Contains(nothing, b)
}

// contradicts reports whether two writes set a field to different values.
func contradicts(a, b map[string]string) bool {
	for path, value := range a {
		if other, both := b[path]; both && other != value {
			return true
		}
	}
	return false
}

// lastManager is who wrote an object last, other than us, as far as it shows; "": no one is known.
func lastManager(o client.Object) string {
	if o == nil {
		return ""
	}
	last := metav1.ManagedFieldsEntry{}
	for _, f := range o.GetManagedFields() {
		if f.Manager != FieldManager && f.Subresource == "" && f.Time != nil && (last.Time == nil || f.Time.After(last.Time.Time)) {
			last = f
		}
	}
	return last.Manager
}

// reverted says what comes back of a write.
func (t *attempt) reverted(c plan.Change) string {
	message := fmt.Sprintf("%s is reverted every time", plan.Named(subject(c)))
	if c.From == nil || c.To == nil {
		return fmt.Sprintf("%s %s was tried %d times and reverted every time", verbOf(c), plan.Named(subject(c)), t.count)
	}
	if paths := slices.Sorted(maps.Keys(t.fields)); len(paths) > 0 {
		path := paths[0]
		have := encoded(at(plain(c.From), path))
		message = fmt.Sprintf("%s: field %s was set to %s, and is %s again", plan.Named(subject(c)), dotted(path), short(t.fields[path]), short(have))
	}
	if t.vain {
		return message + "; an admission webhook or a policy changes it during the write"
	}
	if t.manager != "" {
		return fmt.Sprintf("%s; last written by %q", message, t.manager)
	}
	return message
}

// short is a value as a message has room for it.
func short(value string) string {
	const room = 60
	switch {
	case value == "null":
		return "unset"
	case len(value) > room:
		return value[:room] + "..."
	default:
		return value
	}
}
