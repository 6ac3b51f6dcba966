# Needs make and Python 3.11 or newer; everything else goes into .venv.
#
#   make serve      run the proxy on 127.0.0.1, port 1080
#   make test       run all tests
#   make check      tests, coverage, lint, types, docs
#   make format     lay the code out the way lint wants it
#   make dist       build sdist and wheel into build/dist
#   make clean      forget all that was installed and built

PYTHON ?= python3
# How many tests run at a time; most of them wait for other programs.
JOBS ?= 2
TRIALFLAGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
METADATA := setup.cfg pyproject.toml

# The stages whose branches must all be tested by tests of their own.
COVERED := values wire machine

.PHONY: serve test check coverage lint format types docs dist clean
.DELETE_ON_ERROR:
# One virtual environment, one pip at a time.
.NOTPARALLEL:

serve: $(VENV)/installed
	$(BIN)/twistd -n --pidfile= socks6 --port 1080

test: $(VENV)/installed-test
	@mkdir -p build
	$(BIN)/trial --jobs=$(JOBS) --temp-directory=build/trial $(TRIALFLAGS) tests

check: test coverage lint types docs

coverage: $(VENV)/installed-test
	@mkdir -p build
	$(BIN)/python -m coverage run -m twisted.trial --reporter=text \
		--temp-directory=build/trial $(COVERED:%=tests.%)
	$(BIN)/python -m coverage report --fail-under=100

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/towncrier build --draft --version next >/dev/null

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(VENV)/installed-dev
	$(BIN)/mypy

docs: $(VENV)/installed-dev
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env \
		-d build/doctrees docs build/docs
	for page in README CONTRIBUTING CHANGELOG; do \
		$(BIN)/docutils --strict $$page.rst build/docs/$$page.html || exit 1; \
	done

dist: $(VENV)/installed-dev
	rm -rf build/dist
	$(BIN)/python -m build --outdir build/dist

clean:
	rm -rf $(VENV) build dist .hypothesis socks6.egg-info twisted/plugins/dropin.cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A virtual environment whose Python is gone is made anew, and its stamps, which
# lie in it, with it.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv --clear $(VENV)

# The larger sets contain the smaller ones, so they stamp those as well.
$(VENV)/installed: $(BIN)/python $(METADATA)
	$(PIP) --editable .
	touch $@

$(VENV)/installed-test: $(BIN)/python $(METADATA)
	$(PIP) --editable '.[test]'
	touch $(VENV)/installed $@

$(VENV)/installed-dev: $(BIN)/python $(METADATA)
	$(PIP) --editable '.[dev]'
	touch $(VENV)/installed $(VENV)/installed-test $@
