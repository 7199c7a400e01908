# The project's tasks, set-up included. noxfile.py says what each does.
PYTHON ?= python3
ARGS ?=
RUN = $(PYTHON) -m tools.run
MAKEFLAGS += --no-print-directory
TASKS := test lint demo web bench bench-full instructions stress libraries check pauses explore asan tsan model arm64 macos windows docs wheel sdist workflows clean help

.DEFAULT_GOAL := help
.PHONY: $(TASKS)

help: # the list of tasks
	@sed -n -e '/^def .*(session: nox.Session) -> None:$$/{N;s/def \(on_\)\{0,1\}\([a-z_0-9]*\).*"""\(.*\)"""/\2|\3/p;}' noxfile.py | \
		awk -F'|' '{ gsub("_", "-", $$1); printf "%-12s %s\n", $$1, $$2 }'
	@echo 'usage: make TASK [ARGS=...] [PYTHON=python3.12] [PYTHON_FREETHREADED=python3.14t]'

test: export SHARDMAP_EXPLORE_SECONDS ?= 4
test:
	@$(RUN) lint test $(if $(ARGS),,explore) -- $(ARGS)

# What runs in the background consists of waiting, so it leaves the CPU to the compiler.
demo:
	@rm -rf build/demo
	@$(PYTHON) examples/seed_program_locks.py & $(RUN) demo -- $(ARGS)

wheel:
	@mkdir -p dist && rm -f dist/*.whl
	@$(RUN) wheel wheel-test -- $(ARGS)

explore: export SHARDMAP_EXPLORE_SECONDS ?= 60
explore: export SHARDMAP_EXPLORE_MORE ?= 1
explore:
	@$(RUN) explore -- $(ARGS)

workflows:
	@$(RUN) lint test -- tests/packaging/test_workflows.py

$(filter-out test demo wheel explore workflows clean help,$(TASKS)):
	@$(RUN) $@ -- $(ARGS)

clean: # all generated files, but not the Python in the user's cache
	@rm -rf .nox build dist src/shardmap.egg-info .mypy_cache .pytest_cache .ruff_cache .benchmarks .hypothesis
