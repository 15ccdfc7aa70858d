import json
import math
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from raytune_pipe.results.encoding import decode, encode

keys = st.text() | st.sampled_from(["$", "$float", "$$float"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
    max_leaves=6,
)


@settings(max_examples=50)
@given(event=st.dictionaries(keys, values))
@example(event={"$float": "nan"})
@example(event={"metrics": {"val_loss": math.nan, "grad_norm": math.inf}, "error": "$float\ud800"})
def test_events_come_back_exactly(event: Any) -> None:
    payload = encode(event)
    assert repr(decode(payload)) == repr(event)
    assert b"\n" not in payload


def test_the_json_is_valid_for_any_parser() -> None:
    event: Any = {"metrics": {"nan": math.nan, "up": math.inf, "down": -math.inf}}

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    plain = json.loads(encode(event), parse_constant=refuse)
    assert plain["metrics"]["nan"] == {"$float": "nan"}


def test_tuples_become_lists() -> None:
    event: Any = {"changes": [("optimizer.lr", "copy", math.nan, 0.1)]}
    assert repr(decode(encode(event))) == repr(
        {"changes": [["optimizer.lr", "copy", math.nan, 0.1]]}
    )
