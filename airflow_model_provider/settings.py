"""The ``[model_registry]`` settings: from Airflow's configuration inside Airflow, from the environment elsewhere."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from airflow_model_provider import host
from airflow_model_provider.exceptions import InvalidConfiguration
from airflow_model_provider.selectors import BUILT_IN_STAGES, RESERVED, check_name, nearest

if TYPE_CHECKING:
    from airflow_model_provider.materializers.signing import Signing

SECTION = "model_registry"
#: Characters of a signing key, at least.
SHORTEST_KEY = 16


#: All settings.
SETTINGS: Final = (
    *(
        "url",
        "store",
        "deployment",
        "stages",
        "default_pin",
        "wait_timeout",
        "poll_interval",
        "sklearn_format",
    ),
    *("skops_trusted_types", "allow_pickle", "signing_keys", "require_signature", "protected_stages"),
    *("keep_resolutions", "keep_outputs", "abandoned_after", "cache_dir", "cache_size_mb"),
)


def check_names() -> None:
    """
    Refuse environment variables that are near misses of settings: a rule that was meant would not hold.

    :raises InvalidConfiguration: naming the setting that was meant.
    """
    prefix = variable("")
    for name in (item for item in os.environ if item.startswith(prefix)):
        said = re.sub(r"_(cmd|secret)$", "", name.removeprefix(prefix).lower())  # other ways to say a value
        if said not in SETTINGS and (meant := nearest(said, SETTINGS)) is not None:
            raise InvalidConfiguration(name, "there is no such setting", f"Did you mean {variable(meant)}?")


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"AIRFLOW__{SECTION.upper()}__{name.upper()}"


def option(name: str) -> str | None:
    """
    Return one setting as text, or None if it isn't set.

    The environment variable ``AIRFLOW__MODEL_REGISTRY__<NAME>`` always counts; ``airflow.cfg`` only inside
    Airflow.
    """
    value = os.environ.get(variable(name))
    if value is None and host.inside_airflow():
        value = host.airflow_option(SECTION, name)
    return value.strip() or None if value is not None else None


def flag(name: str, *, default: bool) -> bool:
    """
    Return a yes/no setting.

    :raises InvalidConfiguration: if it is neither true nor false.
    """
    value = option(name)
    if value is None:
        return default
    if value.lower() in ("true", "t", "1", "yes"):
        return True
    if value.lower() in ("false", "f", "0", "no"):
        return False
    raise InvalidConfiguration(f"[{SECTION}] {name}", f"{value!r} is neither True nor False")


def names(name: str) -> tuple[str, ...]:
    """Return a comma-separated setting."""
    return tuple(item.strip() for item in (option(name) or "").split(",") if item.strip())


def declared_stages() -> tuple[str, ...]:
    """Return the stages a version can hold: ``staging``, ``production`` and those that the team declared."""
    return _stages(names("stages"))


@lru_cache(maxsize=8)
def _stages(extra: tuple[str, ...]) -> tuple[str, ...]:
    for stage in extra:
        check_name("stage", stage)
        if stage in RESERVED or stage.isdigit():
            reason = "is a number, which means a version" if stage.isdigit() else "is a reserved word"
            raise InvalidConfiguration(f"[{SECTION}] stages", f"{stage!r} {reason}", "Choose another name.")
    return tuple(dict.fromkeys((*BUILT_IN_STAGES, *extra)))


def default_pin() -> str:
    """Return how long a reference keeps its version where it doesn't say so: for a ``task``, or for its ``run``."""
    said = option("default_pin") or "task"
    if said not in ("task", "run"):
        raise InvalidConfiguration(f"[{SECTION}] default_pin", f"{said!r} is unknown", "Choose task or run.")
    return said


def deployment() -> str:
    """Return the name that tells this Airflow apart from others on the same registry (R9)."""
    return option("deployment") or "default"


def seconds(name: str, default: float) -> float:
    """
    Return a setting that is a time in seconds.

    :raises InvalidConfiguration: if it is not a number above zero.
    """
    found = _number(name, "seconds")
    return default if found is None else found


def _number(name: str, unit: str) -> float | None:
    value = option(name)
    if value is None:
        return None
    try:
        found = float(value)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise InvalidConfiguration(f"[{SECTION}] {name}", f"{value!r} is not a number of {unit} above zero")
    return found


class Retention(NamedTuple):
    """
    For how many days ``gc`` lets things be; None means for ever.

    :param resolutions: records of which task got which version.
    :param outputs: outputs of tasks that no version of a model holds.
    """

    resolutions: float | None
    outputs: float | None
    abandoned: float | None = None


