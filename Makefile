# `make` alone says what there is. Everything runs in .venv, which appears by itself.
.DEFAULT_GOAL := help
.PHONY: help run test check lint types contracts audit sbom bench migrate docs site clean run-env dev-env
export PYTHON

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: run-env ## run the whole stack; CONFIDE_PORT and CONFIDE_HOME say where
	@exec .venv/bin/confide dev

test: dev-env ## run the tests; ARGS="-k booking" runs some of them
	.venv/bin/pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

check: lint types contracts test ## everything that a change must pass

lint: dev-env ## look for mistakes and odd formatting
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/bandit -q -ll -c pyproject.toml -r api core policies records migrations

types: dev-env ## check the types
	.venv/bin/mypy

contracts: dev-env ## check who imports whom
	.venv/bin/lint-imports

audit: dev-env ## look the locked dependencies up among known vulnerabilities; says so when the advisories cannot be reached
	@sh requirements/audit.sh

sbom: dev-env ## write what Confide is made of, with hashes and licences, as CycloneDX into dist/
	@mkdir -p dist
	.venv/bin/cyclonedx-py requirements requirements/run.txt --pyproject pyproject.toml --output-reproducible --of JSON -o dist/confide.cdx.json
	.venv/bin/cyclonedx-py environment .venv --pyproject pyproject.toml --output-reproducible --of JSON -o dist/environment.cdx.json

bench: dev-env ## measure secured reads and bookings beside a bare floor; ARGS="--rounds 9" takes longer
	.venv/bin/confide bench $(ARGS)

migrate: run-env ## bring the running stack's database, or CONFIDE_DATABASE_URL, up to date
	.venv/bin/confide migrate

docs: dev-env ## write the generated pages of docs/
	.venv/bin/confide docs

site: dev-env ## build the documentation's site into docs/_build
	.venv/bin/sphinx-build -q -W --keep-going -b html docs docs/_build

clean: ## remove the environment and caches; the data in .confide stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist docs/_build
	find api core policies records migrations tests -name __pycache__ -type d -prune -exec rm -rf {} +

run-env:
	@sh requirements/install.sh run

dev-env:
	@sh requirements/install.sh dev
