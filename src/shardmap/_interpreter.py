"""Refuses subinterpreters, before the core is imported. Types and locks of the core belong to one interpreter, and if a
subinterpreter imported the core first, the main interpreter could not import it."""

import importlib


def _is_main() -> bool:
    for name in "_interpreters", "_xxsubinterpreters":  # the latter up to 3.12
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() == interpreters.get_main())
    return True  # a CPython without subinterpreters


if not _is_main():
    raise ImportError(
        "shardmap cannot be imported in a subinterpreter: only the main interpreter of a process can use it",
        name="shardmap",
    )
