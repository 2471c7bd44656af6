"""``airflow model-registry promote`` with gates, through Airflow's own parser."""

from __future__ import annotations

import functools
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_model_provider import Client

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parents[2] / "docs" / "gates.md"


@pytest.fixture
def promote(model_registry: Client, airflow: Callable[..., str]) -> Callable[..., str]:
    """Run ``promote`` and return what it prints; iris has a version in production and a better one."""
    for accuracy in (0.95, 0.97):
        model_registry.register_model_version(
            "iris",
            {"trained_model": accuracy},
            metadata={"accuracy": accuracy, "rmse": 3 - accuracy},
            **({"stage": "production"} if accuracy == 0.95 else {}),  # type: ignore[arg-type]
        )

    return functools.partial(airflow, "promote")


def test_the_command_of_the_page(promote: Callable[..., str]) -> None:
    """The better version replaces the holder without ``--force``."""
    (line,) = re.findall(r"^airflow model-registry promote (.*)$", PAGE.read_text(), re.MULTILINE)

    assert promote(*shlex.split(line)) == "Promoted iris@2 to production (was iris@1, event 2).\n"


def test_all_options_are_gates(promote: Callable[..., str], model_registry: Client) -> None:
    """Each objects to what it is asked of; all of them in one line."""
    with pytest.raises(SystemExit) as caught:
        promote(
            *(
                "iris",
                "2",
                "staging",
                "--require",
                "accuracy < 0.9",
                "--require",
                "accuracy==1",
                "--better-than",
            ),
            *(
                "production",
                "--metric",
                "rmse",
                "--mode",
                "min",
                "--min-delta",
                "0.5",
                "--artifact",
                "report",
            ),
            *("--metadata-key", "f1", "--min-age", "1d12h", "--check", "tests.support.gate_checks:refuses"),
        )
    with pytest.raises(SystemExit, match="no version of iris is in 'staging'"):
        promote("iris", "2", "staging", "--better-than", "staging", "--metric", "f1", "--if-vacant", "fail")

    said = str(caught.value)
    assert re.sub(r"made \S+ ago", "made now", said).removeprefix("PromotionRefused: ") == (
        "iris@2 was not promoted to 'staging': accuracy 0.97 of iris@2 is not < 0.9; "
        "accuracy 0.97 of iris@2 is not == 1; rmse 2.0300000000000002 of iris@2 is not better than "
        "2.05 of iris@1, which is production (less is better, min_delta 0.5); "
        "iris@2 has no artifact 'report' (it has: trained_model); "
        "iris@2 has no metadata 'f1' (it has: accuracy, rmse); iris@2 was made now, less than 1d 12h; "
        "check tests.support.gate_checks:refuses refuses iris@2. Promote another version, or change the gates."
    )
    assert model_registry.get_model("iris").history("staging") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--require", "accuracy"),
            "--require: 'accuracy' is not a condition; write --require 'accuracy>=0.95'",
        ),
        (("--require", "accuracy=>0.9"), "'accuracy=>0.9' is not a condition"),
        (("--require", "accuracy=0.9"), "'accuracy=0.9' is not a condition"),
        (("--require", ">=0.9"), "'>=0.9' is not a condition"),
        (("--require", "accuracy>=high"), "require\\['accuracy'\\]='>=high' cannot be parsed"),
        (("--max-age", "7"), "--max-age: '7' is not a length of time; write 7d, 12h, or 1d12h"),
        (("--max-age", "0d"), "--max-age: '0d' is no time; write 7d, 12h, or 1d12h"),
        (("--metric", "f1"), "metric= needs better_than="),
        (
            ("--better-than", "production", "--metric", "f1", "--min-delta", "nan"),
            "min_delta=nan must be a number",
        ),
        (("--better-than", "prodction", "--metric", "f1"), "Did you mean 'production'"),
        (("--check", "nowhere:check"), "cannot be imported"),
        (("--require", "accuracy>=0.9"), "StageOccupied"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    promote: Callable[..., str], model_registry: Client, arguments: tuple[str, ...], said: str
) -> None:
    """And exit code 1; nothing has changed."""
    with pytest.raises(SystemExit, match=said) as caught:
        promote("iris", "2", "production", *arguments)

    assert "\n" not in str(caught.value)
    assert [event.version for event in model_registry.get_model("iris").history()] == [1]
