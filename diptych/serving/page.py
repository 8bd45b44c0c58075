"""The page on which one drops two pictures."""

import functools
import secrets
from importlib import resources

import jinja2

from diptych.schemas.manifest import ModelManifest


def page(manifest: ModelManifest, gallery: bool) -> tuple[str, str]:
    """The page for a model, and the policy that it is to be shown under.

    Nothing on it comes from elsewhere, and it may ask nobody but the service itself.

    Args:
      manifest: of the model.
      gallery: whether there is one to look in.
    """
    nonce = secrets.token_urlsafe(16)
    inputs = manifest.inputs
    size = 0 if inputs.kind == "image" else inputs.shape.shape[0]
    html = _template().render(
        nonce=nonce,
        name=manifest.name,
        version=manifest.version,
        kind=inputs.kind,
        size=size,
        what="pictures" if inputs.kind == "image" else f"vectors of {size} numbers",
        gallery=gallery,
    )
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
        "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return html, policy


@functools.cache
def _template() -> jinja2.Template:
    source = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)
