import pytest
from browsing import console_errors, start_browser, view


@pytest.fixture(scope="session")
def _chromium():
    browser = start_browser()
    yield browser
    browser.quit()


@pytest.fixture
def browser(_chromium):
    """A desktop-sized empty page of a browser that reaches only 127.0.0.1 (see browsing.py)."""
    _chromium.get("about:blank")
    for log in ("browser", "performance"):
        _chromium.get_log(log)  # discard the entries of earlier tests
    view(_chromium, width=1200)
    yield _chromium
    assert console_errors(_chromium) == []
