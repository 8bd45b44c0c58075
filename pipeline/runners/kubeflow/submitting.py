"""Hands a compiled pipeline to Kubeflow Pipelines: a version, and a run or a schedule of it."""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from diptych.pipeline.runners.kubeflow.installed import check_installed
from diptych.schemas.errors import ConfigError, ServiceError

_TIMEOUT_S = 10
_AT_ONCE = 100  # recurring runs in an answer; of one name there is one, or two for a moment


@dataclasses.dataclass(frozen=True)
class Submitted:
    """What the server has now."""

    pipeline: str
    version: str
    address: str  # of the run, or of the recurring run, in the browser
    unchanged: bool = False  # the schedule was there already, as it is


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A compiled pipeline in a file. The version is named by its content."""

    path: Path
    name: str
    version: str


def read_compiled(path: Path) -> Compiled:
    """Reads what ``diptych compile`` has written.

    Raises:
      ConfigError: it is not there, or something else.
    """
    try:
        content = path.read_bytes()
        name = next(yaml.safe_load_all(content))["pipelineInfo"]["name"]
    except OSError as error:
        raise ConfigError(f"Cannot read the pipeline {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError, StopIteration, TypeError, KeyError) as error:
        raise ConfigError(
            f"{path} is no compiled pipeline. Write one with diptych compile --runner kubeflow."
        ) from error
    return Compiled(path, name, hashlib.blake2b(content, digest_size=6).hexdigest())


class Server:
    """Kubeflow Pipelines at an address."""

    def __init__(self, host: str, namespace: str | None) -> None:
        """Finds out first whether it answers: kfp would try for half a minute.

        The token is in a file, as kfp has it: at KF_PIPELINES_SA_TOKEN_PATH, or where Kubernetes
        puts that of a service account for Kubeflow Pipelines.

        Args:
          host: its address, with the scheme.
          namespace: of the user; None where the installation has only one.

        Raises:
          ConfigError: kfp is not installed, or the token cannot be read.
          ServiceError: it does not answer, or refuses.
        """
        check_installed()
        self._host, self._namespace, token = host.rstrip("/"), namespace, _token()
        _check_answers(self._host, token)
        with _explained(self._host):
            import kfp

            self._client = kfp.Client(
                host=self._host, existing_token=token, **_if_given(namespace=namespace)
            )

    def run(self, compiled: Compiled) -> Submitted:
        """Starts a run now.

        Raises:
          ServiceError: the server refuses.
        """
        with _explained(self._host):
            pipeline, version = self._uploaded(compiled)
            run = self._client.run_pipeline(
                self._experiment(compiled.name),
                f"{compiled.name} {compiled.version}",
                pipeline_id=pipeline,
                version_id=version,
            )
        return Submitted(compiled.name, compiled.version, self._page("runs", run.run_id))

    def schedule(self, compiled: Compiled, schedule: str) -> Submitted:
        """Leaves one recurring run of the pipeline, this one.

        Those that were there before go when it is there; a run of theirs that is going on is not
        touched. Nothing is done if it is there already.

        Args:
          compiled: the pipeline.
          schedule: cron, with five fields.

        Raises:
          ServiceError: the server refuses.
        """
        cron = f"0 {' '.join(schedule.split())}"  # Kubeflow's begins with the seconds
        with _explained(self._host):
            pipeline, version = self._uploaded(compiled)
            experiment = self._experiment(compiled.name)
            before = self._client.list_recurring_runs(
                page_size=_AT_ONCE, experiment_id=experiment, filter=_named(compiled.name)
            )
            old = before.recurring_runs or []
            same = [one for one in old if _is(one, pipeline, version, cron)]
            if same:
                kept = same[0]
            else:
                kept = self._client.create_recurring_run(
                    experiment,
                    compiled.name,
                    cron_expression=cron,
                    max_concurrency=1,
                    no_catchup=True,
                    pipeline_id=pipeline,
                    version_id=version,
                )
            for one in old:
                if one.recurring_run_id != kept.recurring_run_id:
                    self._client.delete_recurring_run(one.recurring_run_id)
        page = self._page("recurringrun", kept.recurring_run_id)
        return Submitted(compiled.name, compiled.version, page, unchanged=bool(same))

    def _uploaded(self, compiled: Compiled) -> tuple[str, str]:
        """Ids of the pipeline and of the version with this content; both are made if need be."""
        client = self._client
        found = client.list_pipelines(filter=_named(compiled.name), namespace=self._namespace)
        if found.pipelines:
            pipeline = found.pipelines[0].pipeline_id
        else:
            path = str(compiled.path)
            made = client.upload_pipeline(path, compiled.name, namespace=self._namespace)
            pipeline = made.pipeline_id
        versions = client.list_pipeline_versions(pipeline, filter=_named(compiled.version))
        if versions.pipeline_versions:
            return pipeline, versions.pipeline_versions[0].pipeline_version_id
        version = client.upload_pipeline_version(
            str(compiled.path), compiled.version, pipeline_id=pipeline
        )
        return pipeline, version.pipeline_version_id

    def _experiment(self, name: str) -> str:
        experiment: str = self._client.create_experiment(
            name, namespace=self._namespace
        ).experiment_id
        return experiment

    def _page(self, kind: str, number: str) -> str:
        return f"{self._host}/#/{kind}/details/{number}"


def _is(recurring: Any, pipeline: str, version: str, cron: str) -> bool:
    reference, schedule = recurring.pipeline_version_reference, recurring.trigger.cron_schedule
    return (
        recurring.mode == "ENABLE"
        and schedule is not None
        and schedule.cron == cron
        and (reference.pipeline_id, reference.pipeline_version_id) == (pipeline, version)
    )


def _named(name: str) -> str:
    """Kubeflow's filter for what has a name."""
    by_name = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [by_name]})


