// SPDX-License-Identifier: Apache-2.0

// Package log has nothing to say.
package log

import "log/slog"

// SetDefault does nothing.
func SetDefault(*slog.Logger) {}
