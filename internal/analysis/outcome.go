// SPDX-License-Identifier: Apache-2.0

// Package analysis judges a new version by what was measured: it compares counters of the canary's requests with the stable's,
// evaluates the conditions of templates, and reads what Kubernetes itself says of pods. It also writes the queries that its
// built-in checks need.
//
// It is pure. What is measured comes in with its time, and what has to be remembered until the next reading is given back as
// small values that a status can hold. Who asks a provider, when, and what becomes of an outcome does not belong here.
//
// Nothing in it ends in a panic or without an outcome, whatever a provider or an API server sends.
package analysis

// Outcome is what one measurement says.
type Outcome string

// The outcomes. Every measurement has exactly one of them, and only Successful lets a release go on by itself.
const (
	// Successful: the conditions hold, or the canary is no worse than the stable.
	Successful Outcome = "successful"
	// Failed: a condition says that the version is bad, or the canary is worse than the stable.
	Failed Outcome = "failed"
	// Inconclusive: neither of two conditions holds, or what was seen speaks of the cluster as much as of the version.
	Inconclusive Outcome = "inconclusive"
	// Error: the provider, the credentials, the query or the condition is wrong. It says nothing of the version.
	Error Outcome = "error"
	// NoData: the provider answered, and had nothing: an empty list, nil, NaN, or no series on either side.
	NoData Outcome = "noData"
	// TooFewRequests: there are counts, and not enough of them for a comparison.
	TooFewRequests Outcome = "tooFewRequests"
)
