# `make` alone says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
PY := $(VENV)/bin/python
# Named by what is to be in it: another lock file makes it stale, a fresh checkout's times do not.
READY := $(VENV)/.ready-$(shell sha256sum requirements/dev.txt | cut -c1-16)
export PYTHONPATH := operator

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / {printf "  make %-14s %s\n", $$1, $$2} /^##@ / {printf "\n%s\n", substr($$0, 5)}' $(MAKEFILE_LIST)

##@ See it work (needs root and Go; builds its own cluster, see docs/)

.PHONY: demo demo-down
demo: $(READY) machine ## a real cluster with broken nodes, cured before your eyes; stays up
	$(PY) -m tests.demo
demo-down: $(READY) ## end the demo's cluster
	$(PY) -m tests.demo down

.PHONY: cluster cluster-down machine parts
cluster: $(READY) machine ## start the test cluster; prints the KUBECONFIG to export
	$(PY) -m tests.cluster up
	@echo "export KUBECONFIG=$$($(PY) -m tests.cluster kubeconfig)"
cluster-down: $(READY) ## end the test cluster
	$(PY) -m tests.cluster down
machine: $(READY)
	@sh hack/preflight.sh go root
	@$(PY) -m tests.cluster preflight
parts: machine ## all that the cluster and the tests are made of: Debian packages, then what is built, once
	@$(PY) -m tests.cluster build

##@ Work on it

.PHONY: venv lock fmt crds checks reasons metrics dashboard chart
venv: $(READY) ## .venv with the locked tools and dependencies
$(READY): | requirements/dev.txt hack/preflight.sh
	@sh hack/preflight.sh venv
	@echo "venv: installing requirements/dev.txt"
	@"$$(sh hack/preflight.sh python)" -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@rm -f $(VENV)/.ready-* && touch $@

UV_OPTIONS = --quiet --universal --python-version 3.11 --generate-hashes --no-header
UV_COMPILE = $(PY) -m uv pip compile pyproject.toml $(UV_OPTIONS)
lock: $(READY) ## resolve pyproject.toml anew into requirements/*.txt (UPGRADE=1: newest versions)
	$(UV_COMPILE) $(if $(UPGRADE),--upgrade) -o requirements/agent.txt
	$(UV_COMPILE) $(if $(UPGRADE),--upgrade) --extra operator -o requirements/operator.txt
	$(UV_COMPILE) $(if $(UPGRADE),--upgrade) --extra operator --group dev -o requirements/dev.txt
	$(PY) -m uv pip compile --group fuzz $(UV_OPTIONS) $(if $(UPGRADE),--upgrade) -o requirements/fuzz.txt

fmt: $(READY) ## format the Python code, mend what ruff can mend
	$(PY) -m ruff check --fix-only --quiet .
	$(PY) -m ruff format .
crds: $(READY) ## write crds/ from the models
	$(PY) -m cni_upgrade.api.crd crds/
checks: $(READY) ## write docs/reference/checks.md from the table of CHECKs
	$(PY) -m cni_upgrade.cli.checks_page > docs/reference/checks.md
reasons: $(READY) ## write docs/reference/reasons.md from the catalogue of reasons
	$(PY) -m cni_upgrade.cli.reasons_page > docs/reference/reasons.md
metrics: $(READY) ## write docs/reference/metrics.md from the table of metrics
	$(PY) -m cni_upgrade.controller.metrics_page > docs/reference/metrics.md
dashboard: $(READY) ## write manifests/components/monitoring/dashboard.json from hack/dashboard.py
	$(PY) hack/dashboard.py > manifests/components/monitoring/dashboard.json
chart: ## copy the manifests into charts/cni-upgrade-operator/files
	@sh hack/chart.sh

##@ Check it

