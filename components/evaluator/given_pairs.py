"""Evaluation of a list of given pairs, ``evaluate.pairs``."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.components.common.exported_model import ExportedModel
from diptych.components.evaluator.fold_accuracy import measure_fold_accuracy
from diptych.components.evaluator.labelled_examples import RawSplit
from diptych.components.evaluator.listed_examples import embed_listed_examples
from diptych.components.evaluator.pair_list_source import PairListSource, resolve_pair_list
from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.components.evaluator.verification import compute_verification_metrics
from diptych.schemas.config.evaluate import EvaluateConfig
from diptych.schemas.evaluation import GIVEN_PAIRS_SCHEMA, GivenPairMetrics
from diptych.schemas.files import atomic_write
from diptych.schemas.input_spec import InputSpec

_PAIRS_PER_BATCH = 2**16
_MAX_REASONS = 3


def evaluate_given_pairs(
    folder: Path,
    source: PairListSource,
    splits: Mapping[str, RawSplit],
    inputs: InputSpec,
    model: ExportedModel,
    config: EvaluateConfig,
) -> GivenPairMetrics:
    """Score the pairs of a list, compute their metrics, and write ``given_pairs.parquet``.

    Pairs with an example that cannot be used are left out, with a note. The metrics do not affect
    the blessing: the list may contain training examples.

    Args:
      folder: Existing folder to write to.
      source: List of pairs, and the folders of its images.
      splits: Raw examples by split.
      inputs: Features of a raw example.
      model: Model to evaluate, with its calibrated threshold.
      config: Fixed threshold, false accept rates, number of resamples and seed.
    """
    pairs, names, files = resolve_pair_list(source)
    examples = embed_listed_examples(names, files, source, splits, inputs, model)
    left, right = (np.searchsorted(names, side) for side in (pairs.left, pairs.right))
    is_usable = np.ones(len(names), bool)
    is_usable[list(examples.reasons)] = False
    kept = np.flatnonzero(is_usable[left] & is_usable[right])
    is_leaked = examples.is_leaked[left] | examples.is_leaked[right]
    left_row, right_row, same = left[kept], right[kept], pairs.same[kept]
    distance = np.empty(len(kept), np.float32)
    for start in range(0, len(kept), _PAIRS_PER_BATCH):
        batch = slice(start, start + _PAIRS_PER_BATCH)
        distance[batch] = model.distance(
            examples.embeddings[left_row[batch]], examples.embeddings[right_row[batch]]
        )
    fold = None if pairs.fold is None else pairs.fold[kept]
    has_both_kinds = 0 < same.sum() < len(same)
    table = pa.table(
        [
            *(side[kept].tolist() for side in (pairs.left, pairs.right)),
            same,
            pa.nulls(len(kept), pa.int64()) if fold is None else fold,
            distance,
            is_leaked[kept],
        ],
        schema=GIVEN_PAIRS_SCHEMA,
    )
    with atomic_write(folder / "given_pairs.parquet") as tmp_path:
        pq.write_table(table, tmp_path)
    scored = ScoredPairs(len(names), left_row, right_row, same, distance)
    return GivenPairMetrics(
        file=source.file,
        pairs=len(pairs.same),
        leaked_pairs=int(is_leaked.sum()),
        leaked_examples=int(examples.is_leaked.sum()),
        verification=compute_verification_metrics(scored, model.threshold, config)
        if has_both_kinds
        else None,
        folds=None
        if fold is None or not has_both_kinds
        else measure_fold_accuracy(distance, same, fold),
        notes=_describe_unusable(len(pairs.same) - len(kept), names, examples.reasons),
    )


def _describe_unusable(
    num_pairs: int, names: list[str], reasons: dict[int, str]
) -> tuple[str, ...]:
    if not num_pairs:
        return ()
    first = {reasons[row]: names[row] for row in sorted(reasons, reverse=True)}
    notes = [
        f"{count:,} listed example{'s' if count > 1 else ''} cannot be used, such as "
        f"{first[reason]}: {reason}."
        for reason, count in sorted(
            Counter(reasons.values()).items(), key=lambda item: (-item[1], item[0])
        )[:_MAX_REASONS]
    ]
    verb = "s are" if num_pairs > 1 else " is"
    return (f"{num_pairs:,} given pair{verb} left out.", *notes)
