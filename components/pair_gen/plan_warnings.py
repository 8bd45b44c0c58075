"""What of a plan differs from what the configuration asks for, in words for the console."""

from diptych.components.pair_gen.given_pairs import PairLayout
from diptych.components.pair_gen.layout import Layout
from diptych.schemas.config.pairs import Pairs, Policy


def notes_of(layout: Layout | PairLayout, settings: Pairs, policy: Policy) -> tuple[str, ...]:
    """A sentence for each setting that the data do not allow, or that leaves data out."""
    if isinstance(layout, PairLayout):
        return _of_pairs(layout, settings, policy)
    amounts, segments = layout.quotas, layout.segments
    notes = []
    if layout.classes_per_batch < settings.classes_per_batch:
        notes.append(
            f"pairs.classes_per_batch is {settings.classes_per_batch}, but there are "
            f"{amounts.counts.size} classes: batches hold all of them."
        )
    largest = int(amounts.counts.max())
    if settings.examples_per_class > largest:
        notes.append(
            f"pairs.examples_per_class is {settings.examples_per_class}, but the largest class "
            f"has {largest} examples: batches hold whole classes."
        )
    if segments.unpaired:
        notes.append(
            f"The largest class outweighs all others: {segments.unpaired:,} of its "
            f"{int(amounts.per_round.max()):,} chunks of a round find no partner and give no "
            "pairs. Add examples of other classes, or choose another pairs.policy."
        )
    return tuple(notes)


def _of_pairs(layout: PairLayout, settings: Pairs, policy: Policy) -> tuple[str, ...]:
    batches = int(layout.chunks.quotas.per_round.max())
    needed = int(layout.chunks.quotas.per_pass.max())
    if policy != "oversample" or batches == needed:
        return ()
    return (
        f"pairs.max_repeats of {settings.max_repeats} ends a round after {batches:,} of {needed:,} "
        "batches; the next round goes on from there.",
    )
