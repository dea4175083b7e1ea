//go:build tools

// Package tools pins the helm that the tests of the chart run. It is never built itself:
// e2e/tools/install.sh builds the command imported here, at the version of go.mod and go.sum.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
