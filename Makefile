# make demo | test | faults | lint | bench
#
# On Linux the plain torch wheel carries CUDA (gigabytes). For the CPU build:
#   make demo EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
PYTHON ?= python3
EXTRA_INDEX_URL ?=
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet -c constraints.txt $(if $(EXTRA_INDEX_URL),--extra-index-url $(EXTRA_INDEX_URL))

.PHONY: demo test faults lint bench clean

demo: $(VENV)/.demo
	$(BIN)/segtune run examples/brain.yaml
	$(BIN)/segtune report studies/brain

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not faults" -n 2 --dist loadfile --no-loadscope-reorder

faults: $(VENV)/.dev
	$(BIN)/python -m pytest -m faults -n 2

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/overhead.py
	PYTHONPATH=. $(BIN)/python benchmarks/scale.py
	PYTHONPATH=. $(BIN)/python benchmarks/scale.py --saving
	PYTHONPATH=. $(BIN)/python benchmarks/losses.py
	PYTHONPATH=. $(BIN)/python benchmarks/checkpoints.py
	test -z "$$SEGTUNE_DATA" || PYTHONPATH=. $(BIN)/python benchmarks/checkpoint_policies.py
	test -z "$$SEGTUNE_DATA" || PYTHONPATH=. $(BIN)/python benchmarks/training.py
	test -z "$$SEGTUNE_DATA" || PYTHONPATH=. $(BIN)/python benchmarks/search_live.py
	PYTHONPATH=. $(BIN)/python benchmarks/search.py
	PYTHONPATH=. $(BIN)/python benchmarks/memory.py
	PYTHONPATH=. $(BIN)/python benchmarks/predict.py
	PYTHONPATH=. $(BIN)/python benchmarks/report.py
	PYTHONPATH=. $(BIN)/python benchmarks/honesty.py

clean:
	rm -rf $(VENV) build ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("segtune needs Python 3.11 or newer, found " + sys.version.split()[0] + "; try make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e '.[brain]'
	touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(PIP_INSTALL) -e '.[brain,export,dev,bench]'
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(PIP_INSTALL) -e '.[brain,export,dev]'
	touch $@
