"""Only the main interpreter imports shardmap; a subinterpreter gets a clear ImportError, whoever tried first."""

from __future__ import annotations

import sys

import pytest

from harness.process import run_python

if sys.version_info >= (3, 13):
    interpreters = pytest.importorskip("_interpreters")
    KINDS = ["legacy", "isolated"]
else:
    interpreters = pytest.importorskip("_xxsubinterpreters")
    KINDS = ["legacy", "isolated"] if sys.version_info >= (3, 12) else ["legacy"]

PROGRAM = """
import sys
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
    run = interpreters.exec
else:
    import _xxsubinterpreters as interpreters
    run = interpreters.run_string

IN_SUBINTERPRETER = '''
for name in "shardmap", "shardmap._core", "shardmap._map", "shardmap":
    try:
        __import__(name)
    except ImportError as error:
        assert "cannot be imported in a subinterpreter" in str(error), error
        assert error.name == "shardmap"
    else:
        raise AssertionError(name)
'''

def subinterpreter():
    if sys.version_info >= (3, 13):
        made = interpreters.create({kind!r})
    else:
        made = interpreters.create(isolated={kind!r} == "isolated")
    try:
        failed = run(made, IN_SUBINTERPRETER)
        assert failed is None, failed
    finally:
        interpreters.destroy(made)

def main():
    from shardmap import ShardMap
    m = ShardMap(a=1)
    m.update((n, str(n)) for n in range(1000))
    assert len(m) == 1001 and m["a"] == 1

for turn in {order}:
    turn()
print("done")
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "order",
    ["subinterpreter, main", "main, subinterpreter", "subinterpreter, subinterpreter, main, subinterpreter, main"],
)
def test_a_subinterpreter_is_refused_and_the_main_interpreter_is_not(kind: str, order: str) -> None:
    assert run_python(PROGRAM.format(kind=kind, order=f"({order})")).stdout == "done\n"


def test_the_main_interpreter_is_known_from_a_thread() -> None:
    run_python(
        """
        import threading
        errors = []
        def work():
            try:
                import shardmap
            except ImportError as error:
                errors.append(error)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert not errors, errors
        """
    )
