# The commands of this repository. Each target is a script or a cargo command that can also be run by itself.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.PHONY: help setup demo try test check fmt lint unit conformance crds catalogue images clients e2e bench bench-seeds fleet clean

CACHE := $(or $(SPILLWAY_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/spillway)

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## the whole story on a real cluster, step by step (root, Debian; 20 minutes the first time, then 2)
	@e2e/demo.sh

try: ## the same story without a cluster and without root (spillway dev)
	@e2e/try.sh

test: ## everything: set-up, formatting, lints, unit tests, end-to-end tests
	@e2e/test.sh

setup: ## a kind cluster with LLM servers and Spillway in it, for e2e
	@e2e/setup.sh

check: fmt lint unit ## all that needs no cluster

fmt:
	@cargo fmt --all --check

lint:
	@cargo clippy --locked --workspace --all-targets -- -D warnings

unit:
	@cargo test --locked --workspace --exclude spillway-e2e

conformance: ## what other people's software does at every provider, against what we do: a table
	@cargo test --locked -p spillway-providers --test conformance -- --nocapture --test-threads 1
	@cargo test --locked -p spillway-tests --test costs -- --nocapture

clients: ## real clients, unmodified, through Spillway: every SDK at every family of providers, and OpenAI's own tests
	@tests/clients.sh

e2e: ## the end-to-end tests alone, on the cluster of `make setup` (or KUBECONFIG_E2E=FILE)
	@e2e/run.sh

crds: ## write charts/spillway-crds from the types in crds/
	@UPDATE=1 cargo test --locked -p spillway-crds --test generated

catalogue: ## write operator/data/catalogue.json.gz from LIST, LiteLLM's model_prices_and_context_window.json (or its release)
	@operator/data/catalogue.sh $(LIST)

images: ## localhost/spillway and localhost/spillway-sidecar, FROM scratch
	@e2e/images.sh spillway

bench: ## the sidecar beside a bare proxy, in one run
	@tests/bench.sh

bench-seeds: ## 20,000 seeds (or SPILLWAY_SEEDS) of replicas and sidecars on a simulated network: nothing is overspent
	@SPILLWAY_SEEDS=$${SPILLWAY_SEEDS:-20000} cargo test --locked --release -p spillway-operator --lib -- --nocapture nothing_is_overspent

fleet: ## 50 sidecars, a budget and a fleet-wide limit, while they and their operators are killed (root; a cluster of its own)
	@tests/fleet.sh budget
	tests/fleet.sh rate

clean: ## remove the cluster (what was downloaded and built stays in the cache: rm -rf $(CACHE))
	@if [ -x $(CACHE)/bin/kind ]; then $(CACHE)/bin/kind delete cluster --name $${SPILLWAY_CLUSTER:-spillway}; fi
	@rm -rf target/images
