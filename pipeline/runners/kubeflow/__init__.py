"""Kubeflow Pipelines: the pipeline in its format, what it starts for a step, and its client."""
