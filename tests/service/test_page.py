import pytest
from browsing import addresses_asked_for, console_errors, start_browser, view
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from service_runs import b64, grey


@pytest.fixture(scope="module")
def browser():
    browser = start_browser()
    yield browser
    browser.quit()


@pytest.fixture
def pictures(tmp_path):
    """Files of three grey values, of which the first two are nearly alike."""
    paths = {}
    for name, brightness in (("dark", 51), ("nearly", 56), ("light", 204)):
        paths[name] = tmp_path / f"{name}.png"
        paths[name].write_bytes(grey(brightness, side=28))
    return paths


def choose(browser, side, path):
    browser.find_element(By.ID, side).send_keys(str(path))


def wait_for_verdict(browser, words):
    text = "return document.querySelector('.card .verdict')?.textContent"
    WebDriverWait(browser, 20).until(lambda page: page.execute_script(text) == words)


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_two_pictures_are_dropped_and_the_verdict_is_seen(
    service, browser, pictures, tmp_path, width, dark
):
    browser.get("about:blank")
    addresses_asked_for(browser)
    view(browser, width=width, dark=dark)
    browser.get(service.page)
    assert "token" not in browser.current_url
    choose(browser, "left", pictures["dark"])
    choose(browser, "right", pictures["light"])
    wait_for_verdict(browser, "Different")
    answer = browser.find_element(By.ID, "answer").text
    assert "distance 1.200" in answer
    assert "threshold 0.250" in answer
    assert "version 7" in answer
    choose(browser, "right", pictures["nearly"])
    wait_for_verdict(browser, "Same")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.save_screenshot(str(tmp_path / f"compare-{width}.png"))
    assert all(
        address.startswith((service.url, "blob:")) for address in addresses_asked_for(browser)
    )
    assert console_errors(browser) == []


def test_a_picture_is_looked_for_in_the_gallery_and_added(service, browser, pictures, tmp_path):
    with service.client() as client:
        swan = {"label": "swan", "examples": [b64(grey(205))]}
        client.post("/enroll", json=swan).raise_for_status()
    view(browser, width=1200)
    browser.get("about:blank")
    browser.get(service.page)
    browser.find_element(By.CSS_SELECTOR, "[value=identify]").send_keys(" ")
    choose(browser, "left", pictures["light"])
    wait_for_verdict(browser, "swan")
    browser.find_element(By.ID, "label").send_keys("<b>goose</b>\n")
    WebDriverWait(browser, 20).until(
        lambda page: "Added as <b>goose</b>." in page.find_element(By.ID, "answer").text
    )
    browser.save_screenshot(str(tmp_path / "identify.png"))
    assert console_errors(browser) == []


def test_without_a_token_the_page_asks_for_it(service, browser, pictures):
    browser.get("about:blank")
    browser.get(service.url)
    browser.execute_script("sessionStorage.clear()")
    browser.refresh()
    assert browser.find_element(By.ID, "token").is_displayed()
    choose(browser, "left", pictures["dark"])
    choose(browser, "right", pictures["nearly"])
    browser.find_element(By.ID, "token").send_keys(service.page.partition("token=")[2] + "\n")
    wait_for_verdict(browser, "Same")