.PHONY: lint test test-unit test-judge test-api test-e2e
lint: $(READY) ## ruff, mypy --strict, the arrows between packages, CRD drift, dependencies, shell, spelling, links, prose
	@bad=; check() { echo "lint: $$*"; "$$@" || bad="$$bad; $$*"; }; \
	check $(PY) -m ruff check --quiet .; \
	check $(PY) -m ruff format --check --quiet .; \
	check $(PY) -m mypy; \
	check $(VENV)/bin/lint-imports --no-logo; \
	check sh hack/check-crds.sh; \
	check sh hack/chart.sh --check; \
	check $(VENV)/bin/deptry operator; \
	check $(VENV)/bin/shellcheck .ci/run hack/*.sh manifests/uninstall.sh; \
	check $(VENV)/bin/codespell; \
	check $(PY) hack/links.py; \
	check $(PY) hack/prose.py --check; \
	[ -z "$$bad" ] || { echo "lint: failed: $${bad#; }"; exit 1; }

test-unit: $(READY) ## the pure core and the agent, without a cluster: seconds
	@$(PY) hack/run_tests.py tests/unit
test-judge: $(READY) ## is every config read as five releases of libcni read it? (root for namespaces)
	@sh hack/preflight.sh go
	@$(PY) hack/run_tests.py tests/judge
test-api: $(READY) ## against a real etcd and API server
	@sh hack/preflight.sh go
	@$(PY) hack/run_tests.py tests/api
test-e2e: $(READY) machine ## on real nodes: each fault shown and cured
	$(PY) -m pytest tests/e2e
test: $(READY) parts ## lint and every tier; the last line counts the tests
	@$(PY) hack/run_tests.py --lint

##@ Try it hard, and measure it (docs/measurements/engine.md and docs/dev/scale.md have the results)

.PHONY: simulate liars edits torture kills fuzz bench-node bench-fleet matrix bench-policies soak-sim soak
SEEDS ?= 1000
simulate: $(READY) ## SEEDS (1000, or as 1000:2000) rollouts in which everything goes wrong, against the rules of tests/unit/planner
	FLEET_SEEDS=$(SEEDS) $(PY) -m pytest tests/unit/planner/test_rollouts.py -n auto
# Nodes, hours, and how many seconds a pass takes at least.
FLEET ?= 300:24:12
SEED ?= 1
soak-sim: $(READY) ## a day of a simulated fleet (FLEET, 300 nodes) in which everything goes wrong at once, by SEED (1; or 1,2,3)
	FLEET_SOAK=$(FLEET) FLEET_SOAK_SEED=$(SEED) $(PY) -m pytest tests/unit/planner/test_soak.py --tb=short
MINUTES ?= 60
soak: $(READY) machine ## real nodes for MINUTES (60), whose controllers, agents, kubelets and runtimes are killed by SEED (1)
	$(PY) -m tests.soak --minutes $(MINUTES) --seed $(SEED)
EDITS ?= 20000
edits: $(READY) ## EDITS (20000) random edits of configs for each law of tests/unit/cni/test_rewrite.py
	CNI_UPGRADE_EDITS=$(EDITS) $(PY) -m pytest tests/unit/cni/test_rewrite.py -n auto --timeout 3600 --durations 6
matrix: $(READY) ## pods of 48 chains with 11 releases of plugins, against the engine's verdicts: docs/measurements/plugin-matrix.md (root)
	@sh hack/preflight.sh go
	$(PY) -m tests.judge.plugin_matrix --out docs/measurements/plugin-matrix.md
torture: $(READY) ## an apply killed at, and failed at, every system call: about an hour on two cores
	CNI_UPGRADE_TORTURE=all $(PY) -m pytest tests/unit/agent/test_torture.py -rP --tb=short
LIARS ?= 1
liars: $(READY) ## one in LIARS (1) lies of an agent's message or of a record, each member by each lie: an hour of CPU
	FLEET_LIARS=$(LIARS) $(PY) -m pytest tests/unit/planner/test_liars.py -n auto
kills: $(READY) ## rollouts of 20 nodes whose controller dies around every write: an hour or more
	@sh hack/preflight.sh go
	$(PY) -m pytest tests/api/long_kills.py -rP --tb=short
# Beside the other packages, and only here: the tests do without it.
FUZZER := $(VENV)/fuzz-$(shell sha256sum requirements/fuzz.txt | cut -c1-16)
FUZZ_SECONDS ?= 300
FUZZ_TARGETS ?= config rewrite report operation results_cache node state build_info source
$(FUZZER): $(READY)
	@rm -rf $(VENV)/fuzz-*
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --target $@.part -r requirements/fuzz.txt
	@mv $@.part $@
fuzz: $(FUZZER) ## any bytes for what reads files and messages, FUZZ_SECONDS (300) for each of FUZZ_TARGETS
	@for target in $(FUZZ_TARGETS); do \
	  echo "fuzz: $$target for $(FUZZ_SECONDS) s"; \
	  PYTHONPATH=operator:.:$(FUZZER) $(PY) -m tests.fuzz.run $$target \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=20 -verbosity=0 -print_final_stats=1; \
	done
bench-node: $(READY) machine ## what an agent costs a node, from the image itself (root)
	$(PY) -m tests.bench.node
NODES ?= 100 500
BENCH ?=
# Only where it stands behind `make`: a cluster that a shell works with is not measured by the way.
GIVEN := $(if $(filter command,$(origin KUBECONFIG)),--kubeconfig "$(KUBECONFIG)")
bench-fleet: $(READY) ## what NODES (100 500) played nodes cost the controller; BENCH=--help lists more; KUBECONFIG=...: in that cluster
	@sh hack/preflight.sh go
	$(PY) -m tests.bench.fleet $(NODES) $(BENCH) $(GIVEN)

bench-policies: $(READY) ## what those who may write policies alone can cost: 200 at every bound of the CRD, 100 played nodes
	@sh hack/preflight.sh go
	$(PY) -m tests.bench.policies $(BENCH)

##@ Ship it

.PHONY: image release install uninstall
image: $(READY) ## the two images as docker-archive files in the cache (root; Debian)
	@$(PY) hack/image.py
REGISTRY ?= registry.example.com/cni-upgrade
release: $(READY) ## all of a release into dist/VERSION: images, install.yaml, chart, wheel, SBOMs, checksums (REGISTRY=...; root; Debian)
	@sh hack/preflight.sh go root
	@$(PY) hack/release.py --registry $(REGISTRY) $(if $(VERSION),--version $(VERSION))
install: ## into the cluster of KUBECONFIG, with the images of the manifests
	kubectl apply -k .
uninstall: ## out of that cluster: leaves no cordon, no Job, no finalizer
	sh manifests/uninstall.sh