#: Days without a word from what makes a version: longer than a task trains.
ABANDONED_AFTER: Final = 7.0


def retention() -> Retention:
    """
    Return what ``gc`` may forget, and when.

    :raises InvalidConfiguration: if a setting is not a number of days above zero.
    """
    abandoned = _number("abandoned_after", "days")
    return Retention(
        _number("keep_resolutions", "days"),
        _number("keep_outputs", "days"),
        ABANDONED_AFTER if abandoned is None else abandoned,
    )


def wait_timeout() -> float:
    """Return for how many seconds a task with ``on_missing="wait"`` waits; as long as Airflow's sensors do."""
    return seconds("wait_timeout", 7 * 24 * 3600.0)


def poll_interval() -> float:
    """Return how many seconds lie between two looks at the registry while a task waits."""
    return seconds("poll_interval", 1.0)


def airflow_home() -> Path:
    """Return AIRFLOW_HOME, where the default registry and store live."""
    return Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()


class Formats(NamedTuple):
    """
    How values are saved and what may be loaded.

    :param sklearn_format: ``pickle`` or ``skops``.
    :param allow_pickle: whether formats that can execute code may be written and read at all.
    :param skops_trusted_types: types trusted in skops files besides the audited list.
    """

    sklearn_format: str = "pickle"
    allow_pickle: bool = True
    skops_trusted_types: tuple[str, ...] = ()


def formats() -> Formats:
    """
    Return the format settings.

    :raises InvalidConfiguration: for a value that isn't one of those offered.
    """
    chosen = option("sklearn_format") or "pickle"
    if chosen not in ("pickle", "skops"):
        raise InvalidConfiguration(
            f"[{SECTION}] sklearn_format", f"{chosen!r} is neither 'pickle' nor 'skops'"
        )
    return Formats(chosen, flag("allow_pickle", default=True), names("skops_trusted_types"))


def signing() -> Signing:
    """
    Return how files that can execute code are signed.

    :raises InvalidConfiguration: for a key that could be guessed.
    """
    from airflow_model_provider.materializers.signing import Signing

    keys = names("signing_keys")
    if any(len(key) < SHORTEST_KEY for key in keys):
        advice = "Make one: python -c 'import secrets; print(secrets.token_hex(32))'."
        problem = f"a key is shorter than {SHORTEST_KEY} characters"
        raise InvalidConfiguration(f"[{SECTION}] signing_keys", problem, advice)
    return Signing(keys, flag("require_signature", default=True))


def protected_stages() -> dict[str, tuple[str, ...]]:
    """
    Return who may change a stage, for stages that not everybody may change.

    Callers are named by patterns: ``dag:<pattern>``, ``user:<pattern>``, ``role:<pattern>``.

    :raises InvalidConfiguration: if the setting can't be read, or names a stage twice or one that isn't declared.
    """
    found: dict[str, tuple[str, ...]] = {}
    for entry in filter(None, (part.strip() for part in (option("protected_stages") or "").split(";"))):
        stage, said, allowed = (part.strip() for part in entry.partition("="))
        callers = tuple(item.strip() for item in allowed.split(",") if item.strip())
        odd = [item for item in callers if not re.match(r"(dag|user|role):.", item)]
        if not said or odd or not callers:
            problem = f"{entry!r} can't be read"
            advice = "Write: production = dag:training_*, user:alice, role:Op; staging = dag:training_*"
            raise InvalidConfiguration(f"[{SECTION}] protected_stages", problem, advice)
        if stage not in declared_stages():
            problem, advice = (
                f"{stage!r} is not a declared stage",
                f"Declared: {', '.join(declared_stages())}.",
            )
            raise InvalidConfiguration(f"[{SECTION}] protected_stages", problem, advice)
        if stage in found:
            problem, advice = f"{stage!r} appears twice", "Name all who may change a stage in one place."
            raise InvalidConfiguration(f"[{SECTION}] protected_stages", problem, advice)
        found[stage] = callers
    return found


def cache() -> tuple[Path | None, int]:
    """
    Return the folder and the size in bytes of the local cache; None means the user's cache folder.

    :raises InvalidConfiguration: if the size isn't a whole number of megabytes.
    """
    size = option("cache_size_mb") or "10240"
    if not re.fullmatch(r"[0-9]{1,12}", size):
        raise InvalidConfiguration(
            f"[{SECTION}] cache_size_mb", f"{size!r} is not a whole number of megabytes"
        )
    folder = option("cache_dir")
    return (Path(folder).expanduser() if folder else None), int(size) * 1024 * 1024
