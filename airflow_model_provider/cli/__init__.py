"""``airflow model-registry``."""
