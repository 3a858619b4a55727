# Everything a newcomer needs: `make demo`, `make test`. Each does all its own set-up; a second run is quick.
#
#   .venv           development: an editable, interpreted installation with all tools
#   .venv-compiled  the package as users install it: the kernel compiled by mypyc if there is a C compiler

PYTHON ?= python3
VENV := .venv
COMPILED := .venv-compiled
SOURCES := $(shell find src -name '*.py')
# How many processes run the tests.
JOBS ?= 2

# Set in many containers. Without it hundreds of processes that tests start would each compile every module anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo notebook test test-display test-pure test-docs test-interpreted test-compiled coverage vectors exhaustive simulate soak reset-crashes recoveries fuzz check format bench bench-local docs clean help

help:
	@echo "make demo    a real data set through a real server, two devices, with the plug pulled"
	@echo "make test    all tests, interpreted; then those of the kernel and of the whole, compiled"
	@echo "make test-display the examples with windows, on a virtual display (needs xvfb)"
	@echo "make notebook run examples/explore.ipynb, and store its outputs"
	@echo "make vectors every recorded vector of the original, all of them with databases"
	@echo "make simulate devices and a server with everything that can go wrong: SEEDS=0:10000"
	@echo "make soak    real processes while connections are cut, frames corrupted, processes killed: ten minutes"
	@echo "make exhaustive all short histories of two and three peers: minutes"
	@echo "make reset-crashes devices killed at every line of a client reset: EVERY=1"
	@echo "make recoveries 1,000 random recoveries of client resets, checked by an oracle: ARGS=--cases 5000"
	@echo "make fuzz    the parser of changesets and applying them, fuzzed: SECONDS each (300)"
	@echo "make coverage branch coverage of the codec and the merge by their own tests"
	@echo "make pyright  the types of models, by pyright"
	@echo "make check   lint, format, types, import contracts, documentation and its snippets"
	@echo "make bench   the figures of docs/explanation/performance.md"
	@echo "make bench-local the object database beside others, into the same page: half an hour and more; ARGS=--quick"

# Byte code is made of what is imported: that of whole libraries takes as long as installing them.
$(VENV)/.ready: pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --upgrade pip
	SYNCLINE_PURE=1 $(VENV)/bin/pip install --quiet --disable-pip-version-check --no-compile --editable '.[dev]'
	touch $@

$(COMPILED)/.tools: pyproject.toml
	$(PYTHON) -m venv $(COMPILED)
	$(COMPILED)/bin/pip install --quiet --disable-pip-version-check --upgrade pip
	SYNCLINE_PURE=1 $(COMPILED)/bin/pip install --quiet --disable-pip-version-check --no-compile '.[dev]'
	rm -rf build
	touch $@

$(COMPILED)/.ready: $(COMPILED)/.tools setup.py $(SOURCES)
	rm -rf build
	$(COMPILED)/bin/pip install --quiet --disable-pip-version-check --no-deps --force-reinstall .
	rm -rf build
	touch $@

demo: $(COMPILED)/.ready
	$(COMPILED)/bin/syncline demo

# Compiling keeps one core busy for minutes, and the interpreted tests wait much of their time: both at once.
test: $(VENV)/.ready
	$(MAKE) -j 2 $(COMPILED)/.ready test-interpreted
	$(MAKE) test-compiled

test-interpreted:
	$(MAKE) test-pure
	$(MAKE) test-docs
	$(MAKE) coverage

# The codec's and the merge's own tests run under coverage instead; the tests of the whole (real processes) and of what
# tests (vectors, simulator, soak) run once: compiled, as users do. SYNCLINE_TESTS lets the tests notice wrong modules.
test-pure: $(VENV)/.ready
	SYNCLINE_PURE=1 SYNCLINE_TESTS=interpreted $(VENV)/bin/python -m pytest -q -n $(JOBS) --dist worksteal \
		--ignore tests/whole --ignore tests/testing --ignore tests/changesets --ignore tests/merge --ignore tests/docs

test-docs: $(VENV)/.ready
	$(VENV)/bin/python -m pytest -q -n $(JOBS) --dist worksteal tests/docs

