"""A promoted run whose tasks, a standard one among them, are all cleared and run again; run by ``run_shapes.py``."""

from __future__ import annotations

from typing import Annotated, Any

from airflow.sdk import task

from airflow_model_provider import Client, Model, get_step_context, pipeline, step

NAME = "cleared_reports"
ROUND = [1]


@step
def train() -> Annotated[int, "trained"]:
    """Return the number of the run's version."""
    return int(get_step_context().model.number)


@task
def report(number: int) -> None:
    """Write into the version as any code may."""
    version = Client().get_model_version(NAME, number)
    version.log_metadata({f"round_{ROUND[0]}": number})
    version.save_artifact(f"report_{ROUND[0]}", number)


@step
def promote() -> None:
    """Promote what was trained."""
    get_step_context().model.set_stage("staging", force=True)


@pipeline(name=NAME, model=Model(NAME))
def cleared_reports() -> None:
    """Train, report, promote."""
    promote.after(report(train()))()


def wrong(dag: Any, go_on: Any) -> str | None:
    """Run it twice; say what is wrong. The further version has nothing of what was made anew."""
    run = dag.test()
    ROUND[0] += 1
    go_on(dag, run.run_id, ["train", "report", "promote"])
    found = {
        version.number: (
            str(version.stage),
            sorted(version.run_metadata),
            sorted(item.name for item in version.list_artifacts()),
        )
        for version in Client().list_model_versions(NAME)
    }
    wanted = {
        number: (stage, [f"round_{number}"], [f"report_{number}", "trained"])
        for number, stage in ((1, "archived"), (2, "staging"))
    }
    return None if found == wanted else f"{run.state}: {found}"
