"""A real browser, Chromium without a window: what people see on Airflow's pages, and what they click."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Callable

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1400,1000"),
)
ARTIFACTS = Path(os.environ.get("TEST_ARTIFACTS") or Path(__file__).parents[2] / "test-artifacts")


class Browser:
    """
    Use it as ``with Browser(profile) as browser``; nothing of it is left running.

    :param profile: folder of the user's data, made if it is missing.
    """

    def __init__(self, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = _program("chromium")
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        # A driver that is named is not looked for, and not downloaded.
        self._driver = webdriver.Chrome(options=options, service=Service(_program("chromedriver")))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._driver.quit()

    def open(self, url: str) -> None:
        """Open a page."""
        self._driver.get(url)

    @property
    def url(self) -> str:
        """Where it is now."""
        return str(self._driver.current_url)

    def wait(self, condition: Callable[[], Any], what: str, timeout: float = 60) -> Any:
        """Return what a condition gives once it is true; else the error says what the page shows, and keeps it."""
        waiting = WebDriverWait(self._driver, timeout, 0.1, [StaleElementReferenceException])
        try:
            return waiting.until(lambda _: condition())
        except TimeoutException:
            kept = self.keep("not-found.png")
            text = self._driver.find_element(By.TAG_NAME, "body").text
            raise AssertionError(f"no {what} on {self.url} ({kept}): {text}") from None

    def text(self, text: str) -> bool:
        """Whether the page shows a text."""
        return text in self._driver.find_element(By.TAG_NAME, "body").text

    def table(self, head: str) -> list[list[str]]:
        """The cells of the table whose first row shows a text, row by row, once it is there."""

        def cells() -> list[list[str]]:
            for table in self._driver.find_elements(By.TAG_NAME, "table"):
                rows = table.find_elements(By.TAG_NAME, "tr")
                read = [[cell.text for cell in row.find_elements(By.XPATH, "./th | ./td")] for row in rows]
                if read and head in read[0]:
                    return read
            return []

        return list(self.wait(cells, f"table with {head!r}"))

    def fill(self, name: str, text: str) -> None:
        """Write into a field of a form, in place of what is there."""
        field = self.wait(lambda: self._driver.find_elements(By.NAME, name), f"field {name!r}")[0]
        field.clear()
        field.send_keys(text)

    def click(self, label: str) -> None:
        """Click the last button of this label, the one in the dialog on top, once it can be clicked."""

        def button() -> Any:
            labelled = f"//button[normalize-space()={label!r}]"
            found = self._driver.find_elements(By.XPATH, labelled)[-1:]
            return found[0] if found and found[0].is_displayed() and found[0].is_enabled() else None

        self.wait(button, f"button {label!r} that can be clicked").click()

    def keep(self, name: str) -> Path:
        """Keep a picture of the page among the tests' artifacts."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        path = ARTIFACTS / name
        assert self._driver.save_screenshot(str(path))
        return path


def _program(name: str) -> str:
    found = shutil.which(name)
    assert found, (
        f"{name} is not on PATH. Run scripts/browser: it installs Debian's chromium and chromium-driver."
    )
    return found
