//go:build tools

// Package tools pins etcd, the store of the test cluster's API server. It is never built itself:
// e2e/tools/install.sh builds the command imported here, at the version of go.mod and go.sum.
package tools

import _ "go.etcd.io/etcd/server/v3"
