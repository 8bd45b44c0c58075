"""Check for the optional package kfp."""

import importlib.util

from diptych.schemas.errors import ConfigError


def check_kfp_installed() -> None:
    """Check that the package kfp is installed.

    Raises:
      ConfigError: If it is missing.
    """
    if importlib.util.find_spec("kfp") is None:
        raise ConfigError(
            "Kubeflow Pipelines requires the package kfp, which is not installed. Install it with "
            "pip install 'diptych[kubeflow]'."
        )
