# `make demo` and `make test` do all their set-up themselves; see README.md.
UV := $(shell command -v uv || echo .uv/bin/uv)
BIN := .venv/bin
PYTEST := $(BIN)/pytest -q -n 2 --dist worksteal

.PHONY: help demo test test-long operations check format openapi migration-hashes bench bench-peers image lock clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: .venv/synced ## Seed a network, load it over HTTP, forecast, plan, show the result
	$(BIN)/pullplan demo

test: .venv/synced ## Every test that ends within minutes
	$(PYTEST) -m "not long"

test-long: .venv/synced ## The longer fault and load runs
	$(PYTEST) -m long

operations: .venv/synced ## How often schemathesis got 2xx from each operation of the contract
	$(BIN)/pytest -q -s tests/contract/test_schemathesis.py

check: .venv/synced ## Format, lint, types, import contracts, SQL lint, contract drift
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/squawk --config db/squawk.toml db/migrations/*.sql
	$(BIN)/hadolint Dockerfile
	$(BIN)/pullplan openapi --check openapi/openapi.yaml

format: .venv/synced ## Format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

openapi: .venv/synced ## Write openapi/openapi.yaml from the code
	$(BIN)/pullplan openapi --write openapi/openapi.yaml

migration-hashes: ## Freeze the new migrations: from then on, a change is a new file
	@touch db/migrations.sha256
	@for file in db/migrations/*.sql; do \
		grep -q "  $$file\$$" db/migrations.sha256 || sha256sum "$$file" >> db/migrations.sha256; done

bench: .venv/synced ## Every figure, each beside its reference
	$(BIN)/python -m bench.run

bench-peers: .venv/synced | $(UV) ## Published solvers on the same instances, 120 s each
	$(BIN)/python -m bench.peers --uv $(UV)

image: ## Build the Dockerfile with buildah and run it for real (root, Debian)
	bench/image.sh

lock: $(UV) ## Pin the dependencies again
	$(UV) pip compile -q --universal --generate-hashes --no-header --python-version 3.12 -o requirements.lock pyproject.toml
	$(UV) pip compile -q --universal --generate-hashes --no-header --python-version 3.12 --group dev -c requirements.lock -o requirements-dev.lock pyproject.toml
	$(UV) pip compile -q --universal --generate-hashes --no-header --python-version 3.12 --group build -c requirements-dev.lock -o requirements-build.lock

clean: ## Remove the environment and every cache
	rm -rf .venv .uv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/synced: requirements-dev.lock pyproject.toml | $(UV)
	$(UV) venv -q --allow-existing .venv
	$(UV) pip sync -q --python .venv --require-hashes --compile-bytecode requirements-dev.lock
	$(UV) pip install -q --python .venv --no-deps --no-build-isolation -e .
	@touch $@

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install -q uv==0.13.9
