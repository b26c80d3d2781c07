# `make demo` shows Headwater at work, `make test` proves it. Both install what is missing first.
.DEFAULT_GOAL := help
.PHONY: help setup programs build demo test test-clients faults

# Where cargo puts what it builds; cargo reads the same variable.
target_dir := $(or $(CARGO_TARGET_DIR),target)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

setup: ## install what is missing: a C linker, PostgreSQL, nats-server, and what the suite needs
	@scripts/setup.sh

programs:
	@scripts/setup.sh --programs

build: ## build the programs
	cargo build --locked

demo: programs build ## a fleet of three nodes, from a command to a verified file on each
	@"$(target_dir)/debug/headwater" demo

test: setup ## format, lints, docs and the whole suite on real PostgreSQL and NATS
	@scripts/test.sh

test-clients: setup ## schemathesis and a generated client in Python, against a real server (5 minutes)
	@scripts/clients.sh

faults: setup ## every fault in its long form, with several seeds, and a table of what users see (an hour)
	@scripts/faults.sh
