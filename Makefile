# Two commands matter: `make run` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
BUILD ?= build/release
JOBS ?= $(shell nproc)
export LANEKEEPER_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/lanekeeper
export PATH := $(LANEKEEPER_CACHE)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help deps build binaries local run run-cluster test unit e2e-up e2e-down e2e bench-react bench-idle bench-runtime bench-rivals bench-simulate bench-gateway bench-watchers bench-local bench-scale chaos-runtime chaos-scaling chaos-gateway chaos-failover chaos-cluster fuzz fuzz-http format tidy clean

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

deps: ## install build packages and nats-server
	@e2e/tools/install.sh packages
	@e2e/tools/install.sh nats

build: deps ## release build in $(BUILD)
	@cmake -G Ninja -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release --log-level=WARNING
	@cmake --build $(BUILD) -j $(JOBS)

binaries: deps # only what runs: no tests
	@cmake -G Ninja -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release --log-level=WARNING
	@cmake --build $(BUILD) -j $(JOBS) --target lanekeeper-operator lanekeeper-gateway lanekeeper-worker \
	  lanekeeper-example-worker lanekeeper-example-producer

local: ## installs and builds what `lanekeeper up` takes, no more: the command, workers, nats-server
	@e2e/tools/install.sh build
	@e2e/tools/install.sh nats
	@cmake -G Ninja -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release --log-level=WARNING
	@cmake --build $(BUILD) -j $(JOBS) --target lanekeeper lanekeeper-worker lanekeeper-example-worker \
	  lanekeeper-example-producer

run: local ## `lanekeeper up` on the example pool with a producer: everything on this machine, no cluster; Ctrl-C ends it
	@e2e/run.sh $(BUILD)

run-cluster: binaries ## the example pool on a real one-node Kubernetes; prints `kubectl get wp -w`
	@e2e/tools/install.sh cluster
	@e2e/run_cluster.sh $(BUILD)

test: ## everything: unit, NATS, API server, sanitizers, format, tidy, end to end; ends with "N passed, M failed"
	@e2e/tools/install.sh packages
	@python3 e2e/test.py

unit: build ## the quick tests: unit and NATS
	@ctest --test-dir $(BUILD) -L 'unit|nats' --output-on-failure

e2e-up: binaries ## bring up the cluster, build the images, install CRD and operator
	@e2e/tools/install.sh cluster
	@e2e/cluster/cluster.sh up
	@e2e/cluster/cluster.sh nats-up
	@e2e/cluster/cluster.sh images $(BUILD)
	@e2e/cluster/cluster.sh deploy

e2e-down: ## take the cluster down; nothing stays behind
	@e2e/cluster/cluster.sh nats-down
	@e2e/cluster/cluster.sh down

e2e: build e2e-up ## the scenarios against the cluster
	@e2e/cluster/cluster.sh example-images $(BUILD)
	@$(BUILD)/bin/lanekeeper-scenarios $(ARGS)

bench-react: build e2e-up ## publish -> Deployment patched, 30 bursts and more
	@$(BUILD)/bin/lanekeeper-bench-react $(ARGS)

bench-idle: build e2e-up ## 100 lanes at rest: memory, CPU, API writes of the operator
	@$(BUILD)/bin/lanekeeper-bench-idle $(ARGS)

bench-runtime: deps ## the worker runtime: throughput, start latency, memory, retry wave, restarts
	@cmake -G Ninja -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release --log-level=WARNING
	@cmake --build $(BUILD) -j $(JOBS) --target lanekeeper-bench-runtime
	@$(BUILD)/bin/lanekeeper-bench-runtime $(ARGS)

bench-rivals: deps ## the same no-op jobs drained by Lanekeeper, asynq (Redis) and River (PostgreSQL)
	@e2e/tools/install.sh rivals
	@cmake -G Ninja -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release --log-level=WARNING
	@cmake --build $(BUILD) -j $(JOBS) --target lanekeeper-bench-rivals
	@$(BUILD)/bin/lanekeeper-bench-rivals $(ARGS)

bench-simulate: deps ## the scaling policies side by side, simulated; LANEKEEPER_TRACES: folder of recorded traces
	@cmake -G Ninja -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release --log-level=WARNING
	@cmake --build $(BUILD) -j $(JOBS) --target lanekeeper-bench-simulate
	@$(BUILD)/bin/lanekeeper-bench-simulate $(ARGS)

