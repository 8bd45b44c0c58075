"""Runners of the pipeline: local, Airflow, Kubeflow Pipelines."""
