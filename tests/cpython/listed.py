"""The tests of CPython that do not apply to ShardMap, or that it does not pass, each with its reason.

A test is named "module.Class.method". One that this Python's version does not have is no error.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ATTRIBUTES = "about dict's internals: the dict of an object's attributes, and keys that such dicts share"
TRACKING = "about dict's internals: which dicts the garbage collector need not look at"
C_API = "about dict's internals: a C function that takes nothing but a dict"

INTERNALS: dict[str, tuple[str, ...]] = {
    ATTRIBUTES: (
        "test_dict.DictTest.test_clear_reentrant_cycle",
        "test_dict.DictTest.test_clear_reentrant_delete",
        "test_dict.DictTest.test_clear_reentrant_embedded",
        "test_dict.DictTest.test_clear_reentrant_force_combined",
        "test_dict.DictTest.test_instance_dict_getattr_str_subclass",
        "test_dict.DictTest.test_object_set_item_single_instance_non_str_key",
        "test_dict.DictTest.test_overwrite_managed_dict",
        "test_dict.DictTest.test_reverse_iterator_for_shared_shared_dicts",
        "test_dict.DictTest.test_split_table_insert_with_str_subclass",
        "test_dict.DictTest.test_split_table_update_with_str_subclass",
        "test_dict.DictTest.test_splittable_del",
        "test_dict.DictTest.test_splittable_pop",
        "test_dict.DictTest.test_splittable_pop_pending",
        "test_dict.DictTest.test_splittable_popitem",
        "test_dict.DictTest.test_splittable_setdefault",
        "test_dict.DictTest.test_splittable_to_generic_combinedtable",
        "test_dict.DictTest.test_store_evilattr",
        "test_free_threading.test_dict.TestDict.test_getattr_setattr",
        "test_free_threading.test_dict.TestDict.test_racing_creation_inline_values_invalid",
        "test_free_threading.test_dict.TestDict.test_racing_creation_no_shared_keys",
        "test_free_threading.test_dict.TestDict.test_racing_creation_nonmanaged_dict",
        "test_free_threading.test_dict.TestDict.test_racing_creation_shared_keys",
        "test_free_threading.test_dict.TestDict.test_racing_dict_update_and_method_lookup",
        "test_free_threading.test_dict.TestDict.test_racing_object_get_set_dict",
        "test_free_threading.test_dict.TestDict.test_racing_set_dict",
        "test_free_threading.test_dict.TestDict.test_racing_set_object_dict",
    ),
    TRACKING: (
        "test_dict.DictTest.test_track_dynamic",
        "test_dict.DictTest.test_track_lazy_instance_dicts",
        "test_dict.DictTest.test_track_literals",
        "test_dict.DictTest.test_track_subtypes",
    ),
    C_API: (
        "test_dict.CAPITest.test_getitem_knownhash",
        "test_free_threading.test_dict.TestDict.test_dict_version",
        "test_free_threading.test_dict.TestDict.test_racing_watch_unwatch_dict",
    ),
}


@dataclass(frozen=True)
class Difference:
    title: str
    """A heading of docs/differences-from-dict.md: the reason is there."""
    shows: str
    """What the failure of each test says: a regular expression."""
    tests: tuple[str, ...] = ()
    adapted: dict[str, dict[str, str]] = field(default_factory=dict)
    """Tests that pass once these string literals are exchanged."""

    def all_tests(self) -> tuple[str, ...]:
        return (*self.tests, *self.adapted)


ITERATION = Difference(
    title="Changing a map while iterating over it does not raise",
    shows="AssertionError: RuntimeError not raised",
    tests=(
        "test_dict.DictTest.test_merge_and_mutate",
        "test_dict.DictTest.test_mutating_iteration",
        "test_dict.DictTest.test_mutating_iteration_delete",
        "test_dict.DictTest.test_mutating_iteration_delete_over_items",
        "test_dict.DictTest.test_mutating_iteration_delete_over_values",
        "test_dict.DictTest.test_oob_indexing_dictiter_iternextitem",
    ),
)

ITERATORS = Difference(
    title="An iterator holds the entries, not the map",
    # The first expects to see the map as it is now; in the second the map dies before `it` has its value.
    shows=r"\['k0'\] != \[\]|NameError: cannot access free variable 'it'",
    tests=(
        "test_dict.DictTest.test_reversed_dict_after_clear_and_restore",
        "test_dict.DictTest.test_free_after_iterating",
    ),
)

REPR = Difference(
    title="repr() names the type",
    shows="AssertionError: .*(ShardMap|View).* != |AssertionError: False is not true",
    adapted={
        "mapping_tests.ShardMapTests.test_repr": {
            "{}": "ShardMap()",
            "{1: 2}": "ShardMap({1: 2})",
            "{1: {...}}": "ShardMap({1: ...})",
        },
        "mapping_tests.SubclassOfShardMapTests.test_repr": {
            "{}": "SubclassOfShardMap()",
            "{1: 2}": "SubclassOfShardMap({1: 2})",
            "{1: {...}}": "SubclassOfShardMap({1: ...})",
        },
        "test_dict.DictTest.test_repr": {
            "{}": "ShardMap()",
            "{1: 2}": "ShardMap({1: 2})",
            "{1: {...}}": "ShardMap({1: ...})",
        },
        "test_dict.DictTest.test_keys": {"dict_keys(['a'])": "KeysView(['a'])"},
        "test_dict.DictTest.test_values": {"dict_values([1])": "ValuesView([1])"},
        "test_dict.DictTest.test_items": {"dict_items([('a', 1)])": "ItemsView([('a', 1)])"},
        "test_dictviews.DictSetTest.test_dict_repr": {
            "dict_keys([1, 'a'])": "KeysView([1, 'a'])",
            "dict_values([10, 'ABC'])": "ValuesView([10, 'ABC'])",
            "dict_items([(1, 10), ('a', 'ABC')])": "ItemsView([(1, 10), ('a', 'ABC')])",
        },
    },
)

MESSAGES = Difference(
    title="Some error messages are worded differently",
    shows="does not match \"unhashable type: 'list'\"",
    tests=("test_dict.DictTest.test_unhashable_key",),
)

DIFFERENCES = (ITERATION, ITERATORS, REPR, MESSAGES)
