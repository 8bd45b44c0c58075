"""The request that a compiler turns into the file of an orchestrator."""

import dataclasses
from pathlib import Path

from diptych.schemas.config.config import Config


@dataclasses.dataclass(frozen=True)
class CompileRequest:
    """The pipeline to compile, and where it will run."""

    file: Path  # of the configuration
    settings: tuple[str, ...]  # overrides, ``key.path=value`` each
    config: Config  # both of them, read
    root: Path | None
    image: str | None
    volumes: tuple[str, ...]
