"""Headless Chromium that can only connect to this machine."""

import json
import shutil

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service


def start_browser():
    """Start a browser that records console messages and requests."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",  # the sandbox does not work as root; the pages are trusted
        "--disable-gpu",
        "--disable-dev-shm-usage",  # /dev/shm of a container may be small
        "--hide-scrollbars",
        "--force-device-scale-factor=1",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return Chrome(options=options, service=Service(shutil.which("chromedriver")))


def view(browser, *, width, height=900, dark=False):
    """Set the size and the colour scheme of the page, as on a desktop or a phone."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    features = [
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
        {"name": "prefers-reduced-motion", "value": "reduce"},  # clicked elements do not move
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def console_errors(browser):
    """Console messages of level SEVERE since the last call."""
    return [line["message"] for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def requested_urls(browser):
    """URLs of all requests since the last call, without data: URIs."""
    messages = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    urls = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in urls if not url.startswith("data:")]
