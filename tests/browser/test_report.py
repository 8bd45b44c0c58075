import base64
import io

import numpy as np
import pytest
from browsing import console_errors, requested_urls, view
from PIL import Image
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from synthetic_runs import HOSTILE, make_run

from diptych.pipeline.report.build import write_report

CLASSES = (*HOSTILE, "five", "six", "seven", "eight")
KINDS = {
    "pictures": {"classes": CLASSES},
    "not blessed": {"classes": CLASSES, "blessed": False},
    "many classes": {"classes": tuple(f"class {n}" for n in range(60)), "each": 5},
    "vectors": {"pictures": False},
    "pairs": {"paired": True, "pictures": False},
}
# Elements wider than the window, except inside scrollable elements.
TOO_WIDE = """
    return [...document.querySelectorAll("body *")]
      .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
      .filter((one) => !one.closest(".scroll, nav"))
      .map((one) => one.outerHTML.slice(0, 100))
"""
SIZES = """
    return [...document.querySelectorAll("main svg, main img, .verdict svg, figure, table")]
      .map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect().toJSON()])
"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    for kind, settings in KINDS.items():
        write_report(make_run(folder / kind, **settings), folder / f"{kind}.html")
    return {kind: (folder / f"{kind}.html").as_uri() for kind in KINDS}


def screenshot(browser):
    height = browser.execute_script("return document.documentElement.scrollHeight")
    shot = browser.execute_cdp_cmd(
        "Page.captureScreenshot",
        {
            "captureBeyondViewport": True,
            "clip": {"x": 0, "y": 0, "width": 1200, "height": height, "scale": 1},
        },
    )
    return base64.b64decode(shot["data"])


@pytest.mark.parametrize("kind", KINDS)
def test_report_opens_without_network_and_every_chart_is_visible(browser, reports, kind, tmp_path):
    browser.get(reports[kind])
    sizes = browser.execute_script(SIZES)
    assert len(sizes) > 10
    assert [element for element, box in sizes if box["width"] < 10 or box["height"] < 10] == []
    (tmp_path / "report.png").write_bytes(screenshot(browser))
    with Image.open(tmp_path / "report.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    assert pixels.shape[0] > 3000
    bands = np.array_split(pixels, 10)  # from top to bottom, none is blank
    assert min(band.std() for band in bands) > 5
    assert requested_urls(browser) == [reports[kind]]
    assert console_errors(browser) == []


@pytest.mark.parametrize("width", [320, 400, 768])
@pytest.mark.parametrize("kind", ["pictures", "many classes", "pairs"])
def test_nothing_is_wider_than_the_window(browser, reports, kind, width):
    view(browser, width=width)
    browser.get(reports[kind])
    assert browser.execute_script(TOO_WIDE) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_dark_scheme_has_a_dark_background_and_light_text(browser, reports):
    brightness = {}
    for dark in (False, True):
        view(browser, width=1200, dark=dark)
        browser.get(reports["pictures"])
        with Image.open(io.BytesIO(screenshot(browser))) as picture:
            brightness[dark] = np.median(np.asarray(picture.convert("L")))
        label = browser.find_element(By.CSS_SELECTOR, ".plot text")
        fill = label.value_of_css_property("fill")
        assert (int(fill.split("(")[1].split(",")[0]) > 128) is dark
    assert brightness[True] < 50
    assert brightness[False] > 200


def test_a_click_sorts_the_table_and_a_second_reverses_it(browser, reports):
    browser.get(reports["pictures"])

    def column(number):
        cells = browser.find_elements(
            By.CSS_SELECTOR, f"table.sortable tbody td:nth-child({number})"
        )
        return [cell.text for cell in cells]

    headings = browser.find_elements(By.CSS_SELECTOR, "table.sortable th button")
    pairs, recall = headings[3], headings[7]
    pairs.click()
    assert column(4) == ["93", "94", "95", "96", "97", "98", "99", "100"]  # as numbers
    pairs.click()
    assert column(4) == ["100", "99", "98", "97", "96", "95", "94", "93"]
    sorts = browser.find_elements(By.CSS_SELECTOR, "table.sortable th[aria-sort]")
    assert [heading.get_attribute("aria-sort") for heading in sorts] == ["descending"]
    recall.click()
    assert column(8)[-1] == "–"  # missing values stay last
    recall.click()
    assert column(8)[-1] == "–"


def test_scatter_plot_rotates_by_mouse_and_keys_and_highlights_a_class(browser, reports):
    browser.get(reports["pictures"])
    scatter = browser.find_element(By.ID, "scatter")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", scatter)

    def positions():
        return browser.execute_script(
            "return [...document.querySelectorAll('#scatter > use')]"
            ".map((one) => one.getAttribute('transform'))"
        )

    before = positions()
    ActionChains(browser).drag_and_drop_by_offset(scatter, 80, 20).perform()
    dragged = positions()
    assert sum(a != b for a, b in zip(before, dragged, strict=True)) > len(before) / 2
    ActionChains(browser).move_to_element(scatter).click().send_keys("\ue012").perform()  # left
    assert positions() != dragged
    buttons = browser.find_elements(By.CSS_SELECTOR, ".legend button")
    assert len(buttons) == len(CLASSES)
    buttons[0].click()
    dimmed = browser.find_elements(By.CSS_SELECTOR, "#scatter > use.dim")
    assert len(dimmed) == len(before) * 7 // 8
    buttons[0].click()
    assert browser.find_elements(By.CSS_SELECTOR, "#scatter > use.dim") == []


def test_without_scripts_the_page_is_complete_and_the_scatter_plot_flat(browser, reports):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(reports["pictures"])
        marks = browser.find_elements(By.CSS_SELECTOR, "#scatter > use")
        assert len({mark.get_attribute("x") for mark in marks}) > 100
        assert browser.find_elements(By.CSS_SELECTOR, "table.sortable tbody tr")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_hostile_labels_are_not_executed(browser, reports):
    browser.get(reports["pictures"])
    assert browser.execute_script("return document.scripts.length") == 1
    assert HOSTILE[0] in browser.find_element(By.TAG_NAME, "body").text
    assert browser.execute_script("return [...document.images].every((one) => one.complete)")


def test_printing_opens_all_details(browser, reports):
    browser.get(reports["pictures"])
    pdf = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(pdf["data"]) > 100_000
    assert browser.find_elements(By.CSS_SELECTOR, "details:not([open])") == []
