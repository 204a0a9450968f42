# Two commands are enough: `make demo` and `make test`. Both set up what they need in .venv.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.13 || command -v python3)
BIN := .venv/bin
export PYTHONPATH := layers/billing:.
export SAM_CLI_TELEMETRY := 0

# The names of the variables on make's command line, for commands that refuse what they do not know. The values are in
# the environment: make puts them there, and process lists do not show them.
GIVEN = $(foreach GIVEN_,$(sort $(.VARIABLES)),$(if $(filter command,$(origin $(GIVEN_))),'$(GIVEN_)'))

.PHONY: help setup demo up token show sign advance weather fail scenario roll-secret migrate stripe-setup types-of-events test pictures torture orders attack quarter mutants bench lint types format template docs lock wheels sbom build check clean

##@ Begin here
# Prints the comments of this file: `##@` begins a group, `##` after a target says what it does, and a line that begins
# with `##` goes on with that.
help: ## This list
	@awk '/^##@ / { printf "\n%s\n", substr($$0, 5); next } \
	  /^## / { printf "%19s%s\n", "", substr($$0, 4) } \
	  /^[a-z-]+:.*## / { name = $$0; sub(/:.*/, "", name); sub(/^[^#]*## /, ""); printf "  %-17s%s\n", name, $$0 }' \
	  $(firstword $(MAKEFILE_LIST))

.venv/ready: requirements-dev.txt layers/billing/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null || \
	  { echo "Python 3.13 is needed: $(PYTHON) is not there or another version. Try: make PYTHON=/path/to/python3.13"; exit 1; }
	@echo "Setting up .venv (once; about a minute)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	@touch $@

setup: .venv/ready ## What the other targets need, in .venv; they call it

demo: setup ## One tenant's life, step by step, on a stack of its own
## FULL=1 shows the whole table after each step
	@$(BIN)/python -m local.commands.demo $(GIVEN)

test: setup ## All tests, some ten minutes; a part: TESTS=tests/unit
	@$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(TESTS)

##@ The local stack, and the commands for the one that runs
up: setup ## The stack on 127.0.0.1:8087, until Ctrl-C
## API_PORT=8087 STRIPE_PORT=12111 AWS_PORT=5000
## DYNAMODB=local or moto (without it: local where Java 17 is)
## ORIGINS="http://localhost:5173 …" (CORS), QUIET=1 (no log)
	@$(BIN)/python -m local.commands.up $(GIVEN)

show: setup ## What the table has of a tenant: make show TENANT=550e8400
	@$(BIN)/python -m local.commands.show $(GIVEN)

advance: setup ## Moves Stripe's time on, and what is due happens: DAYS=35
	@$(BIN)/python -m local.commands.control advance $(GIVEN)

weather: setup ## How webhooks travel from now on; fair without variables
## COPIES=2 LATE=3 (seconds) LOST=0.5 SHUFFLED=true DOWN=true
	@$(BIN)/python -m local.commands.control weather $(GIVEN)

# bash has a SECONDS of its own, and takes no fractions.
fail: SHELL := /bin/sh
fail: setup ## The next calls to Stripe fail or are slow
## STATUS=500 COUNT=3, or SECONDS=12 COUNT=2
	@$(BIN)/python -m local.commands.control fail $(GIVEN)

scenario: setup ## A story to watch in the console: NAME=… SEED=1
## without NAME: which there are
	@$(BIN)/python -m local.commands.scenario $(GIVEN)

roll-secret: setup ## A new webhook secret; the one before stays valid
	@$(BIN)/python -m local.commands.control roll-secret $(GIVEN)

token: setup ## A tenant's token (TENANT=550e8400), or an operator's
	@$(BIN)/python -m local.commands.token $(GIVEN)

sign: setup ## A signed delivery: EVENT=events/stripe/invoice.paid.json
	@$(BIN)/python -m local.commands.sign $(GIVEN)

##@ A deployed stack
migrate: .venv/ready ## New fields for old items: TABLE=… SECRET_ARN=… DRY_RUN=1
	@$(BIN)/python -m local.commands.migrate

# Nothing is passed as an argument: make puts what it is given into the environment, the key too.
stripe-setup: .venv/ready ## Sets up Stripe's webhook and portal (docs/deployment.md)
## WEBHOOK_URL=… SECRET_ARN=…, and the key in STRIPE_API_KEY
	@$(BIN)/python -m local.stripe_setup

