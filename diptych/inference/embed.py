"""A folder or a table as embeddings, in this process."""

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from diptych.schemas.errors import ConfigError, DataError

if TYPE_CHECKING:
    from rich.console import Console

    from diptych.inference.embedding_files import Written
    from diptych.inference.pushed_model import PushedModel


def embed(model: "PushedModel", path: Path, out: Path, console: "Console") -> "Written":
    """Writes the embeddings of all examples at a path into one file.

    Args:
      model: the pushed one.
      path: an image, a table, a row of one, or a folder of either.
      out: Parquet to write; see ``rejected_beside`` for those that are set aside.
      console: where progress is shown, if it is a terminal.

    Raises:
      ConfigError: ``out`` cannot be written.
      DataError: there is nothing to embed, or it cannot be read.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    from diptych.inference.embedding_files import write_embeddings
    from diptych.inference.raw_examples import find_examples

    check_place(out)
    if out.is_dir():
        raise ConfigError(f"--out {out} is a folder. Name a file, such as embeddings.parquet.")
    parts = find_examples(path, model.manifest)
    counts = [part.num_examples for part in parts]
    total = None if None in counts else sum(count or 0 for count in counts)
    columns = (TextColumn("Embedding"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=total)
        batches = itertools.chain.from_iterable(part.read() for part in parts)
        written = write_embeddings(
            model, batches, out, rejected_beside(out), lambda done: bar.advance(task, done)
        )
    if not written.num_embedded or not written.num_rejected:
        rejected_beside(out).unlink(missing_ok=True)  # an earlier call may have left one
    if not written.num_embedded:
        raise nothing_embedded(path, written)
    return written


def check_place(out: Path) -> None:
    """Finds out before any work whether ``out`` can be written.

    Raises:
      ConfigError: its folder is not there, or one may not write there.
    """
    folder = out.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {folder}. Make it first.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"--out {out}: you may not write into {folder}. Name another place.")


def rejected_beside(out: Path) -> Path:
    """Where the rejected ones are listed: ``birds.rejected.parquet`` beside ``birds.parquet``."""
    return out.with_suffix(f".rejected{out.suffix}")


def nothing_embedded(path: Path, written: "Written") -> DataError:
    """The error where no example could be used."""
    return DataError(f"{path} has no example that can be used. {described(written)}".rstrip())


def described(written: "Written") -> str:
    """How many were set aside, and the most frequent reasons; empty if none."""
    if not written.num_rejected:
        return ""
    most = written.reasons.most_common(3)
    shown = ", ".join(f"{reason} ({count:,})" for reason, count in most)
    more = f", and {len(written.reasons) - 3} more reasons" if len(written.reasons) > 3 else ""
    return f"Set aside {written.num_rejected:,}: {shown}{more}."
