"""What tonight's task is, found out in a moment: from names, sizes and times of files."""

import contextlib
import datetime
import hashlib
import sqlite3
import zoneinfo
from pathlib import Path

from diptych.components.common.production import production_at_start
from diptych.components.example_gen.files import find_data, fingerprint_of
from diptych.components.example_gen.spans import find_spans, has_spans
from diptych.pipeline.caching import code_of_pipeline
from diptych.pipeline.nightly.night import Night, newest_night, next_night, now
from diptych.pipeline.workspace import DATABASE, run_folder, serving_folder
from diptych.schemas.config.config import Config
from diptych.schemas.config.data import Data
from diptych.schemas.errors import ConfigError, DiptychError

_NO_RESULT = {"nightly", "tune", "beam"}  # sections that no result depends on


def tonight(config: Config, root: Path) -> Night:
    """The night to work on: a new one, one that was broken off, or one of which nothing is new."""
    today = datetime.datetime.now(zoneinfo.ZoneInfo(config.nightly.timezone)).date()
    span, fingerprint = _data(config.data)
    new = Night(
        pipeline=config.name,
        run=f"night-{span or today.isoformat()}",
        outcome="running",
        span=span,
        fingerprint=fingerprint,
        configuration=_configuration(config),
        code=_code(config),
        started=now(),
        production=production_at_start(serving_folder(config, root)),
    )
    return next_night(new, newest_night(root, config.name), lambda run: _is_taken(root, run))


def _data(data: Data) -> tuple[str | None, str | None]:
    """The newest span, and the fingerprint of all; None where there is none."""
    span = fingerprint = None
    with contextlib.suppress(DiptychError, OSError):  # the run fails of it, and says why
        if has_spans(data.path):
            span = find_spans(data.path)[-1].name
        fingerprint = fingerprint_of(find_data(data))
    return span, fingerprint


def _configuration(config: Config) -> str:
    settings = config.model_dump_json(exclude=_NO_RESULT)
    return hashlib.blake2b(settings.encode(), digest_size=8).hexdigest()


def _code(config: Config) -> str:
    try:
        return code_of_pipeline(config)
    except ConfigError:  # as above
        return ""


def _is_taken(root: Path, run: str) -> bool:
    """Whether there is a run of a name; one whose folder was removed is still in the database."""
    if run_folder(root, run).exists():
        return True
    if not (root / DATABASE).is_file():
        return False
    with (
        contextlib.suppress(sqlite3.Error),  # it has no tables yet; one with a fault, the run names
        contextlib.closing(sqlite3.connect(root / DATABASE)) as connection,
    ):
        known = connection.execute("SELECT 1 FROM Context WHERE name = ?", (run,))
        return known.fetchone() is not None
    return False
