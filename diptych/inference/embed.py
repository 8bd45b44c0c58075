"""Embed images or table rows in this process."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from diptych.schemas.errors import ConfigError, DataError

if TYPE_CHECKING:
    from diptych.inference.embedding_files import EmbedResult
    from diptych.inference.pushed_model import PushedModel


def embed_files(
    model: "PushedModel",
    path: Path,
    out: Path,
    progress: Callable[[int, int | None], None] | None = None,
) -> "EmbedResult":
    """Write the embeddings of all examples at a path into one file.

    Args:
      model: The pushed model.
      path: An image, a table, a row of a table, or a folder of images or tables.
      out: Parquet file to write; rejected examples are listed in ``rejected_path(out)``.
      progress: Called after each batch with the number of examples done so far and the total,
        which is None if only reading the data shows it.

    Raises:
      ConfigError: If ``out`` cannot be written.
      DataError: If there is nothing to embed, or the data cannot be read.
    """
    from diptych.inference.embedding_files import write_embeddings
    from diptych.inference.raw_examples import find_partitions

    check_output_file(out)
    partitions = find_partitions(path, model.manifest)
    counts = [partition.num_examples for partition in partitions]
    total = None if None in counts else sum(count or 0 for count in counts)
    num_done = 0

    def report_batch(num_examples: int) -> None:
        nonlocal num_done
        num_done += num_examples
        if progress is not None:
            progress(num_done, total)

    batches = itertools.chain.from_iterable(partition.read() for partition in partitions)
    result = write_embeddings(model, batches, out, rejected_path(out), report_batch)
    if not result.num_embedded or not result.num_rejected:
        rejected_path(out).unlink(missing_ok=True)  # a previous call may have written one
    if not result.num_embedded:
        raise no_usable_example_error(path, result)
    return result


def check_output_path(out: Path) -> None:
    """Check before any work that ``out`` can be written.

    Raises:
      ConfigError: If its folder is missing or not writable.
    """
    folder = out.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"--out {out}: the folder {folder} does not exist. Create it first.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(
            f"--out {out}: you have no permission to write to {folder}. Choose another folder."
        )


def check_output_file(out: Path) -> None:
    """Check before any work that the file ``out`` can be written.

    Raises:
      ConfigError: If it is a folder, or its folder is missing or not writable.
    """
    check_output_path(out)
    if out.is_dir():
        raise ConfigError(f"--out {out} is a folder. Pass a file name such as embeddings.parquet.")


def rejected_path(out: Path) -> Path:
    """Return the path of the list of rejected examples: ``birds.rejected.parquet``."""
    return out.with_suffix(f".rejected{out.suffix}")


def no_usable_example_error(path: Path, result: "EmbedResult") -> DataError:
    """Create the error for data without any usable example."""
    return DataError(f"{path} has no usable example. {describe_rejected(result)}".rstrip())


def describe_rejected(result: "EmbedResult") -> str:
    """Describe the number of rejected examples and the most frequent reasons; empty if none."""
    if not result.num_rejected:
        return ""
    reasons = result.rejection_reasons
    shown = ", ".join(f"{reason} ({count:,})" for reason, count in reasons.most_common(3))
    more = f", and {len(reasons) - 3} more reasons" if len(reasons) > 3 else ""
    return f"Rejected {result.num_rejected:,}: {shown}{more}."
