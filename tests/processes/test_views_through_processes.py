"""keys(), values() and items() go to other processes as dict's do: as lists, by multiprocessing's own pickler only."""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle
import sys
from collections.abc import Callable
from multiprocessing.managers import BaseManager, DictProxy
from multiprocessing.reduction import ForkingPickler
from typing import Any

import pytest

from harness.process import run_python
from shardmap import ShardMap

VIEWS = {"keys": ["a", "b"], "values": [1, 2], "items": [("a", 1), ("b", 2)]}
views = pytest.mark.parametrize("name", VIEWS)


class Manager(BaseManager):
    pass


Manager.register("ShardMap", ShardMap, DictProxy)


@views
@pytest.mark.parametrize("kind", [dict, ShardMap])
def test_a_view_goes_through_a_queue_as_a_list(kind: Callable[..., Any], name: str) -> None:
    queue = multiprocessing.get_context("spawn").SimpleQueue()
    for source in (kind(a=1, b=2), ShardMap(a=1, b=2).snapshot()):
        queue.put(getattr(source, name)())
        assert queue.get() == VIEWS[name]
    queue.put({"inside": [getattr(kind(a=1, b=2), name)()]})
    assert queue.get() == {"inside": [VIEWS[name]]}
    queue.close()


def test_a_manager_s_proxy_gets_what_it_asks_for() -> None:
    with Manager(ctx=multiprocessing.get_context("spawn")) as manager:
        proxy = manager.ShardMap(a=1, b=2)  # type: ignore[attr-defined]
        for name, wanted in VIEWS.items():
            assert getattr(proxy, name)() == wanted
        made = proxy.copy()
        assert type(made) is ShardMap
        assert made == {"a": 1, "b": 2}
        assert dict(proxy) == {"a": 1, "b": 2}


@views
@pytest.mark.parametrize("kind", [dict, ShardMap])
def test_any_other_pickler_refuses_a_view(kind: Callable[..., Any], name: str) -> None:
    view = getattr(kind(a=1), name)()
    for refused in (pickle.dumps, copy.copy, copy.deepcopy, lambda view: pickle.dumps([view], 2)):
        with pytest.raises(TypeError, match="cannot pickle"):
            refused(view)


def test_picklers_made_of_multiprocessing_s_take_views() -> None:
    class Pickler(ForkingPickler):
        pass

    for kind in (ForkingPickler, Pickler):
        file = io.BytesIO()
        kind(file, pickle.HIGHEST_PROTOCOL).dump([getattr(ShardMap(a=1, b=2), name)() for name in VIEWS])
        assert pickle.loads(file.getvalue()) == [*VIEWS.values()]


def test_importing_the_package_does_not_import_multiprocessing_and_older_views_pass_too() -> None:
    run_python(
        """
        import sys
        from shardmap import ShardMap
        m = ShardMap(a=1, b=2)
        older = [m.keys(), m.values(), m.items()]
        assert "multiprocessing" not in sys.modules

        import pickle
        from multiprocessing.reduction import ForkingPickler
        for _ in range(2):
            assert pickle.loads(ForkingPickler.dumps(older)) == [["a", "b"], [1, 2], [("a", 1), ("b", 2)]]
            for view in older + [m.keys()]:
                try:
                    pickle.dumps(view)
                except TypeError:
                    continue
                raise AssertionError(view)
        assert pickle.loads(ForkingPickler.dumps(m.keys())) == ["a", "b"]
        """
    )


def test_a_module_that_is_being_imported_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    from shardmap import _views

    monkeypatch.setattr(_views, "_unregistered", True)
    monkeypatch.setitem(sys.modules, "multiprocessing.reduction", type(sys)("multiprocessing.reduction"))
    assert list(ShardMap(a=1).keys()) == ["a"]
    assert _views._unregistered
    monkeypatch.undo()
