"""What a value was made with: Python, platform and library versions (R44)."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_DISTRIBUTIONS = {
    "PIL": "pillow",
    "attr": "attrs",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "imblearn": "imbalanced-learn",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
#: What pickled estimators depend on besides their own library.
_BELOW = {
    "sklearn": ("numpy", "scipy", "scikit-learn"),
    "pandas": ("numpy", "pyarrow"),
    "xgboost": ("numpy",),
}


@lru_cache(maxsize=1)
def _here() -> tuple[tuple[str, str], ...]:
    """What no process changes."""
    python = ".".join(map(str, sys.version_info[:3]))
    return ("python", python), ("platform", f"{sys.platform}-{platform.machine()}")


@lru_cache(maxsize=64)
def _version(distribution: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except (PackageNotFoundError, ValueError):  # which a name is that no package can have
        return None


def capture(type_names: Sequence[str], packages: Sequence[str] = ()) -> dict[str, Any]:
    """
    Return Python, platform and the versions of the libraries that a value needs.

    :param type_names: the value's types.
    :param packages: the packages that its parts come from.
    """
    found: dict[str, Any] = dict(_here())
    roots = dict.fromkeys((*(name.split(".", 1)[0] for name in type_names), *packages))
    wanted = [item for root in roots for item in (_DISTRIBUTIONS.get(root, root), *_BELOW.get(root, ()))]
    versions = {item: _version(item) for item in dict.fromkeys(wanted) if item not in sys.stdlib_module_names}
    libraries = {item: version for item, version in versions.items() if version is not None}
    return {**found, "libraries": libraries} if libraries else found


def differences(recorded: object) -> list[str]:
    """
    Return what is another here than it was: ``scikit-learn 1.5.2, here 1.7.0``.

    :param recorded: what :func:`capture` returned; of anything else, what can be read as that.
    """
    then = _mapping(recorded)
    found = []
    for key, now in _here():
        if then.get(key) not in (None, now):
            found.append(f"{key} {then[key]}, here {now}")
    for library, version in _mapping(then.get("libraries")).items():
        if _version(library) != version:
            found.append(f"{library} {version}, here {_version(library) or 'not installed'}")
    return found


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}
