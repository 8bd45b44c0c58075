"""Input of the compilers for Airflow and Kubeflow."""

import dataclasses
from pathlib import Path

from diptych.schemas.config.config import Config


@dataclasses.dataclass(frozen=True)
class CompileRequest:
    """The pipeline to compile, and where its steps will run.

    Attributes:
      file: Configuration file.
      settings: Overrides, ``key.path=value`` each.
      config: The configuration, with the overrides.
      root: Pipeline root where the steps run; None: a default of the compiler.
      image: Container image; None runs the steps on the machine of the orchestrator.
      volumes: Persistent volume claims, ``CLAIM:/PATH`` each.
    """

    file: Path
    settings: tuple[str, ...]
    config: Config
    root: Path | None
    image: str | None
    volumes: tuple[str, ...]
