"""The shell and Python blocks of the README and the documentation run as written.

A block that is fenced as ``sh`` or ``python`` is executed. Blocks that need something else, such as
a cluster, are indented: ``test_command_lines.py`` checks their commands and options.
"""

import pytest
from pages import PAGES, blocks_of

# `make test` is a step of continuous integration; the README has run `make demo` for all pages.
RUN_ELSEWHERE = {"README.md": ("make test ",)}
# `diptych init` does not overwrite a configuration, which the README has written.
AFRESH = "rm -f diptych.yaml\n"
EXECUTED = [
    page
    for page in PAGES
    if page.name != "README.md" and any(b.language in ("sh", "python") for b in blocks_of(page))
]


def script_of(page):
    """A script of all commands of a page, in their order; its Python blocks share one process."""
    blocks = blocks_of(page)
    lines = [
        line
        for block in blocks
        if block.language == "sh"
        for line in block.text.splitlines()
        if not line.startswith(RUN_ELSEWHERE.get(page.name, ("make demo",)))
    ]
    python = "\n".join(block.text for block in blocks if block.language == "python")
    if python:
        lines += ["python - <<'PYTHON'", python, "PYTHON"]
    return "\n".join([*lines, ""])


@pytest.fixture(scope="module")
def readme(run_as_typed):
    (page,) = (page for page in PAGES if page.name == "README.md")
    return run_as_typed(script_of(page))


def test_the_commands_of_the_readme_run(readme, clone):
    assert readme.returncode == 0, readme.stdout[-3000:]
    assert "blessed" in readme.stdout
    assert list((clone / "demo" / "serving").iterdir())
    assert list((clone / "diptych-photos" / "runs").glob("*/report.html"))


@pytest.mark.parametrize("page", EXECUTED, ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page, readme, run_as_typed):
    script = script_of(page)
    result = run_as_typed((AFRESH if "diptych init" in script else "") + script)
    assert result.returncode == 0, result.stdout[-3000:]
