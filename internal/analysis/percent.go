// SPDX-License-Identifier: Apache-2.0

package analysis

import (
	"strconv"
	"strings"
)

// Percent reads a percentage such as 99.5%, as a number of percent; ok is false where it is none from 0 to 100.
func Percent(text string) (percent float64, ok bool) {
	number, isPercent := strings.CutSuffix(text, "%")
	percent, err := strconv.ParseFloat(number, 64)
	return percent, isPercent && err == nil && percent >= 0 && percent <= 100
}

// Quantiles are the names that a latency can have.
var Quantiles = []string{"p50", "p75", "p90", "p95", "p99", "p999"}
