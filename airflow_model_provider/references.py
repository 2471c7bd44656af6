"""
Selectors and references: the small lazy values that travel in task configuration and XCom.

Nothing here does I/O or imports anything heavy: a DAG file is parsed with this module alone (R1, R2).
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final, Self

from airflow_model_provider.exceptions import InvalidDefinition, InvalidName, UnknownStage

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}")

#: The key that marks a JSON object as one of ours, in XCom and in rendered fields.
REFERENCE_KEY: Final = "__model_reference__"
OUTPUT_KEY: Final = "__artifact__"


class ModelStages(StrEnum):
    """The stages every registry has, under ZenML's names. Teams declare more in ``[model_registry] stages``."""

    #: A version that holds no stage. Never a selector.
    NONE = "none"
    #: A candidate.
    STAGING = "staging"
    #: The version that scores.
    PRODUCTION = "production"
    #: A version that was moved out and holds no other stage. Never a selector.
    ARCHIVED = "archived"
    #: Not a stage but a query: the newest ready version.
    LATEST = "latest"


class ArtifactType(StrEnum):
    """What an artifact is to the version that holds it."""

    #: Something that predicts.
    MODEL = "model"
    #: Data that went into or came out of a version.
    DATA = "data"
    #: Where or how a version is deployed.
    DEPLOYMENT = "deployment"


#: The stages that a registry always has, in declared order.
BUILT_IN_STAGES: Final = (ModelStages.STAGING.value, ModelStages.PRODUCTION.value)
#: Words that a version or a stage cannot be called.
RESERVED: Final = frozenset({"none", "archived", "latest", "triggering"})


