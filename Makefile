# What a newcomer needs: `make demo`, `make test`, `make lint`, `make bench`. Each installs what it lacks first.

# Build products stay outside of the checkout, so that a fresh clone of the same machine builds fast.
HOMING_CACHE ?= $(HOME)/.cache/homing
CARGO_TARGET_DIR ?= $(HOMING_CACHE)/target
export HOMING_CACHE CARGO_TARGET_DIR

# The same set of targets in every call, so that cargo never builds a dependency twice with other features.
BUILD = cargo build --quiet --workspace --lib --bins --tests

.PHONY: help demo demo-operaton demo-failover test lint fuzz campaign deny bench

help:
	@echo "make demo    two sites with Homing's own engine, the router, its admin listener; Ctrl-C leaves nothing behind"
	@echo "make demo-operaton  the same in front of two real Operaton sites on a private PostgreSQL"
	@echo "make demo-failover  load runs, one of two places gets kill -9, the other takes over by itself; prints a report (STORY=--planned, --cold, --agent-lives)"
	@echo "make test    every test, with real engines and real databases"
	@echo "make lint    formatting, clippy, tidy rules"
	@echo "make fuzz    what reads foreign bytes, on mutated inputs; FUZZ_SECONDS=60 for each of seven targets"
	@echo "make campaign  attacks, crowds, hand-overs, reloads, deaths of engines, models, fuzz targets at full length, with figures; AGAIN=1 begins anew"
	@echo "make deny    licences and advisories of all dependencies (needs cargo-deny)"
	@echo "make bench   the numbers in the documentation"

# PORT=8080 and ADMIN_PORT=8081 choose where the router listens; SITES=2, LOAD=0 (orders a second), KILL_AFTER (seconds).
demo:
	@scripts/prerequisites demo
	@cargo build --quiet --package homing-proxy --bin homing
	@"$(CARGO_TARGET_DIR)/debug/homing" demo $(if $(PORT),--port $(PORT)) $(if $(ADMIN_PORT),--admin-port $(ADMIN_PORT)) \
		$(if $(SITES),--sites $(SITES)) $(if $(LOAD),--load $(LOAD)) $(if $(KILL_AFTER),--kill-after $(KILL_AFTER))

demo-operaton:
	@scripts/prerequisites demo-operaton
	@scripts/engines operaton
	@$(BUILD)
	@"$(CARGO_TARGET_DIR)/debug/demo-operaton" $(if $(PORT),--port $(PORT)) $(if $(ADMIN_PORT),--admin-port $(ADMIN_PORT))

# Ends with 0 only if no answer was wrong and nothing acknowledged is lost.
demo-failover:
	@scripts/prerequisites demo-operaton
	@scripts/engines operaton
	@$(BUILD)
	@"$(CARGO_TARGET_DIR)/debug/demo-failover" $(STORY)

# What is fetched waits for the network most of the time; what is built does not.
test:
	@scripts/prerequisites test
	@{ scripts/engines && scripts/workers && scripts/models; } & fetched=$$!; $(BUILD) && wait $$fetched
	@scripts/tests

lint:
	@scripts/prerequisites lint
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	cargo test --quiet --workspace --test e2e -- tidy

# The inputs that read foreign bytes, mutated for FUZZ_SECONDS, all targets at a time.
fuzz:
	HOMING_FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) cargo test --quiet --workspace --test fuzz -- --test-threads=7

# Attacks, crowds, hand-overs, reloads, deaths of engines, models, simulations and fuzz targets at full length; prints what was
# measured. Begun again at the same commit it goes on where it was; AGAIN=1 begins anew.
campaign:
	@scripts/prerequisites test
	@$(BUILD)
	@scripts/campaign $(if $(AGAIN),--again)

deny:
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is not installed; see https://crates.io/crates/cargo-deny" >&2; exit 1; }
	cargo deny --workspace check

bench:
	@scripts/prerequisites bench
	@scripts/engines operaton
	cargo build --quiet --release --package homing-proxy
	cargo bench --package homing-benches
