"""The pickles of functions for DaskWorkers: kept only while the function would be pickled to the same bytes."""

from __future__ import annotations

import functools
import math
import operator
import pickle
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("distributed")

from harness.threads import run_alike
from shardmap._dask_functions import _MOST_KEPT, FunctionPickles


def by_name(own: Any, key: Any) -> Any:
    return key


def made(source: str, name: str = "f", **variables: Any) -> Any:
    """A function of a program's main module, which is pickled by value."""
    variables["__name__"] = "__main__"
    exec(source, variables)
    return variables[name]


def result(pickles: FunctionPickles, function: Callable[..., Any], *arguments: Any) -> tuple[Any, bool]:
    pickled, shared = pickles.get(function)
    return pickle.loads(pickled)(*arguments), shared


@pytest.mark.parametrize("function", [by_name, len, dict.copy, operator.add, set, pickle.loads])
def test_functions_that_are_found_by_name_are_kept(function: Any) -> None:
    pickles = FunctionPickles()
    pickled, shared = pickles.get(function)
    assert shared and pickle.loads(pickled) == function and len(pickled) < 100
    assert pickles.get(function)[0] is pickled


CONSTANT = [
    made("def f(x): return x + 1"),
    made("def f(x, y=1): return x + y"),
    made("def f(x, *, y=1): return x + y"),
    made("STEP = 1\ndef f(x): return x + STEP"),
    made("STEPS = (1, ('a', 2))\ndef f(x): return x + STEPS[0]"),
    made("def one(): return 1\ndef f(x): return x + one()"),
    made("def f(x): return x + 1 if x < 5 else f(x - 1)"),
    made("import math\ndef f(x): return math.floor(x) + 1"),
    made("def f(x): return max([y + STEP for y in [x]])\nSTEP = 1"),
    made("def outer(step):\n def f(x): return x + step\n return f\nf = outer(1)"),
    made("f = lambda x: x + floor(1)", floor=math.floor),
]


@pytest.mark.parametrize("function", CONSTANT)
def test_functions_that_refer_to_constants_are_kept(function: Any) -> None:
    pickles = FunctionPickles()
    pickled, shared = pickles.get(function)
    assert shared and pickles.get(function)[0] is pickled
    assert pickle.loads(pickled)(1) == 2


class Callable_:
    def __init__(self) -> None:
        self.step = 1

    def __call__(self, x: int) -> int:
        return x + self.step

    method = __call__


items = [1]
ABLE = Callable_()
CHANGING = [
    (made("def f(x): return x + STEPS[0]", STEPS=items), lambda: items.__setitem__(0, 5)),
    (made("def f(x, steps=items): return x + steps[0]", items=items), lambda: items.__setitem__(0, 5)),
    (made("def f(x): return x + g()\ndef g(): return STEPS[0]", STEPS=items), lambda: items.__setitem__(0, 5)),
    (made("f = lambda x: x + get(0)", get=items.__getitem__), lambda: items.__setitem__(0, 5)),
    (functools.partial(lambda steps, x: x + steps[0], items), lambda: items.__setitem__(0, 5)),
    (ABLE, lambda: setattr(ABLE, "step", 5)),
    (ABLE.method, lambda: setattr(ABLE, "step", 5)),
]


@pytest.mark.parametrize(("function", "change"), CHANGING)
def test_functions_that_refer_to_what_can_change_are_pickled_each_time(function: Any, change: Any) -> None:
    items[0] = ABLE.step = 1
    pickles = FunctionPickles()
    assert result(pickles, function, 1) == (2, False)
    change()
    assert result(pickles, function, 1) == (6, False)


def rebind_variable(function: Any) -> None:
    function.__globals__["STEP"] = 5


def rebind_default(function: Any) -> None:
    function.__defaults__ = (5,)


def change_keyword_default(function: Any) -> None:
    function.__kwdefaults__["step"] = 5


def rebind_code(function: Any) -> None:
    function.__code__ = made("def f(x, step=1): return x + 5").__code__


def hide_builtin(function: Any) -> None:
    function.__globals__["abs"] = lambda step: 5


@pytest.mark.parametrize("change", [rebind_variable, rebind_default, change_keyword_default, rebind_code, hide_builtin])
def test_a_kept_function_that_was_changed_is_pickled_again(change: Any) -> None:
    pickles = FunctionPickles()
    if change is rebind_default or change is rebind_code:
        function = made("def f(x, step=1): return x + step")
    elif change is change_keyword_default:
        function = made("def f(x, *, step=1): return x + step")
    elif change is hide_builtin:
        function = made("def f(x): return x + abs(-1)")
    else:
        function = made("def f(x): return x + g()\ndef g(): return STEP", STEP=1)
    assert result(pickles, function, 1) == (2, True)
    change(function)
    assert result(pickles, function, 1)[0] == 6


def counter() -> Any:
    number = 0

    def count(x: int) -> int:
        nonlocal number
        number += x
        return number

    return count


@pytest.mark.parametrize(
    "function", [made("def f(x):\n    global n\n    n += x\n    return n", n=0), counter()], ids=["global", "nonlocal"]
)
def test_calls_do_not_share_a_function_that_assigns_to_its_variables(function: Any) -> None:
    pickles = FunctionPickles()
    for _ in range(2):
        assert result(pickles, function, 1) == (1, False)


def test_a_variable_of_an_enclosing_function_may_change() -> None:
    def outer() -> tuple[Any, Any]:
        step = 1

        def inner(x: int) -> int:
            return x + step

        def change() -> None:
            nonlocal step
            step = 5

        return inner, change

    pickles = FunctionPickles()
    inner, change = outer()
    assert result(pickles, inner, 1) == (2, True)
    change()
    assert result(pickles, inner, 1) == (6, True)


def test_attributes_of_functions_travel() -> None:
    pickles = FunctionPickles()
    function = made("def f(x): return x + f.step")
    function.step = 1
    assert result(pickles, function, 1) == (2, False)
    function.step = 5
    assert result(pickles, function, 1) == (6, False)


def test_no_more_functions_are_kept_than_the_bound_and_threads_may_share_them() -> None:
    pickles = FunctionPickles()

    def work(number: int) -> None:
        for step in range(2 * _MOST_KEPT):
            function = made(f"def f(x): return x + {step}")
            assert result(pickles, function, number) == (number + step, True)

    run_alike(2, work)
    assert len(pickles._kept) <= _MOST_KEPT + 1
