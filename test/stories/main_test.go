// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"os"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard()) // the transcript is the log
	os.Exit(m.Run())
}
