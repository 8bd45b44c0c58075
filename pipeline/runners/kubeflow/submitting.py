"""Client of Kubeflow Pipelines: upload a compiled pipeline, and run or schedule it."""

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

from diptych.pipeline.runners.kubeflow.installed import check_kfp_installed
from diptych.schemas.errors import ConfigError, ServiceError
from diptych.schemas.yaml_text import check_yaml

_TIMEOUT_S = 10
_PAGE_SIZE = 100  # of recurring runs; one name has one, or two for a moment


@dataclasses.dataclass(frozen=True)
class Submission:
    """Result of a submission.

    Attributes:
      pipeline: Name of the pipeline.
      version: Name of the pipeline version.
      url: Page of the run or the recurring run.
      unchanged: True if the same schedule existed before.
    """

    pipeline: str
    version: str
    url: str
    unchanged: bool = False


@dataclasses.dataclass(frozen=True)
class CompiledPipeline:
    """A compiled pipeline in a file; its version is a digest of the file."""

    path: Path
    name: str
    version: str


def read_compiled_pipeline(path: Path) -> CompiledPipeline:
    """Read a file written by ``diptych compile --runner kubeflow``.

    Raises:
      ConfigError: If the file cannot be read, or is not a compiled pipeline.
    """
    try:
        content = path.read_bytes()
        check_yaml(content.decode())
        name = next(yaml.safe_load_all(content))["pipelineInfo"]["name"]
    except OSError as error:
        raise ConfigError(f"Cannot read the pipeline {path}: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError, StopIteration, TypeError, KeyError) as error:
        raise ConfigError(
            f"{path} is not a compiled pipeline. Create one with diptych compile --runner kubeflow."
        ) from error
    return CompiledPipeline(path, name, hashlib.blake2b(content, digest_size=6).hexdigest())


class KubeflowClient:
    """Client of a Kubeflow Pipelines server."""

    def __init__(self, host: str, namespace: str | None) -> None:
        """Connect to a server; check first whether it responds, as kfp would retry for 30 s.

        The token is read from a file, as kfp does: KF_PIPELINES_SA_TOKEN_PATH, or the token that
        Kubernetes mounts for a service account.

        Args:
          host: Address of the server, including the scheme.
          namespace: Namespace of the user; None for a single-user installation.

        Raises:
          ConfigError: If kfp is not installed, or the token cannot be read.
          ServiceError: If the server does not respond, or rejects the request.
        """
        check_kfp_installed()
        self._host, self._namespace, token = host.rstrip("/"), namespace, _read_kubeflow_token()
        _check_server(self._host, token)
        with _translate_api_errors(self._host):
            import kfp

            options = {} if namespace is None else {"namespace": namespace}
            self._client = kfp.Client(host=self._host, existing_token=token, **options)

    def run(self, compiled: CompiledPipeline) -> Submission:
        """Start a run.

        Raises:
          ServiceError: If the server rejects the request.
        """
        with _translate_api_errors(self._host):
            pipeline, version = self._upload(compiled)
            run = self._client.run_pipeline(
                self._create_experiment(compiled.name),
                f"{compiled.name} {compiled.version}",
                pipeline_id=pipeline,
                version_id=version,
            )
        return Submission(compiled.name, compiled.version, self._page_url("runs", run.run_id))

    def schedule(self, compiled: CompiledPipeline, schedule: str) -> Submission:
        """Schedule the pipeline, in place of its previous schedules.

        An equal schedule is kept. The others are deleted after the new one was created; their
        active runs continue.

        Args:
          compiled: The pipeline.
          schedule: Cron expression with five fields.

        Raises:
          ServiceError: If the server rejects the request.
        """
        cron = f"0 {' '.join(schedule.split())}"  # the first field of Kubeflow is the second
        with _translate_api_errors(self._host):
            pipeline, version = self._upload(compiled)
            experiment = self._create_experiment(compiled.name)
            response = self._client.list_recurring_runs(
                page_size=_PAGE_SIZE, experiment_id=experiment, filter=_name_filter(compiled.name)
            )
            previous = response.recurring_runs or []
            equal = [each for each in previous if _has_schedule(each, pipeline, version, cron)]
            if equal:
                current = equal[0]
            else:
                current = self._client.create_recurring_run(
                    experiment,
                    compiled.name,
                    cron_expression=cron,
                    max_concurrency=1,
                    no_catchup=True,
                    pipeline_id=pipeline,
                    version_id=version,
                )
            for each in previous:
                if each.recurring_run_id != current.recurring_run_id:
                    self._client.delete_recurring_run(each.recurring_run_id)
        url = self._page_url("recurringrun", current.recurring_run_id)
        return Submission(compiled.name, compiled.version, url, unchanged=bool(equal))

    def _upload(self, compiled: CompiledPipeline) -> tuple[str, str]:
        """Upload the pipeline and its version if missing; return the ids of both."""
        client = self._client
        response = client.list_pipelines(
            filter=_name_filter(compiled.name), namespace=self._namespace
        )
        if response.pipelines:
            pipeline = response.pipelines[0].pipeline_id
        else:
            pipeline = client.upload_pipeline(
                str(compiled.path), compiled.name, namespace=self._namespace
            ).pipeline_id
        versions = client.list_pipeline_versions(pipeline, filter=_name_filter(compiled.version))
        if versions.pipeline_versions:
            return pipeline, versions.pipeline_versions[0].pipeline_version_id
        version = client.upload_pipeline_version(
            str(compiled.path), compiled.version, pipeline_id=pipeline
        )
        return pipeline, version.pipeline_version_id

    def _create_experiment(self, name: str) -> str:
        experiment: str = self._client.create_experiment(
            name, namespace=self._namespace
        ).experiment_id
        return experiment

    def _page_url(self, kind: str, object_id: str) -> str:
        return f"{self._host}/#/{kind}/details/{object_id}"


def _has_schedule(recurring_run: Any, pipeline: str, version: str, cron: str) -> bool:
    """Return whether an enabled recurring run has this pipeline version and schedule."""
    reference = recurring_run.pipeline_version_reference
    schedule = recurring_run.trigger.cron_schedule
    return (
        recurring_run.mode == "ENABLE"
        and schedule is not None
        and schedule.cron == cron
        and (reference.pipeline_id, reference.pipeline_version_id) == (pipeline, version)
    )


def _name_filter(name: str) -> str:
    """Build Kubeflow's filter for objects with a display name."""
    by_name = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    return json.dumps({"predicates": [by_name]})


def _read_kubeflow_token() -> str | None:
    from kfp.client import KF_PIPELINES_SA_TOKEN_ENV, KF_PIPELINES_SA_TOKEN_PATH

    configured = os.environ.get(KF_PIPELINES_SA_TOKEN_ENV)
    path = Path(configured or KF_PIPELINES_SA_TOKEN_PATH)
    if configured is None and not path.exists():
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"Cannot read the Kubeflow token {path}: {error.strerror}.") from error


