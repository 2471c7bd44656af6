"""What does importing cost?"""

from __future__ import annotations

from benchmarks.harness import Row, beyond, python

ROUNDS = 21


def measure() -> list[Row]:
    """The package's root beyond Python's start; a DAG file's import beyond Airflow's own."""
    airflow = "from airflow.sdk import dag, task"
    ours = "from airflow_model_provider import Model, ModelStages, get_pipeline_context, pipeline, step"
    root = beyond(
        lambda: python("-c", "import airflow_model_provider"), lambda: python("-c", "pass"), rounds=ROUNDS
    )
    file = beyond(
        lambda: python("-c", f"{airflow}\n{ours}\n@step\ndef use(): ...\n@pipeline\ndef p(): use()"),
        lambda: python("-c", airflow),
        rounds=ROUNDS,
    )
    return [
        Row(
            "import", "the root, beyond Python's start", *_ms(root), "ms", 15, difference=True, rounds=ROUNDS
        ),
        Row("import", "a DAG file, beyond airflow.sdk", *_ms(file), "ms", 50, difference=True, rounds=ROUNDS),
    ]


def _ms(pair: tuple[float, float]) -> tuple[float, float]:
    return pair[0] * 1000, pair[1] * 1000
