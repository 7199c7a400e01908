# One command each, set-up included; the logic is in tools/ (standard library only).
PYTHON ?= python3
ARGS ?=
MAKEFLAGS += --no-print-directory

TASKS := test lint demo web bench bench-full instructions stress libraries check pauses explore asan tsan model arm64 macos windows docs wheel sdist workflows clean help

.DEFAULT_GOAL := help
.PHONY: $(TASKS)

$(TASKS):
	@$(PYTHON) -m tools $@ $(ARGS)
