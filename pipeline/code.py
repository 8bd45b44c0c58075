"""Digests of source code: what it has made once is not to be taken for what it makes now."""

import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from diptych.schemas.config import Config
from diptych.schemas.errors import ConfigError
from diptych.schemas.model import Encoder, OwnEncoder

_SOURCE = Path(__file__).resolve().parent.parent


def code_of(*parts: str) -> str:
    """Digest of a step's source and of what the steps share: a change of code is no cache hit."""
    return _digest(("schemas", *(f"components/{part}" for part in parts)))


def code_of_trainer(config: Config) -> str:
    """Digest of all source that the training depends on.

    Raises:
      ConfigError: the module of the user's own encoder is not there.
    """
    return code_of("trainer") + _code_of_own_encoder(config.model.encoder)


def code_of_pipeline(config: Config) -> str:
    """Digest of the source of all steps, and of how they are put together.

    Raises:
      ConfigError: the module of the user's own encoder is not there.
    """
    whole = _digest(("schemas", "components", "pipeline/graph.py"))
    return whole + _code_of_own_encoder(config.model.encoder)


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        path = _SOURCE / part
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            digest.update(file.relative_to(_SOURCE).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()


def _code_of_own_encoder(encoder: Encoder | None) -> str:
    """Digest of the module that the user's own encoder is in; empty for ours."""
    if not isinstance(encoder, OwnEncoder):
        return ""
    name = encoder.name.partition(":")[0]
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a parent package is missing, or the name is no name
        found = None
    if found is None or found.origin is None:
        raise ConfigError(
            f"model.encoder {encoder.name}: there is no module {name}. It must be importable from "
            "the folder where diptych runs, or installed."
        )
    origin = Path(found.origin)
    content = origin.read_bytes() if origin.is_file() else b""
    return "-" + hashlib.blake2b(content, digest_size=8).hexdigest()
