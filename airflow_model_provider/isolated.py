"""
Artifacts by address, where there is neither the registry nor Airflow: a virtualenv, a container, a pod (R6).

What only the registry knows of the bytes travels beside their address, as text. Without the text the bytes'
own marks decide. They tell what bytes are, not what they were saved from: a file or ``bytes`` that holds a
pickle comes back unpickled.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_model_provider import settings
from airflow_model_provider.artifacts.store import source_at
from airflow_model_provider.artifacts.trouble import shown
from airflow_model_provider.exceptions import InvalidDefinition, InvalidName
from airflow_model_provider.exceptions.base import quoted
from airflow_model_provider.materializers import codec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_model_provider.artifacts.source import VerifiedSource
    from airflow_model_provider.registry.entities import Payload

#: The longest text that Linux takes for one variable: name, ``=`` and value.
_LONGEST: Final = 131_071
#: Attributes that are longer than this are compressed; a frame has some 50 bytes of them per column.
_READABLE: Final = 4096
#: How many bytes are looked at, at both ends. The header of an ``.npy`` file is shorter, but for odd ones.
_END: Final = 1 << 17
#: Which first and last bytes are sure to be which format: dimensions of an array, a pickle of protocol 2 to 5
#: and its end, a zip archive that ends with skops' table of contents.
_SURE: Final = (
    ("numpy.npy", rb"\x93NUMPY..(?:..){1,2}\{[^\n]*'shape': \(\d[^()\n]*\), \} *\n", rb""),
    ("cloudpickle", rb"\x80[\x02-\x05]", rb"\.\Z"),
    ("skops.file", rb"PK\x03\x04", rb"PK\x01\x02.{42}schema\.jsonPK\x05\x06.{18}\Z"),
)
#: Which first bytes are known and yet not enough.
_UNSURE: Final = (
    (rb"\x93NUMPY", "NumPy data without dimensions, which may have been an array or a scalar"),
    (rb"ARROW1", "an Arrow file, which may have been a table, a batch, a column, or a frame with its index"),
    (rb"[\[{]", "text that may have been a string, a file or JSON"),
    (rb"", "of no format that can be told from them"),
)


class _Format(NamedTuple):
    """What the registry knows of stored bytes; ``version`` is that of the materializer's format."""

    materializer: str
    version: int
    attributes: Mapping[str, Any]
    size: int


def format_text(payload: Payload) -> str:
    """Return what is needed to load an artifact besides its bytes, as one line of compact JSON."""
    attributes: Any = dict(payload.attributes)
    plain = _compact(attributes)
    if len(plain) > _READABLE:
        attributes = base64.b64encode(zlib.compress(plain.encode(), 9)).decode()
    found = _Format(payload.materializer, payload.format_version, attributes, payload.size)
    # Kubernetes looks for $(NAME) in the values of variables; in JSON a $ stands in strings only.
    return _compact(found._asdict()).replace("$", "\\u0024")


