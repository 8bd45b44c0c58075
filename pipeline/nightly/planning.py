"""Choice of the night to work on; no data are read, only the names, sizes and times of files."""

import contextlib
import datetime
import hashlib
import sqlite3
import zoneinfo
from pathlib import Path

from diptych.components.common.production import resolve_production
from diptych.components.example_gen.span_files import compute_fingerprint, find_span_files
from diptych.components.example_gen.spans import find_spans, has_spans
from diptych.pipeline.caching import code_of_pipeline
from diptych.pipeline.nightly.night import choose_night, newest_night, utc_now
from diptych.pipeline.workspace import DATABASE, run_folder, serving_folder
from diptych.schemas.config.config import Config
from diptych.schemas.config.data import DataConfig
from diptych.schemas.errors import ConfigError, DiptychError
from diptych.schemas.night import Night

_SECTIONS_WITHOUT_EFFECT = {"nightly", "tune", "beam"}  # they change no result


def plan_night(config: Config, root: Path) -> Night:
    """Choose the night to work on: a new, an interrupted, or a complete one with nothing new."""
    today = datetime.datetime.now(zoneinfo.ZoneInfo(config.nightly.timezone)).date()
    span, fingerprint = _inspect_data(config.data)
    new = Night(
        pipeline=config.name,
        run=f"night-{span or today.isoformat()}",
        outcome="running",
        span=span,
        fingerprint=fingerprint,
        configuration=_config_digest(config),
        code=_code_digest(config),
        started=utc_now(),
        production=resolve_production(serving_folder(config, root)),
    )
    return choose_night(new, newest_night(root, config.name), lambda run: _run_exists(root, run))


def _inspect_data(data: DataConfig) -> tuple[str | None, str | None]:
    """Return the newest span and the fingerprint of the data; None if missing or unreadable."""
    span = fingerprint = None
    with contextlib.suppress(DiptychError, OSError):  # the run fails with the same error
        if has_spans(data.path):
            span = find_spans(data.path)[-1].name
        fingerprint = compute_fingerprint(find_span_files(data), data.corrections)
    return span, fingerprint


def _config_digest(config: Config) -> str:
    settings = config.model_dump_json(exclude=_SECTIONS_WITHOUT_EFFECT)
    digest = hashlib.blake2b(settings.encode(), digest_size=8)
    if config.evaluate.pairs is not None:
        with contextlib.suppress(OSError):  # the run fails with the same error
            digest.update(Path(config.evaluate.pairs).read_bytes())
    return digest.hexdigest()


def _code_digest(config: Config) -> str:
    try:
        return code_of_pipeline(config)
    except ConfigError:  # the run fails with the same error
        return ""


def _run_exists(root: Path, run: str) -> bool:
    """Return whether a run has this name, in its folder or only in ML Metadata."""
    if run_folder(root, run).exists():
        return True
    if not (root / DATABASE).is_file():
        return False
    with (
        contextlib.suppress(sqlite3.Error),  # no tables yet; the run reports a damaged database
        contextlib.closing(sqlite3.connect(root / DATABASE)) as connection,
    ):
        rows = connection.execute("SELECT 1 FROM Context WHERE name = ?", (run,))
        return rows.fetchone() is not None
    return False
