// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const auditLines = `{"stage":"ResponseComplete","verb":"patch","user":{"username":"me"},"objectRef":{"resource":"deployments","apiGroup":"apps"},"requestReceivedTimestamp":"2026-01-02T12:00:01.5Z"}
{"stage":"ResponseComplete","verb":"patch","user":{"username":"me"},"objectRef":{"resource":"deployments","apiGroup":"apps"},"requestReceivedTimestamp":"2026-01-02T12:00:01.4Z"}
{"stage":"ResponseComplete","verb":"patch","user":{"username":"you"},"objectRef":{"resource":"deployments","apiGroup":"apps"},"requestReceivedTimestamp":"2026-01-02T12:00:02Z"}
{"stage":"ResponseStarted","verb":"watch","user":{"username":"me"},"objectRef":{"resource":"pods"},"requestReceivedTimestamp":"2026-01-02T12:00:02Z"}
{"stage":"ResponseComplete","verb":"watch","user":{"username":"me"},"objectRef":{"resource":"pods"},"requestReceivedTimestamp":"2026-01-02T12:00:02Z"}
{"stage":"ResponseComplete","verb":"update","user":{"username":"me"},"objectRef":{"resource":"deployments","namespace":"there","apiGroup":"apps","subresource":"status"},"requestReceivedTimestamp":"2026-01-02T12:00:01Z"}
{"stage":"ResponseComplete","verb":"update","user":{"username":"me"},"objectRef":{"resource":"namespaces","name":"there"},"requestReceivedTimestamp":"2026-01-02T12:00:01Z"}
{"stage":"ResponseComplete","verb":"get","user":{"username":"me"},"requestReceivedTimestamp":"2026-01-02T12:00:03Z"}
{"stage":"ResponseComplete","verb":"patch","user":{"usern`

func TestCountCalls(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(auditLines), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := CountCalls(path, "me", time.Date(2026, 1, 2, 12, 0, 1, 5e8, time.UTC))
	want := map[Call]int{
		{Verb: "patch", Group: "apps", Resource: "deployments"}: 1,
		{Verb: "watch", Resource: "pods"}:                       1,
		{Verb: "get"}:                                           1,
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("counted %v (%v), want %v", got, err, want)
	}
	got, err = CountCallsIn(path, "me", "there")
	want = map[Call]int{{Verb: "update", Group: "apps", Resource: "deployments", Subresource: "status"}: 1}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("counted %v (%v), want %v", got, err, want)
	}
}
