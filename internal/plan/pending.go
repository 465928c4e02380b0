// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	"kruise.io/rollouts/api/v1beta1"
)

// pending is what a stage of a pass waits for; nil: nothing, and what follows may begin. It is the one value for every wait of a
// Rollout: for pods, Services, gateways, approvals, and what other controllers have to do first.
type pending struct {
	message string    // what is waited for; "": the status says so already
	whole   bool      // message is all that the status says: clients know it by heart (docs/wire.md, messages)
	until   time.Time // when to check again; zero: an event wakes the controller
	written bool      // the wait begins with a write of this very pass, which what follows comes after
	reason  string    // of the condition Progressing, where it is another than that of the release; "": it stays

	code   v1beta1.BlockerCode   // what status.blockers calls it; "": something else in the pass says what is waited for
	object v1beta1.BlockerObject // that it is about; zero: the Rollout
}

// A stage brings a part of what a pass wants about, as far as it goes, and says what it waits for.
type stage func() *pending

// run goes through stages, and stops at the first that waits.
func run(stages ...stage) *pending {
	for _, s := range stages {
		if p := s(); p != nil {
			return p
		}
	}
	return nil
}

// explained is the wait of a stage that has said in the status what it waits for.
func explained() *pending { return &pending{} }

// of is the same wait, which status.blockers says of an object.
func (p *pending) of(code v1beta1.BlockerCode, object v1beta1.BlockerObject) *pending {
	p.code, p.object = code, object
	return p
}

// saying is the same wait with a message.
func (p *pending) saying(message string) *pending {
	p.message = message
	return p
}

// writing is the wait for the changes of this pass.
func writing() *pending { return &pending{written: true} }
