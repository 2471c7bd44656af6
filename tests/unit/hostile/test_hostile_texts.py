"""Every hostile text in every place where a user's text can go, on both databases."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest

from tests.support.soak import TIMES
from tests.unit.hostile import corpus, definitions, places
from tests.unit.hostile.conftest import judged

if TYPE_CHECKING:
    from tests.unit.hostile.conftest import World

#: In the ordinary form a place where much is written, or asked over a connection, gets one text in so many: each
#: text comes to several of these places. The long form gives all to all.
ONE_IN = max(1, 12 // TIMES)

EVERYWHERE = {**places.NAMES, **places.ASKED, **places.TEXTS, **places.XCOM}


def some(place: str) -> list[str]:
    """A place's own share of the texts, and one of each kind."""
    return [*corpus.CHOSEN, *corpus.TEXTS[crc32(place.encode()) % ONE_IN :: ONE_IN]]


def test_there_are_enough_of_them() -> None:
    """Two hundred at least, all different."""
    assert len(corpus.TEXTS) == len(set(corpus.TEXTS)) >= 200


def wrong(judge: Callable[[Any], object], given: Iterable[Any]) -> list[str]:
    """What is neither refused as it should be nor comes back: its beginning, and what happened instead."""
    found = []
    for item in given:
        try:
            judge(item)
        except Exception as err:
            found.append(f"{shown(item)}: {type(err).__name__}: {err}"[:300])
    return found


def shown(item: Any) -> str:
    """Its beginning, whatever it is."""
    return repr(item[:60]) if isinstance(item, str) else type(item).__name__


@pytest.mark.parametrize("place", definitions.PLACES)
def test_a_hostile_text_is_refused_where_it_is_written(place: str) -> None:
    """Or is what was written; an error is one harmless line, of ten megabytes too."""
    put = definitions.PLACES[place]

    assert wrong(lambda text: judged(put, text), (*corpus.TEXTS, *corpus.HUGE_TEXTS)) == []
    assert wrong(lambda value: judged(put, value), corpus.VALUES.values()) == []


@pytest.mark.parametrize("name", definitions.SETTINGS)
def test_a_hostile_setting_is_refused_or_used(name: str) -> None:
    """Whatever the environment can hold."""
    texts = [text for text in corpus.TEXTS if not re.search("[\0\ud800-\udfff]", text)]

    assert wrong(lambda text: judged(definitions.SETTINGS[name], text), [*texts, "x" * 100_000]) == []


@pytest.mark.parametrize("place", {**places.NAMES, **places.ASKED, **places.XCOM})
def test_a_hostile_name_is_refused_or_comes_back(world: World, place: str) -> None:
    """With an error that is harmless itself, or exactly as it was given; nothing else has changed."""
    put = {**places.NAMES, **places.ASKED, **places.XCOM}[place]
    texts = corpus.TEXTS if world.url.startswith("sqlite") and place in places.NAMES else some(place)

    assert wrong(lambda text: world.accepts(put, text), texts) == []


@pytest.mark.parametrize("place", places.TEXTS)
def test_a_hostile_text_comes_back_or_is_refused(world: World, place: str) -> None:
    """What is kept is what was given, NUL, lone surrogates and normal forms included."""
    assert wrong(lambda text: world.accepts(places.TEXTS[place], text), some(place)) == []


@pytest.mark.parametrize("place", EVERYWHERE)
def test_ten_megabytes_are_refused_or_come_back(world: World, place: str) -> None:
    """No error, no line of the log has megabytes."""
    put = EVERYWHERE[place]
    texts = corpus.HUGE_TEXTS[:1] if place in places.VALUES else corpus.HUGE_TEXTS

    assert wrong(lambda text: world.accepts(put, text), texts) == []


@pytest.mark.parametrize("place", EVERYWHERE)
def test_what_is_no_text_is_refused_or_comes_back(world: World, place: str) -> None:
    """Bytes, booleans, numbers, objects, endless lists."""
    values = list(corpus.VALUES.values())
    if place == "output_name":
        values = []  # what is no text in Annotated is something else's
    if place in places.KEYS:
        values = [value for value in values if isinstance(value, Hashable)]
    if place in places.XCOM or place in places.VALUES:
        values = [value for value in values if is_json(value)]
    put = EVERYWHERE[place]

    assert wrong(lambda value: world.accepts(put, value), values) == []


@pytest.mark.parametrize("name", corpus.JSON_VALUES)
def test_a_json_value_is_refused_or_comes_back(world: World, name: str) -> None:
    """Numbers that JSON has no word for, deep and large values, what is no JSON."""
    value = corpus.JSON_VALUES[name]
    kept = [world.accepts(put, value) for put in (places.metadata_value, places.artifact_metadata_value)]

    assert kept == [name in corpus.KEPT] * 2
    if is_json(value):
        world.accepts(places.default, value)


def is_json(value: Any) -> bool:
    """Whether another task can have returned it."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError, RecursionError):
        return False
