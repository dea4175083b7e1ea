//go:build tools

// Package tools pins the NATS server that the tests run against and the NATS CLI. It is never built
// itself: e2e/tools/install.sh builds the commands imported here, at the versions of go.mod and
// go.sum.
package tools

import (
	_ "github.com/nats-io/nats-server/v2"
	_ "github.com/nats-io/natscli/nats"
)
