# Every target sets up what it needs in .venv; nothing else is touched outside the checkout and pip's cache.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := -c constraints.txt
# Where torch's CPU build (0.2 GB) comes from when pip's own index has none: on PyPI torch for Linux is a CUDA build, 3 GB
# with what it brings. TORCH_INDEX= takes pip's.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: setup demo demo-budget demo-long test lint test-apps apps-full test-slow slow integration exhaustive full reliability bench bench-kernels clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml runtime/pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("edgeformer needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	@if [ -n "$(TORCH_INDEX)" ] && [ "$$(uname)" = Linux ] && ! $(BIN)/pip index versions torch 2>/dev/null | grep -q '+cpu'; then \
	  echo "torch: the CPU build, from $(TORCH_INDEX); 'make $(MAKECMDGOALS) TORCH_INDEX=' takes pip's own"; \
	  $(BIN)/pip install -qq $(CONSTRAINTS) --index-url $(TORCH_INDEX) torch; fi
	$(BIN)/pip install -qq $(CONSTRAINTS) -e ./runtime -e '.[all,dev,demo]'
	touch $@

# The main job on real data: train, compile for four devices, run in an environment that has the device wheel alone.
demo: setup
	$(BIN)/python examples/01_news_on_four_devices/demo.py
	$(BIN)/python examples/04_pictures/demo.py

# From a budget to a bundle: sensitivity, allocation, pruning and recovery on real data. Fine-tunes a model first.
demo-budget: setup
	$(BIN)/python examples/02_reviews_within_a_budget/demo.py $(DEMO_FLAGS)

# Documents of 4,096 tokens: positions extended, local attention, judged against full attention on real articles.
demo-long: setup
	$(BIN)/python examples/03_long_documents/demo.py $(DEMO_FLAGS)

# Each worker begins with its half of the files, so that what the tests of a file share is made once, and takes over
# from the other at the end.
test: setup lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not slow and not exhaustive'

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The runtimes for apps; what compiles them is fetched into build/ first.
test-apps: setup
	tests/apps/kotlin/run.sh
	tests/apps/swift/run.sh
	$(BIN)/python -m pytest tests/apps/web

# The same with 100,000 mutated manifests and tokenizers and 1,000 rows of a real model.
apps-full: setup
	EDGEFORMER_FULL=1 $(MAKE) test-apps

# Minutes, not seconds: wheels outside the checkout, every Python at hand, larger models. Warnings are no errors here:
# every family of transformers and every version of an engine has its own.
test-slow: slow integration

slow: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal -W default -m slow
	$(BIN)/python tests/reliability/run.py --quick

integration: setup
	$(BIN)/pip install -qq $(CONSTRAINTS) -e ./runtime -e '.[tensorrt-check]'
	$(BIN)/python -m pytest -n 2 --dist loadfile -W default tests/integration

# Whole products, of families and formats for instance, of which the other targets run each part and the pairs that
# matter.
exhaustive: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal -W default -m exhaustive

# Everything at its full size: what CI runs in small (DEMO_FLAGS=--quick, --quick reliability) is whole here.
full: test test-slow exhaustive apps-full reliability demo demo-budget demo-long

# What devices meet: hostile bundles, fuzzing, damage, kills, power cuts, sensor faults, a million runs. 15 minutes.
reliability: setup
	$(BIN)/python tests/reliability/run.py

# Ratios measured in one run, interleaved. Needs a quiet machine.
bench: setup
	$(BIN)/python tests/benchmarks/run.py $(PARTS)

# What the native kernels of linear layers reach of their instructions' peak, and whole models with and without them.
bench-kernels: setup
	$(BIN)/python tests/benchmarks/run.py kernels

clean:
	rm -rf build dist $(VENV)