# What the codec and the merge are tested for by their own tests alone: every branch, or nearly (pyproject.toml).
coverage: $(VENV)/.ready
	rm -f .coverage .coverage.*
	SYNCLINE_PURE=1 $(VENV)/bin/coverage run -m pytest -q -n $(JOBS) --dist worksteal -p no:cacheprovider \
		tests/changesets tests/merge
	$(VENV)/bin/coverage combine --quiet
	$(VENV)/bin/coverage report

test-compiled: $(COMPILED)/.ready
	SYNCLINE_TESTS=compiled $(COMPILED)/bin/python -m pytest -q -n $(JOBS) --dist worksteal -p no:cacheprovider \
		tests/test_*.py tests/changesets tests/merge tests/storage tests/realm/test_objects.py tests/protocol \
		tests/testing tests/fuzz tests/whole

# Run the notebook and store what it gives.
notebook: $(VENV)/.ready
	$(VENV)/bin/python tests/docs/test_notebook.py

# Windows of Tk on a display that nobody sees, those of Qt without any.
test-display: $(VENV)/.ready
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/display/requirements.txt
	SYNCLINE_PURE=1 SYNCLINE_TESTS=display QT_QPA_PLATFORM=offscreen xvfb-run -a $(VENV)/bin/python -m pytest -q tests/display

vectors: $(COMPILED)/.ready
	$(COMPILED)/bin/python -m syncline.testing.vectors tests/vectors/fixtures.json tests/vectors/*.jsonl tests/vectors/*.gz
	$(COMPILED)/bin/python -m syncline.testing.vector_trouble tests/vectors/merges_trouble.jsonl.gz \
		--page docs/reference/merge-differences.md

# How many runs, from which seed on.
SEEDS ?= 0:10000

simulate: $(COMPILED)/.ready
	$(COMPILED)/bin/python -m syncline.testing.simulation --seeds $(SEEDS) --jobs $(JOBS)

# More options: ARGS='--seed 7 --scale 0.1', see docs/reference/soak.md.
soak: $(COMPILED)/.ready
	$(COMPILED)/bin/python -m syncline.testing.soak $(ARGS)

exhaustive: $(COMPILED)/.ready
	$(COMPILED)/bin/python -m syncline.testing.exhaustive --jobs $(JOBS)

reset-crashes: $(VENV)/.ready
	$(VENV)/bin/python -m syncline.testing.reset_crashes --every $(or $(EVERY),1)

# More options: ARGS='--cases 5000 --seed 42', see docs/reference/recovery.md.
recoveries: $(COMPILED)/.ready
	$(COMPILED)/bin/python -m syncline.testing.recovery $(ARGS)

# Needs interpreted modules, and atheris, which is there for Linux on x86-64 only.
SECONDS ?= 300
fuzz: $(VENV)/.ready
	SYNCLINE_PURE=1 $(VENV)/bin/pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	$(VENV)/bin/python -m syncline.testing.fuzz parser --seconds $(SECONDS)
	$(VENV)/bin/python -m syncline.testing.fuzz apply --seconds $(SECONDS)

check: $(VENV)/.ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy tests/typing
	$(VENV)/bin/lint-imports
	$(MAKE) pyright
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet --strict

# What another type checker than mypy makes of models; it brings its own Node.js.
pyright: $(VENV)/.ready
	$(VENV)/bin/pip install --quiet --disable-pip-version-check basedpyright
	$(VENV)/bin/basedpyright --level error tests/typing/any_checker.py

format: $(VENV)/.ready
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(COMPILED)/.ready
	$(COMPILED)/bin/python bench/whole.py
	$(COMPILED)/bin/python bench/merge.py

# Databases that do not install here are left out. Options: ARGS='--objects 100000 --only Syncline apsw', or --quick.
bench-local: $(COMPILED)/.ready
	@grep -v '^#' bench/requirements.txt | while read -r each; do \
		$(COMPILED)/bin/pip install --quiet --disable-pip-version-check "$$each" || echo "absent: $$each"; \
	done
	$(COMPILED)/bin/python bench/local.py $(or $(ARGS),--page docs/explanation/performance.md)

docs: $(VENV)/.ready
	$(VENV)/bin/mkdocs serve

clean:
	rm -rf $(VENV) $(COMPILED) build site src/*.egg-info