def check_name(what: str, name: object) -> str:
    """
    Return ``name`` if the registry accepts it (R26).

    :param what: what is named, for the message: ``model``, ``version``, ``artifact``.
    :raises InvalidName: if it is not 1 to 100 of letters, digits, ``._ -``, starting with a letter or digit.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidName(what, name)
    if name != name.rstrip():
        raise InvalidName(what, name, "It must not end in a space.")
    if what == "version" and (name.isdigit() or name.lower() in RESERVED):
        raise InvalidName(
            what, name, "Digits and reserved words (latest, none, archived, ...) mean something else."
        )
    return name


def check_stage(stage: object, declared: Sequence[str]) -> str:
    """
    Return the declared stage that ``stage`` names.

    :raises UnknownStage: if it is not declared; the message has the nearest declared one.
    """
    text = stage.value if isinstance(stage, ModelStages) else stage
    if not isinstance(text, str) or text not in declared:
        raise UnknownStage(str(text), tuple(declared), nearest_stage(str(text), declared))
    return text


def nearest_stage(text: str, declared: Sequence[str]) -> str | None:
    """Return the declared stage that ``text`` is a near miss of, or None."""
    known = [*declared, ModelStages.LATEST.value]
    close = difflib.get_close_matches(text.strip().lower(), known, n=1, cutoff=0.8)
    return close[0] if close else None


class SelectorKind(StrEnum):
    """The ways to say which version."""

    STAGE = "stage"
    LATEST = "latest"
    NUMBER = "number"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Selector:
    """
    Which version of a model: a stage, ``latest``, a number, or a version name.

    >>> str(Selector.parse("production")), str(Selector.parse(3))
    ('production', '3')
    """

    kind: SelectorKind
    value: str | int

    @classmethod
    def parse(cls, version: object, declared: Sequence[str] = BUILT_IN_STAGES) -> Self:
        """
        Read what a user wrote for ``version=``.

        :raises UnknownStage: for a near miss of a declared stage, and for ``none`` and ``archived``.
        :raises InvalidName: if it is neither a stage, ``latest``, a positive number nor a version name.
        """
        if isinstance(version, bool) or not isinstance(version, int | str):
            raise InvalidName("version", version, "Give a stage, 'latest', a number, or a version name.")
        text = version.value if isinstance(version, ModelStages) else str(version)
        if text == ModelStages.LATEST:
            return cls(SelectorKind.LATEST, text)
        if text in declared:
            return cls(SelectorKind.STAGE, text)
        if re.fullmatch(r"[0-9]+", text):
            if int(text) < 1:
                raise InvalidName("version", version, "Version numbers start at 1.")
            return cls(SelectorKind.NUMBER, int(text))
        if isinstance(version, ModelStages) or text in RESERVED or nearest_stage(text, declared):
            raise UnknownStage(text, tuple(declared), nearest_stage(text, declared))
        return cls(SelectorKind.NAME, check_name("version", text))

    def __str__(self) -> str:
        return str(self.value)


def printed(model: str, selector: Selector) -> str:
    """Return the printed form: ``name[stage]``, ``name[latest]`` or ``name@version`` (R26)."""
    if selector.kind in (SelectorKind.STAGE, SelectorKind.LATEST):
        return f"{model}[{selector.value}]"
    return f"{model}@{selector.value}"


class Wanted(StrEnum):
    """What a reference asks of the version it selects."""

    VERSION = "version"
    ARTIFACT = "artifact"
    METADATA = "metadata"


class _Unset:
    """The absence of a default, so that ``default=None`` can be said."""

    _only: _Unset | None = None

    def __new__(cls) -> _Unset:
        cls._only = cls._only or super().__new__(cls)
        return cls._only

    def __reduce__(self) -> str:
        return "UNSET"

    def __deepcopy__(self, memo: object) -> _Unset:
        return self

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()

#: Characters that a reference has as JSON at most, a long default or metadata key aside (R2).
_LARGEST: Final = 499


@dataclass(frozen=True, repr=False, eq=False)
class Reference:
    """
    A lazy reference: a model, which version of it, and what is wanted.

    It is immutable, hashable, equal by value, does no I/O, and is resolved by the task that receives it.

    :param model: the model's name.
    :param selector: which version.
    :param wanted: the version itself, an artifact of it, or a metadata value of it.
    :param name: the artifact's name or the metadata key.
    :param kind: only an artifact of this kind, or None for any.
    :param artifact_version: a given version of the artifact instead of the newest.
    :param map_index: the element of a collection that a mapped step made.
    :param attribute: a plain value instead of the whole: ``number``, ``name``, ``stage``, ``id`` of a
        version; ``uri``, ``digest``, ``number`` of an artifact, or ``metadata:<key>``.
    :param default: a JSON value used where stage, artifact or key is missing.
    :param conn_id: the connection of the registry; None means the default one.

    >>> reference = Reference("iris_classifier", Selector.parse("production"), Wanted.ARTIFACT, "trained_model")
    >>> reference
    iris_classifier[production]/trained_model
    >>> Reference.from_json(reference.to_json()) == reference
    True
    """

    model: str
    selector: Selector
    wanted: Wanted = Wanted.VERSION
    name: str | None = None
    kind: ArtifactType | None = None
    artifact_version: int | None = None
    map_index: int | None = None
    attribute: str | None = None
    default: Any = UNSET
    conn_id: str | None = None

    def __post_init__(self) -> None:
        if self.default is not UNSET:
            try:
                json.dumps(self.default)
            except (TypeError, ValueError) as err:
                raise InvalidDefinition(repr(self), f"default={self.default!r} is not a JSON value") from err

    @property
    def has_default(self) -> bool:
        """Whether something is to be used where stage, artifact or key is missing; None counts."""
        return self.default is not UNSET

    def _facts(self) -> tuple[Any, ...]:
        return tuple(getattr(self, item.name) for item in fields(Reference))

    def __eq__(self, other: object) -> bool:
        return self._facts() == other._facts() if isinstance(other, Reference) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.model, self.selector, self.wanted, self.name, self.attribute))

    def __str__(self) -> str:
        """Return the Jinja expression that means it, so that it can stand in an f-string of a template."""
        text = f"macros.model_registry.version({json.dumps(self.model)}, {json.dumps(self.selector.value)})"
        if self.wanted is Wanted.ARTIFACT:
            text += f".artifact({json.dumps(self.name)})"
        elif self.wanted is Wanted.METADATA:
            text += f".metadata[{json.dumps(self.name)}]"
        return "{{ " + text + (f".{self.attribute}" if self.attribute else "") + " }}"

    def __repr__(self) -> str:
        text = printed(self.model, self.selector)
        if self.wanted is Wanted.ARTIFACT:
            text += f"/{self.name}"
            text += f"@{self.artifact_version}" if self.artifact_version is not None else ""
            text += f"[{self.map_index}]" if self.map_index is not None else ""
        elif self.wanted is Wanted.METADATA:
            text += f".run_metadata[{self.name!r}]"
        return text + (f".{self.attribute}" if self.attribute else "")

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form: only what differs from the defaults, in a fixed order."""
        data: dict[str, Any] = {
            REFERENCE_KEY: repr(self),
            "model": self.model,
            "version": self.selector.value,
        }
        data["selector"] = self.selector.kind.value
        for item in fields(Reference)[2:]:
            value = getattr(self, item.name)
            if value is not UNSET and value is not None:
                data[item.name] = value.value if isinstance(value, StrEnum) else value
        if self.default is None:
            data["default"] = None
        excess = len(json.dumps(data)) - _LARGEST
        if excess > 0:  # names as long as they may be: the printed form, which only people read, gives way
            data[REFERENCE_KEY] = f"{repr(self)[: -excess - 3]}..."
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """
        Read the JSON form.

        :raises InvalidDefinition: if it is not one that this release can read.
        """
        try:
            values = {item.name: data[item.name] for item in fields(Reference)[2:] if item.name in data}
            values["wanted"] = Wanted(values.get("wanted", "version"))
            if values.get("kind") is not None:
                values["kind"] = ArtifactType(values["kind"])
            return cls(data["model"], Selector(SelectorKind(data["selector"]), data["version"]), **values)
        except (KeyError, ValueError) as err:
            raise InvalidDefinition(
                repr(dict(data)), "this is not a model reference that can be read"
            ) from err

    def serialize(self) -> dict[str, Any]:
        """Return what Airflow shows for it and keeps in the serialized DAG."""
        return self.to_json()


