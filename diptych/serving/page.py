"""HTML pages of the service.

The pages load nothing from other hosts and may only send requests to the service.
"""

import functools
import secrets
from importlib import resources

import jinja2

from diptych.schemas.manifest import ModelManifest

SWAGGER_UI_FILES = ("swagger-ui.css", "swagger-ui-bundle.js")
"""Names of the static files of Swagger UI, below ``/docs/``."""


def render_page(manifest: ModelManifest, has_gallery: bool) -> tuple[str, str]:
    """Render the page of a model, which compares two examples in the browser.

    Args:
      manifest: Manifest of the model.
      has_gallery: If True, the page also offers to search the gallery.

    Returns:
      The HTML and its Content-Security-Policy.
    """
    nonce = secrets.token_urlsafe(16)
    inputs = manifest.inputs
    size = 0 if inputs.kind == "image" else inputs.shape.shape[0]
    html = _load_page_template("page.html").render(
        nonce=nonce,
        name=manifest.name,
        version=manifest.version,
        kind=inputs.kind,
        size=size,
        inputs="images" if inputs.kind == "image" else f"vectors of {size} numbers",
        gallery=has_gallery,
    )
    return html, _build_policy(nonce, styles=f"'nonce-{nonce}'")


def render_docs_page() -> tuple[str, str]:
    """Render the page of Swagger UI, which describes and calls the API.

    Returns:
      The HTML and its Content-Security-Policy.
    """
    nonce = secrets.token_urlsafe(16)
    html = _load_page_template("docs.html").render(nonce=nonce)
    return html, _build_policy(nonce, styles="'self'")


def _build_policy(nonce: str, *, styles: str) -> str:
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src {styles}; "
        "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


@functools.cache
def _load_page_template(name: str) -> jinja2.Template:
    source = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)
