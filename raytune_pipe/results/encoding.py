"""Events as plain JSON and back, exactly: NaN and the infinities included.

JSON has no NaN. A number that it cannot hold is written as ``{"$float": "nan"}``; a key of an
event that itself begins with a dollar sign gets one more, so that nothing is mistaken for it.
"""

import json
import math
from typing import Any, cast

from raytune_pipe.results.events import Event

_TAG = "$float"
_DECODER = json.JSONDecoder()


def encode(event: Event) -> bytes:
    """One line of ASCII without a newline."""
    try:
        text = json.dumps(event, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = ""
    if not text or '"$' in text:
        text = json.dumps(_escape(event), allow_nan=False, separators=(",", ":"))
    return text.encode("ascii")


def decode(payload: bytes) -> Event:
    """The event that `encode` was given; its tuples have become lists."""
    event, _ = _DECODER.raw_decode(payload.decode("ascii"))
    return cast(Event, _unescape(event) if b'"$' in payload else event)


def _escape(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_TAG: repr(float(value))}
    if isinstance(value, dict):
        return {_escape_key(key): _escape(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escape(item) for item in value]
    return value


def _escape_key(key: Any) -> Any:
    return f"${key}" if isinstance(key, str) and key.startswith("$") else key


def _unescape(value: Any) -> Any:
    if isinstance(value, dict):
        if _TAG in value:
            return float(value[_TAG])
        return {key.removeprefix("$"): _unescape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unescape(item) for item in value]
    return value
