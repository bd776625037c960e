//go:build tools

// Package compose pins Docker's compose plugin.
package compose

import _ "github.com/docker/compose/v2/cmd"
