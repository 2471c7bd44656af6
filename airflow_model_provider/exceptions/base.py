"""What all errors share, and how they show what they were given."""

from __future__ import annotations

import difflib
import functools
import re
import reprlib
import shlex
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Characters of a sentence, at most, before what can't be seen is escaped: a name of megabytes must not fill a log.
LONGEST: Final = 4000
#: Stands in a command for the connection of a registry that was given by its URL.
SOME_CONNECTION: Final = "CONNECTION"
#: What Airflow puts before the name of a DAG file's module: it tells a reader nothing.
_DAG_FILE: Final = re.compile(r"\bunusual_prefix_[0-9a-f]{40}_")
_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 200


def harmless(text: str, limit: int = LONGEST) -> str:
    """
    Return a text as one line that a terminal obeys in nothing and that shows all there is.

    Control characters, line ends, marks of direction and lone surrogates become escapes; of what is too long the
    middle is left out.
    """
    if len(text) > limit:
        rest = limit // 4
        text = f"{text[: limit - rest]}... ({len(text):,} characters) ...{text[-rest:]}"
    if text.isprintable():
        return text
    return "".join(part if part.isprintable() else part.encode("unicode_escape").decode() for part in text)


def quoted(value: object) -> str:
    """Return the ``repr`` of anything, short and harmless, for a message."""
    try:
        return harmless(_SHORT.repr(value))
    except Exception:  # numbers of thousands of digits have none
        return f"<{type(value).__name__}>"


def listing(names: Sequence[object], none: str = "none", limit: int = 10) -> str:
    """Join names for a message, cut after ``limit``."""
    if not names:
        return none
    shown = ", ".join(str(name) for name in names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def an(name: str) -> str:
    """
    Return the name of a type with its article; None, a text in quotes and a number have none.

    >>> an("int"), an("str"), an("None"), an("'c'")
    ('an int', 'a str', 'None', "'c'")
    """
    if name == "None" or name[:1] in "'\"-0123456789":
        return name
    return f"an {name}" if name[:1].lower() in "aeio" else f"a {name}"


def counted(number: int, noun: str) -> str:
    """
    Return a number with its noun, of which there are one or several.

    >>> counted(1, "version"), counted(1200, "version")
    ('1 version', '1,200 versions')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def command_line(conn_id: str | None, *words: str) -> str:
    """
    Return an ``airflow model-registry`` command for the registry of a connection.

    >>> command_line("team", "gc", "--dry-run")
    'airflow model-registry gc --dry-run --conn-id team'
    """
    where = ("--conn-id", conn_id) if conn_id else ()
    return shlex.join(("airflow", "model-registry", *words, *where))


def did_you_mean(name: object, known: Sequence[str], *, cutoff: float = 0.6) -> str:
    """Return a sentence that names the known name which is most like one, with a space before it; else nothing."""
    if not isinstance(name, str) or len(name) > 100 or name in known:
        return ""
    close = difflib.get_close_matches(name, known[:1000], n=1, cutoff=cutoff)
    return f" Did you mean {close[0]!r}?" if close else ""


class ModelRegistryError(Exception):
    """Base of all errors of this package. A retry does not help unless ``transient`` is true."""

    transient: ClassVar[bool] = False
    #: The connection of the registry that it is about; None for the default one.
    conn_id: str | None = None

    #: Whether a command gives it, whose options have another spelling.
    on_command_line: bool = False

    def option(self, name: str, value: object = True) -> str:
        """Return an argument as the surface spells it: ``force=True`` in Python, ``--force`` on the command line."""
        if not self.on_command_line:
            return f"{name}={value!r}"
        flag = f"--{name.replace('_', '-')}"
        said = value if isinstance(value, list) else [str(value).lower()]
        return flag if value is True else " ".join([flag, *map(str, said)])

    def command(self, *words: str) -> str:
        """Return the ``airflow model-registry`` command that helps, for the registry that it is about."""
        return command_line(self.conn_id, *words)

    def __init_subclass__(cls, **options: Any) -> None:
        """Whatever the facts are, the sentence is harmless."""
        super().__init_subclass__(**options)
        if (sentence := vars(cls).get("__str__")) is not None:
            shown = functools.wraps(sentence)(
                lambda self: _DAG_FILE.sub("", harmless(self._placed(sentence(self))))
            )
            cls.__str__ = shown  # type: ignore[method-assign]

    def _placed(self, sentence: str) -> str:
        """Name the registry where nothing in the sentence does; without a connection it has no name."""
        named = self.conn_id in (None, SOME_CONNECTION) or str(self.conn_id) in sentence
        return sentence if named else f"{sentence} (registry: connection {self.conn_id!r})"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(quoted, self.args))})"
