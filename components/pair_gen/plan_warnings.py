"""Warnings about settings that a plan cannot follow."""

from diptych.components.pair_gen.given_pairs import PairLayout
from diptych.components.pair_gen.layout import Layout
from diptych.schemas.config.pairs import PairsConfig, Sampling


def find_plan_warnings(
    layout: Layout | PairLayout, settings: PairsConfig, sampling: Sampling
) -> tuple[str, ...]:
    """Return a sentence for each setting that the data do not permit, or that excludes data."""
    if isinstance(layout, PairLayout):
        return _find_pair_plan_warnings(layout, settings, sampling)
    quotas, segments = layout.quotas, layout.segments
    warnings = []
    if layout.classes_per_batch < settings.classes_per_batch:
        warnings.append(
            f"pairs.classes_per_batch is {settings.classes_per_batch}, but the data have only "
            f"{quotas.counts.size} classes: every batch contains all of them."
        )
    largest = int(quotas.counts.max())
    if settings.examples_per_class > largest:
        warnings.append(
            f"pairs.examples_per_class is {settings.examples_per_class}, but the largest class "
            f"has {largest} examples: batches contain all examples of a class."
        )
    if segments.num_unpaired:
        warnings.append(
            f"The largest class outweighs all others: {segments.num_unpaired:,} of its "
            f"{int(quotas.chunks_per_round.max()):,} chunks per round have no negatives and give "
            "no pairs. Add examples of other classes, or change pairs.sampling."
        )
    return tuple(warnings)


def _find_pair_plan_warnings(
    layout: PairLayout, settings: PairsConfig, sampling: Sampling
) -> tuple[str, ...]:
    batches = int(layout.chunk_layout.quotas.chunks_per_round.max())
    needed = int(layout.chunk_layout.quotas.chunks_per_pass.max())
    if sampling != "oversample" or batches == needed:
        return ()
    return (
        f"pairs.max_repeats of {settings.max_repeats} ends a round after {batches:,} of {needed:,} "
        "batches; the next round continues from there.",
    )
