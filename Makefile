# `make help` lists the targets. Every target sets up what it needs: a Python of 3.11 or newer, make and a package
# registry are enough. Another Python: make PYTHON=/path/to/python test
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3))
WORKERS ?= 2
TESTS ?= tests
DEMO := mnist_random mnist_mixing
STUDY ?= multirun/paper/$(shell date +%Y-%m-%d_%H-%M-%S)
STUDY := $(STUDY)

PY := .venv/bin/python
INSTALLED := .venv/.installed

# Threads that wait for each other must not spin: two busy processes would fall to a fraction of their speed.
export OMP_WAIT_POLICY := PASSIVE

.DEFAULT_GOAL := help
.PHONY: help setup test coverage test-slow lint types bench demo wheel paper figures docs build clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Make .venv with latreg and its development tools, where it is missing or out of date

$(INSTALLED): pyproject.toml constraints.txt tests/browser/package.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "expected Python 3.11 or newer: " + sys.version)'
	$(PYTHON) -m venv .venv
	$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@npm install --prefix tests/browser --no-package-lock --fetch-retries 0 --no-audit --no-fund --silent \
		|| echo "no npm: tests of the pages in a browser will be skipped"
	@touch $@

test: $(INSTALLED) ## Run the tests, all but the slow ones
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(WORKERS) --dist worksteal -m "not slow" $(TESTS)

coverage: $(INSTALLED) ## Run the tests and show which lines of latreg they reach; a part: make coverage TESTS=tests/search
	OMP_NUM_THREADS=1 $(PY) -m pytest -n $(WORKERS) -m "not slow" --cov --cov-report=term-missing:skip-covered $(TESTS)

test-slow: $(INSTALLED) ## Run the slow tests
	$(PY) -m pytest -m slow

bench: $(INSTALLED) ## Compare the engine with one image per call, into bench.json
	$(PY) -m benchmarks

lint: $(INSTALLED) ## Check style, format and the layers of the package
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports

types: $(INSTALLED) ## Check the types (mypy strict)
	.venv/bin/mypy

demo: $(INSTALLED) ## Search boundary inputs on MNIST with the shipped weights, and verify them (minutes)
	@set -e; for experiment in $(DEMO); do \
		folder=multirun/$$experiment/$$(date +%Y-%m-%d_%H-%M-%S)/0; \
		$(PY) -m latreg.run +experiment=$$experiment hydra.run.dir=$$folder; \
		$(PY) -m latreg.replay $$folder; \
		echo "See $$folder/examples.png"; \
	done

PUBLISHED := mnist_random_published,fashion_mnist_random_published,cifar10_random_published
PUBLISHED := $(PUBLISHED),mnist_mixing_published,fashion_mnist_mixing_published,cifar10_mixing_published
AT_ONCE := resume=true hydra/launcher=joblib hydra.launcher.n_jobs=$(WORKERS)

paper: $(INSTALLED) ## Run the study (hours), WORKERS searches at a time; interrupted: make paper STUDY=multirun/paper/<time>
	OMP_NUM_THREADS=1 $(PY) -m latreg.run +experiment=paper hydra.sweep.dir=$(STUDY) $(AT_ONCE)
	OMP_NUM_THREADS=1 $(PY) -m latreg.run -m +experiment=$(PUBLISHED) \
		truncation=none,psi_0.6,salvage search.sources_per_class=50 search.uncertain_per_class=10 \
		search.max_queries_per_source=200 tracking=disabled hydra.sweep.dir=$(STUDY)_published $(AT_ONCE)
	$(PY) -m latreg.report $(STUDY) $(STUDY)_published --results results -o report --study docs/study.md

figures: $(INSTALLED) ## Draw figures and page from results/ into report/, and the numbers into docs/study.md
	$(PY) -m latreg.report --results results -o report --study docs/study.md

report/index.html: $(wildcard results/*) | $(INSTALLED)
	$(PY) -m latreg.report --results results -o report

docs: $(INSTALLED) report/index.html ## Build the site into site/, and check its links: open site/index.html
	$(PY) -m mkdocs build --strict

wheel: $(INSTALLED) ## Build the wheel, and search with it outside of the repository
	.ci/wheel

build: $(INSTALLED) ## Build the wheel, with conf/ and the shipped weights inside
	$(PY) -m build --wheel

clean: ## Remove what tools leave behind; keeps .venv/ and multirun/
	rm -rf build dist site .coverage .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find latreg tests docs -name __pycache__ -type d -prune -exec rm -rf {} +
