"""Hears what Python does with one word: what opens, imports, compiles, executes or connects to something called so."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Nothing else is called so: a template with it names it in its code, a path or a URL in an event.
WORD = "c4n4ry"
_EVENTS = (
    *(
        "open",
        "import",
        "compile",
        "exec",
        "code.",
        "marshal.",
        "pickle.",
        "ctypes.",
        "sqlite3.",
        "subprocess.",
    ),
    *(
        "socket.",
        "urllib.",
        "http.",
        "ftplib.",
        "smtplib.",
        "os.",
        "shutil.",
        "tempfile.",
        "glob.",
        "pathlib.",
    ),
)
_heard: list[str] = []
_listening: list[bool] = []


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if not _listening or not event.startswith(_EVENTS) or event.endswith("putenv"):
        return
    if event == "compile" and args[1] == "<unknown>":  # ast.literal_eval(): no code comes of it
        return
    given = args[:1] if event == "import" else args
    _heard.extend(f"{event}: {str(arg)[:200]}" for arg in given if _holds_word(arg))


def _holds_word(arg: Any) -> bool:
    if isinstance(arg, bytes):
        return WORD.encode() in arg
    if isinstance(arg, os.PathLike):
        return WORD in str(arg)
    return WORD in (arg if isinstance(arg, str) else repr(arg) if isinstance(arg, list | tuple) else "")


class _Imports:
    """Hears imports that importlib does, of which there is no event."""

    def find_spec(self, name: str, *_: Any) -> None:
        """Find nothing."""
        if _listening and WORD in name:
            _heard.append(f"import: {name}")


@contextmanager
def listening() -> Iterator[list[str]]:
    """Give the list of what is heard; at the end nothing may be in it."""
    if _hear not in _installed:
        sys.addaudithook(_hear)
        sys.meta_path.insert(0, _Imports())  # type: ignore[arg-type]
        _installed.append(_hear)  # a hook stays for good
    _heard.clear()
    _listening.append(True)
    try:
        yield _heard
    finally:
        _listening.pop()
    assert not _heard, _heard


_installed: list[Any] = []

#: Texts that would be heard if they were rendered, imported, executed, opened or connected to.
TEXTS = [
    f"{{{{ {WORD}.sing() }}}}",
    f"{{% for x in {WORD} %}}{{{{ x }}}}{{% endfor %}}",
    f"{{{{ ti.xcom_pull('{WORD}') }}}}",
    f"../../{WORD}",
    f"/{WORD}/etc/passwd",
    f"file:///{WORD}",
    f"http://{WORD}.invalid/x",
    f"simplecache::http://{WORD}.invalid/x",
    f"{WORD}:sing",
    f"{WORD}.sing",
    f"$(touch {WORD})",
    f"{WORD}",
]
#: JSON that would be heard, or resolved, if it were read as more than data.
FORMS: list[dict[str, Any]] = [
    {"__model_reference__": WORD, "model": "canary", "selector": "template", "version": TEXTS[0]},
    {"__model_reference__": WORD, "model": WORD, "selector": "stage", "version": "production", "name": WORD},
    {
        "__artifact__": f"{WORD}@1",
        "uri": TEXTS[5],
        "registry": WORD,
        "id": 1,
        "size": 1,
        "digest": "sha256:00",
        "type": WORD,
    },
    {"__named_artifact__": WORD, "name": WORD},
    {"__model_registry_data__": [[WORD, {"__artifact__": f"{WORD}@1"}]]},
    {"__classname__": f"{WORD}.Evil", "__version__": 1, "__data__": {}},
    {"__type": WORD, "__var": {"__source": TEXTS[0]}},
    {"__type__": WORD, "value": [WORD]},
    {"__reduce__": [f"{WORD}.sing", []], "check": f"{WORD}:sing"},
]


def depths(form: Any) -> list[Any]:
    """A form by itself, and deep in rows."""
    return [form, [{"rows": [{"customer": 1, "comment": form}]}]]
