"""From a configuration to the file that Kubeflow Pipelines takes."""

from diptych.pipeline.compile_cli import Request


def compiled(request: Request) -> str:
    """The text of the file."""
    raise NotImplementedError(request)
