"""Canonical text of JSON values: byte for byte what `json.dumps` writes, which digests of older files are of."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltrec.core.storage.canonical import canonical_json

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)


def by_json(value):
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


@given(VALUES)
def test_it_is_what_json_writes(value):
    assert canonical_json(value) == by_json(value)


@pytest.mark.parametrize("value", [{2: [1], 10: {}}, {"a": {None: 1}}, ({"b": (1, 2.0), "a": ()},), {"ä": {"b": "\n\"'"}}])
def test_other_keys_and_tuples_too(value):
    assert canonical_json(value) == by_json(value)


@pytest.mark.parametrize("value", [float("nan"), {"a": [float("inf")]}, {"a": {"b": float("nan")}}])
def test_numbers_that_are_not_finite_are_refused(value):
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(value)
