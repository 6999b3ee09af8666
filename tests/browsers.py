"""A real headless Chromium, and one page in it."""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
DRIVER = shutil.which("chromedriver")
NEED_CHROMIUM = [
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver (apt: chromium-driver)"
    ),
    pytest.mark.skipif(importlib.util.find_spec("selenium") is None, reason="needs selenium (the test group has it)"),
]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars"),
)
DESKTOP, PHONE = (1280, 900), (390, 844)


def chromium(profile: Path) -> Iterator[Any]:
    """Yields selenium's driver of a browser with a new profile."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(60)
    yield driver
    driver.quit()


class Browser:
    """One page at one width, light or dark."""

    def __init__(self, driver: Any, path: Path, size: tuple[int, int] = DESKTOP, dark: bool = False) -> None:
        self.driver = driver
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        driver.get("about:blank")
        driver.get_log("browser")
        driver.get(path.as_uri())

    def js(self, script: str, *args: Any) -> Any:
        return self.driver.execute_script(script, *args)

    def wait(self, condition: str, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not self.js(f"return Boolean({condition})"):
            assert time.monotonic() < deadline, f"never came true: {condition}"
            time.sleep(0.05)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def move_over_timeline(self, share: float) -> Any:
        """The real pointer, to `share` of the timeline's width."""
        from selenium.webdriver import ActionChains

        timeline = self.find("#timeline")
        self.js("arguments[0].scrollIntoView({block: 'center'})", timeline)
        ActionChains(self.driver, duration=0).move_to_element_with_offset(
            timeline, round((share - 0.5) * timeline.size["width"]), 0
        ).perform()
        return timeline

    def assert_quiet(self) -> None:
        assert self.driver.get_log("browser") == []

    def assert_fits(self) -> None:
        assert self.js("return document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
