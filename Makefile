# make demo: the main job on the bundled incident.  make test: everything this machine can run.
# make servers: get the real servers, after which make test skips nothing.
PYTHON ?= python3
WORKERS ?= 3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed

.PHONY: venv demo test lint servers bench clean

venv: $(RUNTIME)

# Made anew only when a lock or the project's metadata changed; the source itself is linked, not copied.
$(RUNTIME): locks/runtime.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "aiops needs Python 3.11 or later, this is " + sys.version.split()[0])'
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r locks/runtime.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): locks/dev.txt $(RUNTIME)
	$(PIP) --require-hashes -r locks/dev.txt
	@touch $@

demo: $(RUNTIME)
	$(VENV)/bin/aiops demo

lint: $(DEV)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy --strict aiops_cli
	$(VENV)/bin/lint-imports

# More workers than two cores: much of the time is spent waiting for servers. A file stays with one worker,
# and so do files that share a fleet.
test: lint
	tests/netns $(PY) -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

servers: $(DEV)
	$(PY) -m tests.servers build

bench: $(DEV)
	$(PY) -m benchmarks

clean:
	rm -rf $(VENV) dist
	find . -name __pycache__ -prune -exec rm -rf {} +
