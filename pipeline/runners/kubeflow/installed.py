"""Kubeflow's own package is not needed by those who run elsewhere."""

import importlib.util

from diptych.schemas.errors import ConfigError


def check_installed() -> None:
    """Raises ConfigError if kfp is not there."""
    if importlib.util.find_spec("kfp") is None:
        raise ConfigError(
            "Kubeflow Pipelines need the package kfp, which is not installed: "
            "pip install 'diptych[kubeflow]'."
        )
