"""Chromium without a window, that reaches this machine and nothing else."""

import json
import shutil

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service


def start_browser():
    """A browser that notes what its console says and which addresses it asks for."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",  # which cannot be had as root; the pages are our own
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
    """Gives the page a size and a colour scheme, as of a desktop or a phone."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    features = [
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
        {"name": "prefers-reduced-motion", "value": "reduce"},  # what is clicked stands still
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def console_errors(browser):
    """What the console said since it was last asked, at level SEVERE."""
    return [line["message"] for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def addresses_asked_for(browser):
    """Addresses of all requests since it was last asked, without data: URIs."""
    messages = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    return [address for address in asked if not address.startswith("data:")]
