# What is typed on the command line; the work is done by the scripts named here.
# The product is built into ./target (CARGO_TARGET_DIR says otherwise) and installed into .venv.

PYTHON ?= python3
# For 'make test': only the steps with one of these words in their names.
STEPS ?=
# For 'make test-mpi4py' and 'make test-original': files, and more options of tests/mpi4py-suite/run.py.
MPI4PY ?=
# For 'make stress': messages that arrive over 2 and over 4 ranks, how often a rank is killed, which of all such runs.
MESSAGES ?= 10000000
KILLS ?= 200
# Calls of collectives for each number of ranks.
CALLS ?= 100000
SEED ?= 1
# For 'make bench': more options of bench/run.py.
BENCH ?=

help:
	@echo "make demo           build everything into .venv; run the example programs and a simulation on four ranks"
	@echo "make test           build what is missing, run all tests (STEPS='rust abi': only those; also STEPS=--list)"
	@echo "make test-mpi4py    mpi4py's own tests against this mpi4py (MPI4PY='p2p_buf comm --ranks 2': files and options)"
	@echo "make test-original  the same tests: the original mpi4py over our library"
	@echo "make check          what CI checks of the Rust sources (cargo xtask check)"
	@echo "make stress         10 million messages, 100,000 collectives for each of 1 to 8 ranks, 200 deaths (SEED=7: others)"
	@echo "make fuzz           arbitrary arguments and random datatypes for longer (SECONDS=600)"
	@echo "make bench          measure beside MPICH, Open MPI and Intel MPI (BENCH='--rows pp/*': options)"
	@echo "make bench-quick    the same in two minutes"
	@echo "make install        build and install into .venv"
	@echo "make clean          remove what was built, the environments too"

demo: install
	.venv/bin/python examples/run_seed.py
	.venv/bin/mpiexec -n 4 .venv/bin/python examples/heat.py --verify $(if $(shell test -t 2 && echo t),--progress bar)

test: python
	@$(PYTHON) tests/all.py $(STEPS)

test-mpi4py: install
	.venv/bin/python tests/mpi4py-suite/run.py $(MPI4PY)

test-original: install
	.venv/bin/python tests/mpi4py-suite/run.py --original $(MPI4PY)

check:
	cargo xtask check

# SECONDS of arbitrary arguments, with seeds of their own each time; then random datatypes.
SECONDS ?= 600

stress: install
	$(PYTHON) tests/stress/run.py --messages $(MESSAGES) --seed $(SEED)
	$(PYTHON) tests/stress/collectives.py --calls $(CALLS) --ranks 1 2 3 4 5 6 7 8 --seed $(SEED)
	$(PYTHON) tests/stress/many.py --seed $(SEED)
	$(PYTHON) tests/stress/kills_inside.py --all --within 1 --seed $(SEED)
	$(PYTHON) tests/stress/kills.py --kills $(KILLS) --within 1 --seed $(SEED)

fuzz: install
	$(PYTHON) tests/fuzz/run.py --seed $$(date +%s) --seconds $(SECONDS)
	PROPTEST_CASES=50000 cargo test --profile fast --package oxmpi-engine --lib reference
	$(PYTHON) tests/valgrind.py --cases 5000

bench: install
	$(PYTHON) bench/run.py $(BENCH)

bench-quick: install
	$(PYTHON) bench/run.py --quick $(BENCH)

install: python
	@$(PYTHON) tests/product.py

python:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	  f"Python 3.11 or newer is needed: make PYTHON=python3.11 (or newer); this is {sys.version}")'

clean:
	cargo clean
	rm -rf .venv .venv-peers .venv-original build dist examples/out .mypy_cache .ruff_cache

.PHONY: help demo test test-mpi4py test-original check stress fuzz bench bench-quick install python clean