def _check_server(host: str, token: str | None) -> None:
    if not host.startswith(("http://", "https://")):
        raise ConfigError(f"--host expects a URL such as http://localhost:8080, got {host!r}.")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{host}/apis/v2beta1/healthz", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            json.load(response)
    except urllib.error.HTTPError as error:
        raise ServiceError(
            f"{host} rejects the request: {error.code} {error.reason}. {_advice(error.code)}"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ServiceError(
            f"Kubeflow Pipelines does not respond at {host}: {reason}. Check --host. From outside "
            "the cluster, forward the port of ml-pipeline-ui."
        ) from error


def _advice(status: int) -> str:
    if status in (401, 403):
        return (
            "Set KF_PIPELINES_SA_TOKEN_PATH to a file with a token, and choose your namespace with "
            "--namespace."
        )
    return "Check --host and the log of the server."


@contextlib.contextmanager
def _translate_api_errors(host: str) -> Iterator[None]:
    """Raise errors of kfp as a ServiceError of one line; suppress its output and warnings."""
    import kfp_server_api
    from urllib3.exceptions import HTTPError

    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except kfp_server_api.ApiException as error:
        raise ServiceError(
            f"{host} rejects the request: {error.status} {_api_message(error)}. "
            f"{_advice(error.status or 0)}"
        ) from error
    except HTTPError as error:
        raise ServiceError(f"{host} stopped responding: {error}. Submit again.") from error


def _api_message(error: Any) -> str:
    try:
        body = json.loads(error.body)
        text = str(body.get("message") or body.get("error") or error.reason)
    except (TypeError, ValueError, AttributeError):
        text = str(error.reason)
    return text.strip().rstrip(".")
