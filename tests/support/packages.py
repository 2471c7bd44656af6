"""Packages as pip leaves them, so that their entry points are found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_model_provider.materializers.third_parties import GROUP

if TYPE_CHECKING:
    from collections.abc import Mapping


def install(site: Path, name: str, points: Mapping[str, str], **modules: str) -> None:
    """
    Put a package of version 1.0 into a folder that is on the path, instead of the one that was there.

    :param points: its materializers: type → ``module:Class``.
    :param modules: name → code.
    """
    folder = site / f"{name.replace('-', '_')}-1.0.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{type_name} = {where}" for type_name, where in points.items()]
    (folder / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
    for module, code in modules.items():
        (site / f"{module}.py").write_text(code)
