//go:build tools

// Package temporalserver pins the Temporal server of a deployment, and the tool that prepares its databases.
package temporalserver

import (
	_ "go.temporal.io/server/cmd/server"
	_ "go.temporal.io/server/cmd/tools/sql"
)
