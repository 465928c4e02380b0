// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestMain draws the same random objects every time, so that a red build speaks of the change and not of the dice.
// SOAK=1 (`make soak`) draws others, and more of them.
func TestMain(m *testing.M) {
	checks, seed := "400", "20261127"
	if os.Getenv("SOAK") != "" {
		checks, seed = "10000", "0"
	}
	_ = flag.Set("rapid.checks", checks)
	_ = flag.Set("rapid.seed", seed)
	_ = flag.Set("rapid.nofailfile", "true") // the seed in the message is enough
	flag.Parse()
	os.Exit(m.Run())
}
