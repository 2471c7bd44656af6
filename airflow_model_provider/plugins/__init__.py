"""What Airflow's plugin manager loads."""
