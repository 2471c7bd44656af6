"""A task of Airflow that tells which of the provider's code its process has."""

from __future__ import annotations

from airflow.sdk import dag, task


@dag(schedule=None, params={"names": []}, render_template_as_native_obj=True)
def look_around():
    @task
    def loaded(names: list[str]) -> list[str]:
        import sys

        return [name for name in names if name in sys.modules]

    loaded("{{ params.names }}")


look_around()
