"""Definitions of pipelines and steps, and the local run. No Airflow here."""
