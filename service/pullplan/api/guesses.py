"""Which name was meant by one that is unknown?"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from msgspec import inspect

_MOST_NAMED = 40


def say_what_is_known(name: str, known: Iterable[str]) -> str:
    """Ask whether the nearest known names were meant; where none is near, list what there is.

    A name is near that is spelt alike, or that shares a word: `units` is near `on_hand_units`.
    """
    known = list(known)
    words = set(name.lower().split("_"))
    sharing = [one for one in known if words & set(one.split("_"))]
    near = get_close_matches(name.lower(), known, n=1) or get_close_matches(name, sharing, n=3, cutoff=0.0)
    if near:
        return f"did you mean {' or '.join(f'`{one}`' for one in near)}?"
    listed = ", ".join(f"`{one}`" for one in known[:_MOST_NAMED])
    return f"there {'are' if len(known) > 1 else 'is'} {listed}{', …' if len(known) > _MOST_NAMED else ''}"


def fields_at(body: Any, steps: Sequence[str]) -> tuple[str, ...]:
    """Name the fields of the object at a place in a body of some type; none where there is no such object."""
    return _fields_at(_type_info(body), steps)


@lru_cache(maxsize=256)
def _type_info(body: Any) -> inspect.Type:
    return inspect.type_info(body)


def _fields_at(kind: inspect.Type, steps: Sequence[str]) -> tuple[str, ...]:
    match kind:
        case inspect.UnionType():
            return next(filter(None, (_fields_at(one, steps) for one in kind.types)), ())
        case inspect.StructType() if not steps:
            return tuple(field.encode_name for field in kind.fields)
        case inspect.StructType():
            return next((_fields_at(f.type, steps[1:]) for f in kind.fields if f.encode_name == steps[0]), ())
        case inspect.CollectionType() if steps:
            return _fields_at(kind.item_type, steps[1:])
        case inspect.DictType() if steps:
            return _fields_at(kind.value_type, steps[1:])
    return ()
