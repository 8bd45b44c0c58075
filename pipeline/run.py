"""``diptych run``: from a configuration to a summary."""

from pathlib import Path

from diptych.pipeline.engines import check_reachable
from diptych.pipeline.session import Session, in_session


def run_pipeline(path: Path, settings: tuple[str, ...], root: Path | None) -> int:
    """Runs the pipeline once; see ``in_session``."""
    return in_session(path, settings, root, _run)


def _run(session: Session) -> None:
    config, steps, console = session.config, session.steps, session.console
    check_reachable(config.beam)
    from diptych.components.example_gen.preflight import settle

    inputs = settle(config.data, config.split)
    from diptych.pipeline.graph import LOOK_UPS, build_pipeline
    from diptych.pipeline.local import Outcome, run_locally
    from diptych.pipeline.summary import show, summarize

    pipeline = build_pipeline(config, inputs, session.root)
    steps.end()
    outcomes = {}

    def ended(name: str, outcome: Outcome) -> None:
        outcomes[name] = outcome
        steps.end("unchanged, from the cache" if outcome is Outcome.CACHED else "")

    run_locally(pipeline, steps.start, ended)
    show(summarize(session.root / "metadata.sqlite", config.name), console)
    if {name for name, outcome in outcomes.items() if outcome is Outcome.RAN} <= LOOK_UPS:
        console.print(f"Nothing has changed: all from the cache, in {session.seconds:.0f} s")
    else:
        session.done()