types-of-events: setup ## Stripe's event types that are handled, one a line
	@$(BIN)/python -c 'from billing.replica.effects import EFFECTS; print(*EFFECTS, sep="\n")'

##@ Tests that look further
pictures: setup ## The pictures of the pages, by tests in Chromium
	@PICTURES=docs/images $(BIN)/pytest tests/e2e/browser

torture: setup ## Attacks the webhook and the endpoints: N=1000 WORKERS=3
## with its SEED=… again, or further if it was stopped
	@$(BIN)/python -m tests.torture $(or $(N),200) $(if $(SEED),--seed $(SEED)) $(if $(WORKERS),--workers $(WORKERS))

orders: setup ## Every order of deliveries of short histories: HISTORY=renewal
	@$(BIN)/python -W ignore -m tests.orders "$(HISTORY)"

attack: setup ## Forged and odd requests to the HTTP edge: N=10000 SEED=…
	@$(BIN)/python -W ignore -m tests.attack $(or $(N),500) $(if $(SEED),--seed $(SEED))

quarter: setup ## 90 days, half of the webhooks lost: TENANTS=50 SEED=…
	@$(BIN)/python -m tests.torture.quarter $(or $(TENANTS),50) $(if $(SEED),--seed $(SEED))

mutants: setup ## Does `torture` notice if a guard is taken away?
	@$(BIN)/python -m tests.torture.mutants

bench: setup ## What it costs, beside its opponents (docs/performance.md)
## PLOT=1 draws the picture of that page anew
	@[ -d .aws-sam/build/BillingLayer ] || $(MAKE) --no-print-directory build
	@$(BIN)/python -W ignore -m benchmarks

##@ The code
lint: setup ## ruff, and the direction of the imports
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

types: setup ## mypy --strict
	@$(BIN)/mypy

format: setup ## Formats the code
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

template: setup ## sam validate --lint
	@$(BIN)/sam validate --lint

# A warning makes it fail, and so does a link or an anchor that leads nowhere (not with --quiet: that counts no warnings).
# The variable silences a notice about the successor of the theme.
docs: setup ## The site of the pages, in .site/index.html; checks links
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file .ci/mkdocs.yml

# Pinned versions with their hashes, of all platforms: what pyproject.toml names and what that needs.
LOCK := $(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.13 --generate-hashes --custom-compile-command "make lock"
lock: setup ## Writes the requirements files anew; UPGRADE=1: newer versions
	@$(LOCK) $(if $(UPGRADE),--upgrade) --output-file layers/billing/requirements.txt
	@$(LOCK) $(if $(UPGRADE),--upgrade) --constraint layers/billing/requirements.txt --group dev --output-file requirements-dev.txt

# sam fetches the wheels of another architecture without looking at hashes. So all are fetched and checked before, and
# sam gets no others: those of this machine, which it looks at first, and those of Lambda's two architectures.
WHEELS := .aws-sam/wheels
FETCH = $(BIN)/pip download --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary=:all: \
  --dest $(WHEELS) --requirement layers/billing/requirements.txt
ON_LAMBDA = $(FETCH) --python-version 3.13 --implementation cp --abi cp313 \
  --platform manylinux2014_$(1) --platform manylinux_2_17_$(1) --platform manylinux_2_28_$(1) --platform manylinux_2_34_$(1)
wheels: setup
	@rm -rf $(WHEELS)
	@$(FETCH) && $(call ON_LAMBDA,x86_64) && $(call ON_LAMBDA,aarch64)

# The software bill of materials (CycloneDX): every package of the layer, with version and hashes.
SBOM := .aws-sam/sbom.cdx.json
sbom: setup
	@mkdir -p $(dir $(SBOM))
	@$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-file $(SBOM) \
	  layers/billing/requirements.txt

# local/layer.py says what of the packages is left out, and compiles the rest.
build: wheels sbom ## sam build from checked wheels, and an SBOM: ENV=prod
	@PIP_NO_INDEX=1 PIP_FIND_LINKS=$(CURDIR)/$(WHEELS) $(BIN)/sam build --config-env $(or $(ENV),default)
	@$(BIN)/python -m local.layer .aws-sam/build/BillingLayer/python
	@echo "The packages of the layer, with their hashes: $(SBOM)"

check: lint types template docs test ## What CI runs

clean: ## Removes what was built, not .venv
	@rm -rf .aws-sam .local .site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
