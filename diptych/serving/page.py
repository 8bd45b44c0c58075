"""HTML page for comparing two examples in the browser."""

import functools
import secrets
from importlib import resources

import jinja2

from diptych.schemas.manifest import ModelManifest


def render_page(manifest: ModelManifest, has_gallery: bool) -> tuple[str, str]:
    """Render the page of a model.

    The page loads nothing from other hosts and may only send requests to the service.

    Args:
      manifest: Manifest of the model.
      has_gallery: If True, the page also offers to search the gallery.

    Returns:
      The HTML and its Content-Security-Policy.
    """
    nonce = secrets.token_urlsafe(16)
    inputs = manifest.inputs
    size = 0 if inputs.kind == "image" else inputs.shape.shape[0]
    html = _load_page_template().render(
        nonce=nonce,
        name=manifest.name,
        version=manifest.version,
        kind=inputs.kind,
        size=size,
        inputs="images" if inputs.kind == "image" else f"vectors of {size} numbers",
        gallery=has_gallery,
    )
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
        "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return html, policy


@functools.cache
def _load_page_template() -> jinja2.Template:
    source = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)
