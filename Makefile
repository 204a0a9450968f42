# Two commands are enough: `make demo` and `make test`. Both set up what they need in .venv.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.13 || command -v python3)
BIN := .venv/bin
export PYTHONPATH := layers/billing:.
export SAM_CLI_TELEMETRY := 0

.PHONY: help setup demo up token show sign advance weather fail roll-secret migrate stripe-setup types-of-events test pictures torture orders attack quarter mutants lint types format template docs lock wheels sbom build check clean

help: ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

.venv/ready: requirements-dev.txt layers/billing/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null || \
	  { echo "Python 3.13 is needed: $(PYTHON) is not there or another version. Try: make PYTHON=/path/to/python3.13"; exit 1; }
	@echo "Setting up .venv (once; about a minute)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	@touch $@

setup: .venv/ready ## Everything that the other targets need, in .venv

demo: setup ## One tenant's life, from checkout to cancellation, on a stack of its own
	@$(BIN)/python -m local.commands.demo

up: setup ## The local stack on 127.0.0.1:8087, until Ctrl-C
	@$(BIN)/python -m local.commands.up

token: setup ## A token for the local stack: make token TENANT=550e8400; without TENANT, an operator's
	@$(BIN)/python -m local.tokens $(TENANT)

show: setup ## What the local stack's table holds of a tenant: make show TENANT=550e8400
	@$(if $(TENANT),,echo 'Whose? make show TENANT=550e8400'; exit 1)
	@$(BIN)/python -m local.commands.show $(TENANT)

sign: setup ## A freshly signed delivery: make -s sign EVENT=events/stripe/invoice.paid.json
	@$(if $(EVENT),,echo 'Which? make -s sign EVENT=events/stripe/invoice.paid.json' >&2; exit 1)
	@$(BIN)/python -m local.commands.sign $(EVENT)

advance: setup ## Moves the local Stripe's time, with all that becomes due: make advance DAYS=35
	@$(BIN)/python -m local.commands.control clock days=$(or $(DAYS),1)

weather: setup ## How its webhooks travel: make weather COPIES=2 LATE=3 LOST=0.5 SHUFFLED=true DOWN=true; fair without
	@$(BIN)/python -m local.commands.control weather copies=$(COPIES) late=$(LATE) lost=$(LOST) shuffled=$(SHUFFLED) down=$(DOWN)

fail: setup ## Its next API calls (ours are made again once) fail: make fail STATUS=500 COUNT=3, or time out: make fail SECONDS=12 COUNT=2
	@$(BIN)/python -m local.commands.control failures status=$(STATUS) count=$(COUNT) seconds=$(SECONDS)

roll-secret: setup ## A new webhook secret at Stripe and in Secrets Manager, the one before valid beside it
	@$(BIN)/python -m local.commands.control roll-secret

migrate: .venv/ready ## After an upgrade, new fields for old items: make migrate TABLE=… SECRET_ARN=… (DRY_RUN=1)
	@$(BIN)/python -m local.commands.migrate

# Nothing is passed as an argument: make puts what it is given into the environment, the key too.
stripe-setup: .venv/ready ## Sets up Stripe: make stripe-setup WEBHOOK_URL=… SECRET_ARN=…, the key in STRIPE_API_KEY; see docs/deployment.md
	@$(BIN)/python -m local.stripe_setup

types-of-events: setup ## The Stripe event types that are handled, one a line
	@$(BIN)/python -c 'from billing.replica.effects import EFFECTS; print(*EFFECTS, sep="\n")'

test: setup ## All tests, some eight minutes (what is not there for some of them is told); some: make test TESTS=tests/unit
	@$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(TESTS)

pictures: setup ## The pictures of the pages, by the tests that use the pages in Chromium
	@PICTURES=docs/images $(BIN)/pytest tests/e2e/browser

torture: setup ## Attacks the webhook and the endpoints: make torture N=1000; with its SEED=… again, or further if it was stopped; WORKERS=3
	@$(BIN)/python -m tests.torture $(or $(N),200) $(if $(SEED),--seed $(SEED)) $(if $(WORKERS),--workers $(WORKERS))

orders: setup ## Every order of the deliveries of short histories, as graphs of states: make orders, or HISTORY=renewal
	@$(BIN)/python -W ignore -m tests.orders "$(HISTORY)"

attack: setup ## Attacks the HTTP edge with forged, odd and foreign requests: make attack N=10000, or with SEED=… again
	@$(BIN)/python -W ignore -m tests.attack $(or $(N),500) $(if $(SEED),--seed $(SEED))

quarter: setup ## 50 tenants, 90 days, half of the webhooks lost, one reconciliation: make quarter TENANTS=50
	@$(BIN)/python -m tests.torture.quarter $(or $(TENANTS),50) $(if $(SEED),--seed $(SEED))

mutants: setup ## Takes the guards away, one at a time, and sees whether the machine of `torture` notices
	@$(BIN)/python -m tests.torture.mutants

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
docs: setup ## The site of the pages in docs/, in .site/index.html; links are checked
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --config-file .ci/mkdocs.yml

# Pinned versions with their hashes, of all platforms: what pyproject.toml names and what that needs.
LOCK := $(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.13 --generate-hashes --custom-compile-command "make lock"
lock: setup ## Writes the two requirements files anew from pyproject.toml: make lock UPGRADE=1 for newer versions of the rest
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

# Without .pyc files every cold start compiles the layer anew: Lambda's /opt is read-only.
build: wheels sbom ## sam build from checked wheels, with the layer compiled, and an SBOM: make build ENV=prod
	@PIP_NO_INDEX=1 PIP_FIND_LINKS=$(CURDIR)/$(WHEELS) $(BIN)/sam build --config-env $(or $(ENV),default)
	@$(BIN)/python -m compileall -q --invalidation-mode unchecked-hash .aws-sam/build/BillingLayer/python
	@echo "The packages of the layer, with their hashes: $(SBOM)"

check: lint types template docs test ## What CI runs

clean: ## Removes what was built, not .venv
	@rm -rf .aws-sam .local .site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
