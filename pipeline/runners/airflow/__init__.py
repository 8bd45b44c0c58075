"""Apache Airflow: the pipeline as a DAG file, which imports nothing of ours."""
