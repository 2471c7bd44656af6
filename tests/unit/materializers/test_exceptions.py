"""Exceptions as values: they come back as they were, or are refused when they are saved."""

from __future__ import annotations

import pytest

from airflow_model_provider.exceptions import NotSerializable


class TwoArguments(Exception):
    """Pickle would call it again with one."""

    def __init__(self, first: str, second: int) -> None:
        super().__init__(first)
        self.second = second


class Worded(ValueError):
    """Pickle would word it twice."""

    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")


class Slotted(Exception):
    """What its ``__init__`` sets is in no ``__dict__``."""

    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Numbered(OSError):
    """Python keeps its number elsewhere."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(number, text)


class WordedOSError(OSError):
    """What Python keeps of it is set by ``__init__``, which would word it twice."""

    def __init__(self, text: str) -> None:
        super().__init__(f"disk: {text}")


class FullDisk(OSError):
    """It is made of nothing, and keeps two arguments."""

    def __init__(self) -> None:
        super().__init__(28, "no space")


@pytest.mark.parametrize(
    "value",
    [
        TwoArguments("a", 2),
        Worded(7),
        Slotted(3),
        Numbered(2, "gone"),
        KeyError("a"),
        FileNotFoundError(2, "gone", "f"),
    ],
)
def test_exceptions_come_back_as_they_were(round_trip, value: Exception) -> None:
    """Their arguments, texts and attributes are kept, whatever their ``__init__`` makes of arguments."""
    for found in (round_trip(value), round_trip({"errors": [value]})["errors"][0]):
        assert (type(found), found.args, str(found)) == (type(value), value.args, str(value))
        for name in ("second", "code", "errno", "filename"):
            assert getattr(found, name, None) == getattr(value, name, None)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (WordedOSError("full"), "would come back as .*disk: disk: full"),
        (FullDisk(), "cannot be loaded: TypeError: "),
    ],
)
def test_what_could_not_be_loaded_is_refused_when_it_is_saved(
    round_trip, value: Exception, problem: str
) -> None:
    """Alone, in a container, and in a large one: these are loaded for it only if an exception is in them."""
    for saved in (value, {"errors": [value]}, (bytearray(5 * 2**20), object, value)):
        with pytest.raises(NotSerializable, match=problem):
            round_trip(saved)
