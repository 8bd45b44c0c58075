import pytest
from browsing import console_errors, requested_urls, start_browser, view
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from service_runs import TOKEN, b64, grey


@pytest.fixture(scope="module")
def browser():
    browser = start_browser()
    yield browser
    browser.quit()


@pytest.fixture
def images(tmp_path):
    """Paths of three grey images; the first two are similar."""
    paths = {}
    for name, brightness in (("dark", 51), ("similar", 56), ("light", 204)):
        paths[name] = tmp_path / f"{name}.png"
        paths[name].write_bytes(grey(brightness, side=28))
    return paths


def choose(browser, side, path):
    browser.find_element(By.ID, side).send_keys(str(path))


def wait_for_verdict(browser, verdict):
    script = "return document.querySelector('.card .verdict')?.textContent"
    WebDriverWait(browser, 20).until(lambda page: page.execute_script(script) == verdict)


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, True)])
def test_the_page_shows_the_verdict_on_two_images(service, browser, images, tmp_path, width, dark):
    browser.get("about:blank")
    requested_urls(browser)
    view(browser, width=width, dark=dark)
    browser.get(service.page)
    assert "token" not in browser.current_url
    choose(browser, "left", images["dark"])
    choose(browser, "right", images["light"])
    wait_for_verdict(browser, "Different")
    answer = browser.find_element(By.ID, "answer").text
    assert "distance 1.200" in answer
    assert "threshold 0.250" in answer
    assert "version 7" in answer
    choose(browser, "right", images["similar"])
    wait_for_verdict(browser, "Same")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.save_screenshot(str(tmp_path / f"compare-{width}.png"))
    assert all(url.startswith((service.url, "blob:")) for url in requested_urls(browser))
    assert console_errors(browser) == []


def test_the_page_identifies_an_image_and_adds_it_to_the_gallery(
    service, browser, images, tmp_path
):
    with service.client() as client:
        swan = {"label": "swan", "examples": [b64(grey(205))]}
        client.post("/enroll", json=swan).raise_for_status()
    view(browser, width=1200)
    browser.get("about:blank")
    browser.get(service.page)
    browser.find_element(By.CSS_SELECTOR, "[value=identify]").send_keys(" ")
    choose(browser, "left", images["light"])
    wait_for_verdict(browser, "swan")
    browser.find_element(By.ID, "label").send_keys("<b>goose</b>\n")
    WebDriverWait(browser, 20).until(
        lambda page: "Added as <b>goose</b>." in page.find_element(By.ID, "answer").text
    )
    browser.save_screenshot(str(tmp_path / "identify.png"))
    assert console_errors(browser) == []


def test_without_a_token_the_page_prompts_for_it(service, browser, images):
    browser.get("about:blank")
    browser.get(service.url)
    browser.execute_script("sessionStorage.clear()")
    browser.refresh()
    assert browser.find_element(By.ID, "token").is_displayed()
    choose(browser, "left", images["dark"])
    choose(browser, "right", images["similar"])
    browser.find_element(By.ID, "token").send_keys(service.page.partition("token=")[2] + "\n")
    wait_for_verdict(browser, "Same")


def test_swagger_ui_sends_requests_with_the_token(service, browser, tmp_path):
    def wait_for(css):
        return WebDriverWait(browser, 20).until(
            lambda page: page.find_elements(By.CSS_SELECTOR, css)
        )[0]

    browser.get("about:blank")
    requested_urls(browser)
    console_errors(browser)
    view(browser, width=1200)
    browser.get(f"{service.url}/docs")
    wait_for(".btn.authorize").click()
    wait_for(".auth-container input").send_keys(TOKEN + "\n")
    wait_for(".auth-btn-wrapper .btn-done").click()
    route = "[id$=metrics_metrics_get]"
    wait_for(f"{route} .opblock-summary-control").click()
    wait_for(f"{route} .try-out__btn").click()
    wait_for(f"{route} .execute").click()
    response = wait_for(f"{route} .live-responses-table .response")
    assert response.find_element(By.CSS_SELECTOR, ".response-col_status").text == "200"
    assert "diptych_model_version" in response.text
    browser.save_screenshot(str(tmp_path / "docs.png"))
    urls = requested_urls(browser)
    assert f"{service.url}/metrics" in urls
    assert all(url.startswith((service.url, "blob:")) for url in urls)
    assert not any(TOKEN in url for url in urls)
    assert console_errors(browser) == []