def _if_given(**options: str | None) -> dict[str, str]:
    return {key: value for key, value in options.items() if value is not None}


def _token() -> str | None:
    from kfp.client import KF_PIPELINES_SA_TOKEN_ENV, KF_PIPELINES_SA_TOKEN_PATH

    named = os.environ.get(KF_PIPELINES_SA_TOKEN_ENV)
    path = Path(named or KF_PIPELINES_SA_TOKEN_PATH)
    if named is None and not path.exists():
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"Cannot read the token of Kubeflow {path}: {error.strerror}.") from error


def _check_answers(host: str, token: str | None) -> None:
    if not host.startswith(("http://", "https://")):
        raise ConfigError(f"--host needs an address such as http://localhost:8080, got {host!r}.")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{host}/apis/v2beta1/healthz", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            json.load(answer)
    except urllib.error.HTTPError as error:
        raise ServiceError(
            f"{host} refuses: {error.code} {error.reason}. {_advice(error.code)}"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ServiceError(
            f"No Kubeflow Pipelines answer at {host}: {reason}. Check --host; from outside of the "
            "cluster, forward the port of ml-pipeline-ui."
        ) from error


def _advice(status: int) -> str:
    if status in (401, 403):
        return (
            "Put a token in the file that KF_PIPELINES_SA_TOKEN_PATH names, and name your "
            "namespace with --namespace."
        )
    return "Check --host and the log of the server."


@contextlib.contextmanager
def _explained(host: str) -> Iterator[None]:
    """Errors of the client in one line; what it prints and warns of is left out."""
    import kfp_server_api
    from urllib3.exceptions import HTTPError

    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except kfp_server_api.ApiException as error:
        raise ServiceError(
            f"{host} refuses: {error.status} {_message(error)}. {_advice(error.status or 0)}"
        ) from error
    except HTTPError as error:
        raise ServiceError(f"{host} does not answer any more: {error}.") from error


def _message(error: Any) -> str:
    try:
        said = json.loads(error.body)
        text = str(said.get("message") or said.get("error") or error.reason)
    except (TypeError, ValueError, AttributeError):
        text = str(error.reason)
    return text.strip().rstrip(".")
