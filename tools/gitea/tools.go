//go:build tools

// Package gitea pins the forge that the demo and the tests push to.
package gitea

import _ "code.gitea.io/gitea"
