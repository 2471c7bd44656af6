"""Airflow dag: two that score with what was promoted, and one that promotes and then fails."""

from __future__ import annotations

from airflow_model_provider import Model, ModelStages, get_step_context, pipeline, step

RACER = Model("racer", version="production")


@step
def claimed(number: int) -> dict[str, object]:
    """Tell what this run was started for, in so few words that they stand in the XCom itself: first and last ones."""
    found: list[list[int]] = []
    for event in get_step_context().promotions:
        if found and found[-1][1] == event.sequence - 1:
            found[-1][1] = event.sequence
        else:
            found.append([event.sequence, event.sequence])
    return {"number": number, "claimed": found}


@step
def again(number: int) -> int:
    """See the same in a second task."""
    return number


@pipeline(name="first_consumer", schedule=RACER.asset)
def first() -> None:
    claimed(Model("racer", version="triggering").number)
    again(Model("racer", version="triggering").number)


@pipeline(name="second_consumer", schedule=RACER.asset | Model("nobody", version="staging").asset)
def second() -> None:
    claimed(Model("racer", version="triggering").number)


@step(model=Model("racer"))
def promote_and_fail() -> None:
    """Promote the version of this run, and fail."""
    context = get_step_context()
    context.model.set_stage(
        ModelStages.PRODUCTION, force=True, allow_incomplete=True, reason="before the end"
    )
    raise ValueError("after the promotion")


@pipeline(name="promotes_and_fails")
def failing() -> None:
    promote_and_fail()


first(), second(), failing()
