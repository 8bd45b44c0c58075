"""Kubeflow Pipelines: compiler, container entry point of the steps, and client."""
