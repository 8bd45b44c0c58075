"""CPUs and GPUs of a trial."""

from diptych.components.trainer.ray_resources import max_cpus_per_worker, num_placeable
from diptych.schemas.config.config import Config
from diptych.schemas.errors import TrainingError


def choose_trial_resources(
    config: Config, num_trials: int, machines: list[dict[str, float]]
) -> dict[str, float]:
    """Choose the CPUs and GPUs of a trial such that many trials run in parallel.

    Args:
      config: Contains ``tune.gpus_per_trial``, ignored without GPUs, and ``train.cpus_per_worker``;
        without the latter, concurrent trials share the CPUs equally.
      num_trials: Number of trials to run.
      machines: Resources of each machine. A trial runs on one machine.

    Returns:
      Amounts by the resource names of Ray, ``CPU`` and ``GPU``.

    Raises:
      TrainingError: If no machine has the resources of a trial.
    """
    gpus = config.tune.gpus_per_trial if any(machine.get("GPU") for machine in machines) else 0.0
    suitable = [machine for machine in machines if machine.get("GPU", 0) >= gpus]
    num_parallel = min(num_trials, num_placeable(suitable, {"GPU": gpus})) if gpus else num_trials
    cpus = config.train.cpus_per_worker or max_cpus_per_worker(suitable, num_parallel)
    resources = {"CPU": float(cpus)} | ({"GPU": gpus} if gpus else {})
    if not num_placeable(machines, resources):
        available = "; ".join(
            f"{machine.get('CPU', 0):g} CPUs and {machine.get('GPU', 0):g} GPUs"
            for machine in machines
        )
        raise TrainingError(
            f"A trial needs {cpus} CPUs and {gpus:g} GPUs on one machine. Machines of Ray: "
            f"{available}. Lower train.cpus_per_worker or tune.gpus_per_trial."
        )
    return resources