bench-gateway: deps ## the gateway: submits beside a bare listener, p99 at half load, refusals when full
	@cmake -G Ninja -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release --log-level=WARNING
	@cmake --build $(BUILD) -j $(JOBS) --target lanekeeper-bench-gateway
	@$(BUILD)/bin/lanekeeper-bench-gateway $(ARGS)

bench-watchers: deps ## the gateway: 10,000 watchers, memory of each, how soon an update arrives
	@cmake -G Ninja -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release --log-level=WARNING
	@cmake --build $(BUILD) -j $(JOBS) --target lanekeeper-bench-watchers
	@$(BUILD)/bin/lanekeeper-bench-watchers $(ARGS)

bench-local: deps ## `lanekeeper up`: start to first job done, submit to handler start, memory and CPU at rest
	@cmake -G Ninja -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release --log-level=WARNING
	@cmake --build $(BUILD) -j $(JOBS) --target lanekeeper-bench-local
	@$(BUILD)/bin/lanekeeper-bench-local $(ARGS)

bench-scale: deps ## 10,000 lanes on a real API server and nats-server: memory, CPU, API writes, restart, one job (ARGS='--lanes 100 1000 10000')
	@e2e/tools/install.sh cluster
	@cmake -G Ninja -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release --log-level=WARNING
	@cmake --build $(BUILD) -j $(JOBS) --target lanekeeper-bench-scale
	@$(BUILD)/bin/lanekeeper-bench-scale $(ARGS)

chaos-runtime: deps ## kill workers and servers under load, and show that no job is lost
	@cmake -G Ninja -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release --log-level=WARNING
	@cmake --build $(BUILD) -j $(JOBS) --target lanekeeper-chaos-runtime
	@$(BUILD)/bin/lanekeeper-chaos-runtime $(ARGS)

chaos-scaling: e2e-up ## scale-ins, rollouts and node drains on the cluster while jobs run: none is interrupted
	@cmake --build $(BUILD) -j $(JOBS) --target lanekeeper-chaos-scaling
	@$(BUILD)/bin/lanekeeper-chaos-scaling $(ARGS)

chaos-gateway: deps ## kill gateways and nats-server under load: nothing answered 202 is lost, a key is one job
	@cmake -G Ninja -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release --log-level=WARNING
	@cmake --build $(BUILD) -j $(JOBS) --target lanekeeper-chaos-gateway
	@$(BUILD)/bin/lanekeeper-chaos-gateway $(ARGS)

chaos-cluster: deps ## the whole product on three nodes of JetStream while nodes come and go: nothing lost, no wrong step
	@e2e/tools/install.sh cluster
	@cmake -G Ninja -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release --log-level=WARNING
	@cmake --build $(BUILD) -j $(JOBS) --target lanekeeper-chaos-cluster lanekeeper-chaos-gateway-worker
	@$(BUILD)/bin/lanekeeper-chaos-cluster $(ARGS)

chaos-failover: deps ## two operators and a real API server behind a fault proxy: one leads, and no decision is taken twice
	@e2e/tools/install.sh cluster
	@cmake -G Ninja -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release --log-level=WARNING
	@cmake --build $(BUILD) -j $(JOBS) --target lanekeeper-chaos-failover
	@$(BUILD)/bin/lanekeeper-chaos-failover $(ARGS)

fuzz: deps ## libFuzzer on the parsers, with sanitizers; ARGS: seconds of each target (60)
	@worker-runtime/gateway/fuzz/fuzz.sh $(ARGS)

fuzz-http: deps ## schemathesis on a real gateway, from its own OpenAPI document
	@e2e/tools/install.sh schemathesis
	@cmake -G Ninja -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release --log-level=WARNING
	@cmake --build $(BUILD) -j $(JOBS) --target lanekeeper-gateway lanekeeper-example-worker
	@python3 e2e/gateway/fuzz_http.py $(BUILD) $(ARGS)

format: ## clang-format in place
	@git ls-files -co --exclude-standard '*.h' '*.cpp' | xargs clang-format-14 -i

tidy: build ## clang-tidy, every finding an error
	@python3 e2e/test.py release tidy

clean: ## remove build output
	@rm -rf build