@dataclass(frozen=True, slots=True)
class OutputReference:
    """
    What travels in XCom for a saved output: which artifact version it is, never its bytes (R16).

    :param registry: id of the registry it was saved in.
    :param id: id of the artifact version there.
    :param artifact: the artifact's name.
    :param number: the artifact's version number.
    :param type: the value's type, ``module.Class``.
    :param digest: SHA-256 of the bytes, hexadecimal.
    :param uri: where the bytes are.
    :param size: number of bytes.
    :param versions: printed forms (``iris_classifier@2``) of the model versions it belongs to.
    """

    registry: str
    id: int
    artifact: str
    number: int
    type: str
    digest: str
    uri: str
    size: int
    versions: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, which reads well on Airflow's XCom page."""
        return {
            OUTPUT_KEY: f"{self.artifact}@{self.number}",
            "type": self.type,
            "model_versions": list(self.versions),
            "digest": f"sha256:{self.digest}",
            "uri": self.uri,
            "size": self.size,
            "registry": self.registry,
            "id": self.id,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """
        Read the JSON form.

        :raises InvalidDefinition: if it is not one that this release can read.
        """
        try:
            artifact, _, number = data[OUTPUT_KEY].rpartition("@")
            return cls(
                registry=data["registry"],
                id=int(data["id"]),
                artifact=artifact,
                number=int(number),
                type=data["type"],
                digest=data["digest"].removeprefix("sha256:"),
                uri=data["uri"],
                size=int(data["size"]),
                versions=tuple(data.get("model_versions", ())),
            )
        except (KeyError, ValueError, AttributeError) as err:
            raise InvalidDefinition(
                repr(dict(data)), "this is not an artifact reference that can be read"
            ) from err

    def __repr__(self) -> str:
        return f"{self.artifact}@{self.number}"


def read_reference(value: object) -> Reference | OutputReference | None:
    """Return the reference that a JSON object is, or None if it is something else."""
    if isinstance(value, Mapping):
        if OUTPUT_KEY in value:
            return OutputReference.from_json(value)
        if REFERENCE_KEY in value:
            return Reference.from_json(value)
    return None
