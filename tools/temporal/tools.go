//go:build tools

// Package temporal pins the Temporal command, with its development server.
package temporal

import _ "github.com/temporalio/cli/cmd/temporal"
