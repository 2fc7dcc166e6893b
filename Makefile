# What a newcomer needs: `make demo`, `make test`, `make lint`, `make bench`. Each installs what it lacks first.

# Build products stay outside of the checkout, so that a fresh clone of the same machine builds fast.
HOMING_CACHE ?= $(HOME)/.cache/homing
CARGO_TARGET_DIR ?= $(HOMING_CACHE)/target
export HOMING_CACHE CARGO_TARGET_DIR

# The same set of targets in every call, so that cargo never builds a dependency twice with other features.
BUILD = cargo build --quiet --workspace --lib --bins --tests

.PHONY: help demo demo-operaton test lint deny bench

help:
	@echo "make demo    two real engine sites, the router and its admin listener; Ctrl-C leaves nothing behind"
	@echo "make test    every test, with real engines and real databases"
	@echo "make lint    formatting, clippy, tidy rules"
	@echo "make deny    licences and advisories of all dependencies (needs cargo-deny)"
	@echo "make bench   the numbers in the documentation"

# PORT=8080 and ADMIN_PORT=8081 choose where the router listens.
demo: demo-operaton

demo-operaton:
	@scripts/prerequisites demo
	@scripts/engines operaton
	@$(BUILD)
	@"$(CARGO_TARGET_DIR)/debug/demo-operaton" $(if $(PORT),--port $(PORT)) $(if $(ADMIN_PORT),--admin-port $(ADMIN_PORT))

test:
	@scripts/prerequisites test
	@scripts/engines
	@$(BUILD)
	cargo test --workspace

lint:
	@scripts/prerequisites lint
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	cargo test --quiet --package homing-tests --test e2e -- tidy

deny:
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is not installed; see https://crates.io/crates/cargo-deny" >&2; exit 1; }
	cargo deny --workspace check

bench:
	@scripts/prerequisites bench
	cargo build --quiet --release --package homing-proxy
	cargo bench --package homing-benches
