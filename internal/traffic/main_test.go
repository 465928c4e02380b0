// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestMain makes thousands of random objects over all routers the default; -rapid.checks=10000 is for a night.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		_ = flag.Set("rapid.checks", "400")
	}
	_ = flag.Set("rapid.nofailfile", "true") // the seed in the message is enough
	os.Exit(m.Run())
}
