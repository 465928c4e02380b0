// SPDX-License-Identifier: Apache-2.0

package analysis

import "fmt"

// maxMessage is how long a message is at most, in characters: as much as a status keeps of one.
const maxMessage = 160

// Assess judges what a provider gave by the conditions of a metric, of which either may be nil: the other one is its negation then;
// where both are, whatever is there is good. With both, failure is looked at first, and where neither holds it is Inconclusive.
//
// Nothing, an empty list or text, and a NaN anywhere are NoData unless a condition asks about them: with isNil, len, default, ?? or a
// comparison with nil or "" about what is empty, with isNaN about a NaN. A comparison with NaN is false, so that "failure if above
// 5 %" would promote a version nobody has called. A condition that fails to evaluate on such a result is NoData, too. Other
// failures, of the condition or by a result that is too large for it, are Error. Only Successful has no message.
func Assess(success, failure *Condition, result any) (outcome Outcome, message string) {
	defer func() {
		if r := recover(); r != nil {
			outcome, message = Error, fmt.Sprintf("the conditions cannot be evaluated: %v", r)
		}
		message = shortened(message, maxMessage)
	}()
	lacks, err := lacking(result)
	if err != nil {
		return Error, err.Error()
	}
	asks := askedBy(success, failure)
	if asks.loops && lacks.size.values*lacks.size.text > maxLooped {
		return Error, "the result has too much text for a condition with a loop; ask for less"
	}
	if what := unanswered(lacks, asks); what != "" {
		return NoData, "the provider has " + what
	}
	outcome, message = evaluate(success, failure, result)
	if outcome == Error && (lacks.nan || lacks.empty != "") {
		return NoData, fmt.Sprintf("the provider has %s: %s", describe(result), message)
	}
	return outcome, message
}

// evaluate looks at the conditions themselves.
func evaluate(success, failure *Condition, result any) (Outcome, string) {
	if failure != nil {
		holds, err := failure.holds(result)
		switch {
		case err != nil:
			return Error, fmt.Sprintf("failureCondition: %v", err)
		case holds:
			return Failed, fmt.Sprintf("%s: failureCondition holds: %s", describe(result), failure)
		}
	}
	if success == nil {
		return Successful, ""
	}
	holds, err := success.holds(result)
	switch {
	case err != nil:
		return Error, fmt.Sprintf("successCondition: %v", err)
	case holds:
		return Successful, ""
	case failure == nil:
		return Failed, fmt.Sprintf("%s: successCondition does not hold: %s", describe(result), success)
	default:
		return Inconclusive, fmt.Sprintf("%s: neither condition holds", describe(result))
	}
}

// askedBy is what is asked by any of the conditions.
func askedBy(conditions ...*Condition) asked {
	var asks asked
	for _, c := range conditions {
		if c != nil {
			asks = asks.or(c.asks)
		}
	}
	return asks
}

// unanswered is what a result has instead of a value and no condition asks about; "": there is nothing of that.
func unanswered(lacks missing, asks asked) string {
	switch {
	case lacks.empty != "" && !asks.empty:
		return lacks.empty
	case lacks.nan && !asks.nan:
		return "NaN"
	default:
		return ""
	}
}
