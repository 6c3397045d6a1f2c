# SPDX-License-Identifier: Apache-2.0
"""`eeg-hf demo` in a real browser, and as a Space."""

import re
import signal
import subprocess
import sys

import pytest
import yaml
from tests.browser import find_chromium
from tests.commands import fail_command, run_command

pytest.importorskip("gradio", reason="gradio is not installed")

QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


@pytest.fixture(scope="module")
def address(environment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "eeg_hf.cli.demo", "--port", "0"]
    places = {**environment, "TMPDIR": str(folder)}
    with subprocess.Popen(command, env=places, text=True, stdout=subprocess.PIPE) as process:
        try:
            yield re.search(r"http://\S+", process.stdout.readline())[0]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    assert not [*folder.glob("eeg-hf-serve-*")]


def open_with(page, address, path):
    """Open the page and give it a file. A page that is still being built can lose it: open it again."""
    from playwright.sync_api import TimeoutError as TooSlow

    for _ in range(6):
        page.goto(address)
        page.locator("#upload input[type=file]").set_input_files(path)
        try:
            page.get_by_text(path.name).first.wait_for(timeout=20_000)
        except TooSlow:
            continue
        return
    pytest.fail(f"{path.name} never appeared on the page: {page.locator('body').inner_text()}")


@pytest.mark.slow
def test_the_page_in_a_browser(address, tmp_path):
    browsers = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = find_chromium()
    (tmp_path / "bad.edf").write_bytes(b"0       no recording")
    with browsers.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=[*QUIET])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.set_default_timeout(120_000)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        # An upload that cannot be read is answered in words, without its path
        open_with(page, address, tmp_path / "bad.edf")
        page.locator("#start").click()
        page.get_by_text("Cannot be answered").wait_for()
        assert (
            "bad.edf" in page.locator("#status").inner_text()
            and "/" not in page.locator("#status").inner_text()
        )
        # The example by keyboard
        page.locator("#example").focus()
        page.keyboard.press("Enter")
        page.get_by_text("Done.").wait_for()
        page.get_by_text("Quality").first.wait_for()
        assert {"rest", "task"} <= set(page.locator("#scores").inner_text().split())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390  # a telephone scrolls down only
        page.set_viewport_size({"width": 1180, "height": 800})
        for name in ("Windows", "Why", "Embedding"):
            page.get_by_role("tab", name=name).click()
            page.get_by_role("tabpanel").locator("img:visible").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 1180
        browser.close()
    elsewhere = {url for url in asked if not url.startswith((address, "data:", "blob:"))}
    assert not elsewhere


def test_a_space_holds_what_the_hub_needs(tmp_path):
    printed = run_command("demo", "--space", tmp_path / "space")
    front = yaml.safe_load((tmp_path / "space" / "README.md").read_text().split("---")[1])
    assert front["sdk"] == "gradio" and front["app_file"] == "app.py" and "hf upload" in printed
    compile((tmp_path / "space" / "app.py").read_text(), "app.py", "exec")
    assert (tmp_path / "space" / "requirements.txt").read_text().startswith("eeg-hf[demo,formats]==")
    assert "expected a new or empty folder" in fail_command("demo", "--space", tmp_path / "space")
    assert "expected one model" in fail_command("demo", "a", "b")
    assert "port: expected 0 to 65535, got 70000" in fail_command("demo", "--port", 70000)
