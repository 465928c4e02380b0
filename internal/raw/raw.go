// SPDX-License-Identifier: Apache-2.0

// Package raw handles objects as JSON has them: a cluster that is newer than our libraries has fields that our types lack, and
// an object that was read into one of these and written back whole would lose them. It is pure and knows no kind of object;
// what is to become of one is none of its business.
package raw

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Of is an object of our types as JSON has it.
func Of(o any) (map[string]any, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("writing the object: %w", err)
	}
	return Decode(text)
}

// Decode reads an object as JSON has it, numbers to the last digit.
func Decode(text []byte) (map[string]any, error) {
	m := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&m); err != nil {
		return nil, fmt.Errorf("reading the object: %w", err)
	}
	return m, nil
}