def environment(prefix: str, uri: str, payload: Payload) -> dict[str, str]:
    """
    Return the variables from which an isolated task loads an artifact.

    :param prefix: begins their names: ``MODEL`` gives ``MODEL_URI``, ``MODEL_DIGEST`` and ``MODEL_FORMAT``.
    :raises InvalidName: if no variable can be called so.
    :raises InvalidDefinition: if the format is longer than a variable can be.
    """
    if not isinstance(prefix, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", prefix):
        reason = "It must be letters, digits and '_', and not start with a digit."
        raise InvalidName("environment variable", prefix, reason)
    found = {
        f"{prefix}_URI": uri,
        f"{prefix}_DIGEST": payload.digest,
        f"{prefix}_FORMAT": format_text(payload),
    }
    for name, value in found.items():
        if len(f"{name}={value}".encode()) > _LONGEST:
            problem = f"it would be {len(value)} characters, and Linux takes no variable of more than 128 KiB"
            advice = "Load the artifact where the registry is, or save fewer columns or another type."
            raise InvalidDefinition(f"Variable {name}", problem, advice)
    return found


def load(
    uri: str,
    digest: str,
    format: str | None = None,
    *,
    mmap: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> Any:
    """
    Load an artifact by its address; the bytes are verified before anything is deserialized (R39).

    :param uri: where they are, as ``handle.uri`` gives it.
    :param digest: their SHA-256, hexadecimal; ``sha256:`` may stand before it.
    :param format: text of :func:`format_text`. None takes it from the bytes, in one more pass over them, where
        they are an array, a pickle, a skops file, or a list or an object in this package's JSON.
    :param mmap: map large arrays and frames read-only instead of copying them, where the format allows.
    :param storage_options: arguments of the fsspec file system.
    :raises InvalidDefinition: if an argument is malformed, or the format can't be told from the bytes.
    :raises PayloadMissing: if there are no such bytes.
    :raises DigestMismatch: if they have another digest.
    :raises PickleForbidden: if the format can execute code and that is forbidden.
    """
    if not isinstance(uri, str):
        raise InvalidDefinition("load_artifact()", f"{quoted(uri)} must be a URI", "Pass handle.uri.")
    expected = _read_digest(digest)
    known = None if format is None else _read_format(format)
    what, formats, (folder, limit) = f"artifact sha256:{expected[:12]}", settings.formats(), settings.cache()
    source = source_at(
        uri,
        expected,
        known.size if known else None,
        what=what,
        cache_dir=folder,
        cache_bytes=limit,
        storage_options=storage_options,
    )
    known = known or _recognized(source, shown(uri))
    return codec.read(
        source,
        materializer=known.materializer,
        format_version=known.version,
        attributes=known.attributes,
        what=what,
        mmap=mmap,
        allow_pickle=formats.allow_pickle,
        trusted=formats.skops_trusted_types,
        signing=settings.signing(),
    )


def _read_digest(text: object) -> str:
    found = re.fullmatch(r"(?:sha256:)?([0-9a-f]{64})", text) if isinstance(text, str) else None
    if found is None:
        advice = "Pass handle.digest: 64 hexadecimal digits, also with the prefix 'sha256:'."
        raise InvalidDefinition("load_artifact(digest=)", f"{quoted(text)} must be a SHA-256 digest", advice)
    return found[1]


def _read_format(text: object) -> _Format:
    try:
        facts: Any = json.loads(text)  # type: ignore[arg-type]  # what isn't text is refused below
        attributes = facts["attributes"]
        if isinstance(attributes, str):
            attributes = json.loads(zlib.decompress(base64.b64decode(attributes)))
        found = _Format(facts["materializer"], facts["version"], attributes, facts["size"])
    except (ValueError, TypeError, LookupError, RecursionError, zlib.error):
        found = None
    if found is None or [type(fact) for fact in found] != [str, int, dict, int] or found.size < 0:
        problem = f"{quoted(text)} must be a JSON object with materializer, version, attributes and size"
        advice = "Pass the variable MODEL_FORMAT of handle.env('MODEL')."
        raise InvalidDefinition("load_artifact(format=)", problem, advice)
    return found


# --- without a format ------------------------------------------------------------------------------------


def _recognized(source: VerifiedSource, uri: str) -> _Format:
    """Return the format that verified bytes are sure to be, of those that need no attributes."""
    head, tail = _ends(source)
    for materializer, first, last in _SURE:
        if re.match(first, head, re.DOTALL) and re.search(last, tail, re.DOTALL):
            return _Format(materializer, 1, {}, source.size)
    if head[:1] in (b"[", b"{") and _is_our_json(source.read()):
        return _Format("json", 1, {}, source.size)
    seen = next(words for first, words in _UNSURE if re.match(first, head))
    advice = "Pass format=: handle.env('MODEL') gives it as MODEL_FORMAT."
    raise InvalidDefinition(f"load_artifact({uri!r})", f"without format= its bytes are {seen}", advice)


def _ends(source: VerifiedSource) -> tuple[bytes, bytes]:
    """Return the first and the last bytes, of one pass in which all of them are verified."""
    with source.open() as reader:
        head = tail = reader.read(_END) or b""
        while chunk := reader.read(_END):
            tail = (tail + chunk)[-_END:]
    return head, tail


def _is_our_json(data: bytes) -> bool:
    """Return whether bytes are what the JSON materializer writes, to the letter."""
    try:
        return _compact(json.loads(data), allow_nan=False).encode() == data
    except (ValueError, RecursionError):
        return False


def _compact(value: Any, *, allow_nan: bool = True) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=allow_nan)
