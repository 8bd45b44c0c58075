"""What a trial takes of the machines that there are."""

from diptych.components.trainer.ray_resources import max_cpus_per_worker, num_placeable
from diptych.schemas.config.config import Config
from diptych.schemas.errors import TrainingError


def choose_trial_resources(
    config: Config, trials: int, machines: list[dict[str, float]]
) -> dict[str, float]:
    """CPUs and GPUs, by Ray's names, such that many trials run at once.

    Args:
      config: ``tune.gpus_per_trial``, used where there are GPUs, and ``train.cpus_per_worker``;
        without it, the CPUs are shared out to the trials that run at once.
      trials: to be run.
      machines: what each machine has; a trial lies on one.

    Raises:
      TrainingError: no machine has what a trial needs.
    """
    gpus = config.tune.gpus_per_trial if any(has.get("GPU") for has in machines) else 0.0
    fit = [has for has in machines if has.get("GPU", 0) >= gpus]
    at_once = min(trials, num_placeable(fit, {"GPU": gpus})) if gpus else trials
    cpus = config.train.cpus_per_worker or max_cpus_per_worker(fit, at_once)
    taken = {"CPU": float(cpus)} | ({"GPU": gpus} if gpus else {})
    if not num_placeable(machines, taken):
        there = "; ".join(
            f"{has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} GPUs" for has in machines
        )
        raise TrainingError(
            f"A trial needs {cpus} CPUs and {gpus:g} GPUs of one machine, Ray has: {there}. Lower "
            "train.cpus_per_worker or tune.gpus_per_trial."
        )
    return taken
