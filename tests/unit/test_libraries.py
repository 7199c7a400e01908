"""What others make of a map, since it is no dict: each row of the table in docs/differences-from-dict.md."""

from __future__ import annotations

import ast
import collections.abc
import dataclasses
import json
import pprint
import re
import typing
from pathlib import Path
from typing import Any

import pytest

from shardmap import ShardMap

DOCUMENT = Path(__file__).parents[2] / "docs" / "differences-from-dict.md"
ROWS = {
    "`pandas.DataFrame(m)`": "test_pandas_makes_a_column_of_the_keys",
    "`pandas.Series(m)`": "test_pandas_asks_for_keys_and_for_values",
    "`dataclasses.asdict(x)`": "test_asdict_does_not_go_into_a_map",
    "`str(m)`, `repr(m)` as a file format": "test_a_map_s_text_is_no_literal",
    "`pprint`": "test_pprint_keeps_a_map_on_one_line",
    "`yaml.dump`": "test_yaml_writes_a_tag_or_refuses",
    "pydantic": "test_pydantic_copies_into_a_dict_unless_it_is_strict",
    "`json.dumps`": "test_json_refuses_a_map",
    "`orjson.dumps`, `msgpack.packb`": "test_orjson_and_msgpack_refuse_a_map",
    "`sqlite3`, named parameters": "test_sqlite3_refuses_a_map",
    "`yaml.safe_dump`": "test_yaml_writes_a_tag_or_refuses",
    "pydantic, strict mode": "test_pydantic_copies_into_a_dict_unless_it_is_strict",
    "`exec`, `type`, `obj.__dict__ =`, `str.maketrans`": "test_what_reads_a_dict_s_memory_refuses_a_map",
}


@pytest.mark.skipif(not DOCUMENT.is_file(), reason="docs/ is not part of the sdist")
def test_each_row_of_the_table_has_a_test() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    table = re.findall(r"(?m)^\| (.*?) \|", text[text.index("| who |") :].split("\n\n")[0])
    assert table[1:] == list(ROWS)
    assert all(test in globals() for test in ROWS.values())


def test_asdict_does_not_go_into_a_map() -> None:
    @dataclasses.dataclass
    class Point:
        x: int

    @dataclasses.dataclass
    class Holder:
        points: Any

    assert dataclasses.asdict(Holder({"a": Point(1)})) == {"points": {"a": {"x": 1}}}
    m = ShardMap(a=Point(1))
    made = dataclasses.asdict(Holder(m))["points"]
    assert type(made) is ShardMap
    assert made == {"a": Point(1)}
    assert dataclasses.asdict(dataclasses.replace(Holder(m), points=m.to_dict())) == {"points": {"a": {"x": 1}}}


def test_a_map_s_text_is_no_literal() -> None:
    m = ShardMap(a=1)
    with pytest.raises(ValueError, match="malformed"):
        ast.literal_eval(str(m))
    assert ast.literal_eval(str(m.to_dict())) == m


def test_pprint_keeps_a_map_on_one_line() -> None:
    m = ShardMap((f"key {n}", "value" * 5) for n in range(5))
    assert "\n" not in pprint.pformat(m)
    assert pprint.pformat(m.to_dict()).count("\n") == 4
    assert pprint.pformat(ShardMap(a=ShardMap(b=1)), depth=1).endswith("{'b': 1})})")


def test_json_refuses_a_map() -> None:
    m = ShardMap(a=ShardMap(b=1))
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(m)
    assert json.dumps(m, default=ShardMap.to_dict) == '{"a": {"b": 1}}'
    assert json.dumps({"m": m}, default=ShardMap.to_dict) == '{"m": {"a": {"b": 1}}}'


def test_sqlite3_refuses_a_map() -> None:
    sqlite3 = pytest.importorskip("sqlite3")  # CPython is built without it where SQLite's headers are missing
    m = ShardMap(a=1, b=2)
    database = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.ProgrammingError):
        database.execute("select :a + :b", m)  # type: ignore[arg-type]
    assert database.execute("select :a + :b", m.to_dict()).fetchall() == [(3,)]
    database.close()


def test_what_reads_a_dict_s_memory_refuses_a_map() -> None:
    m = ShardMap(a=1)
    with pytest.raises(TypeError):
        exec("b = a", m)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        type("C", (), m)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        type("C", (), {})().__dict__ = m
    with pytest.raises(TypeError):
        str.maketrans(m)  # type: ignore[call-overload]
    assert type("C", (), m.to_dict()).a == 1  # type: ignore[attr-defined]


# --- Where they are installed ---


def test_pandas_makes_a_column_of_the_keys() -> None:
    pandas = pytest.importorskip("pandas")
    m = ShardMap(a=[1, 2], b=[3, 4])
    assert pandas.DataFrame(m).values.tolist() == [["a"], ["b"]]
    assert list(pandas.DataFrame(m.to_dict()).columns) == ["a", "b"]
    rows = pandas.DataFrame([ShardMap(a=1, b=2), ShardMap(a=3, b=4)])
    assert list(rows.columns) == ["a", "b"]


def test_pandas_asks_for_keys_and_for_values() -> None:
    pandas = pytest.importorskip("pandas")

    class Changing(ShardMap):
        """As if another thread wrote between the two."""

        def values(self) -> Any:
            self["b"] = 2
            self.pop("a", None)
            return super().values()

    assert pandas.Series(ShardMap(a=1, b=2)).to_dict() == {"a": 1, "b": 2}
    assert pandas.Series(Changing(a=1)).to_dict() == {"a": 2}, "the key of one time with the value of another"
    assert pandas.Series(Changing(a=1).to_dict()).to_dict() == {"a": 1}


def test_yaml_writes_a_tag_or_refuses() -> None:
    yaml = pytest.importorskip("yaml")
    m = ShardMap(a=1)
    assert "!!python/object" in yaml.dump(m)
    with pytest.raises(yaml.representer.RepresenterError):
        yaml.safe_dump(m)
    assert yaml.safe_dump(m.to_dict()) == "a: 1\n"


def test_pydantic_copies_into_a_dict_unless_it_is_strict() -> None:
    pydantic = pytest.importorskip("pydantic")
    m = ShardMap(a=1)
    for annotation in (dict[str, int], collections.abc.Mapping[str, int]):
        adapter = pydantic.TypeAdapter(annotation)
        made = adapter.validate_python(m)
        assert made == m
        assert made is not m
        with pytest.raises(pydantic.ValidationError):
            adapter.validate_python(m, strict=True)
        assert adapter.validate_python(m.to_dict(), strict=True) == m

    made = pydantic.create_model("Model", m=(typing.Any, ...))(m=m)
    assert type(made.model_dump()["m"]) is ShardMap
    with pytest.raises(Exception, match="Unable to serialize"):
        made.model_dump_json()
    assert made.model_dump_json(fallback=ShardMap.to_dict) == '{"m":{"a":1}}'


def test_orjson_and_msgpack_refuse_a_map() -> None:
    m = ShardMap(a=ShardMap(b=1))
    orjson = pytest.importorskip("orjson")
    with pytest.raises(TypeError):
        orjson.dumps(m)
    assert orjson.dumps(m, default=ShardMap.to_dict) == b'{"a":{"b":1}}'
    msgpack = pytest.importorskip("msgpack")
    with pytest.raises(TypeError):
        msgpack.packb(m)
    assert msgpack.unpackb(msgpack.packb(m, default=ShardMap.to_dict)) == {"a": {"b": 1}}
