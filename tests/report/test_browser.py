"""The page in a real Chromium: what it does, who can use it, and that nothing leaves it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from observations import observation, redis_broken, unavailable
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from recorded import compared, nasty, record

from harness.model.observations import Verdict
from harness.report import contents, files
from harness.report.contents import TrendPoint
from harness.report.files import Format

CHROMIUM = shutil.which("chromium")
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the package chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # No sandbox: root has none, and the pages are this project's own.
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser,
    ):
        yield browser


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with something of everything, and its page."""
    good, bad = redis_broken("latest", verdict=Verdict.PASSED), redis_broken()
    cells = [
        good,
        bad,
        observation("5.10"),
        unavailable("latest", "mirror is down", scenario="tmpfiles"),
        observation("5.10", "other", messages=("a message",)),
        observation("latest", "other", verdict=Verdict.DIED, console=("panic",), reason="it died"),
    ]
    ids = tuple(cell.id for cell in cells)
    path = record(tmp_path_factory.mktemp("run"), cells, compared(good, bad), cells=ids)
    report = contents.load(path)
    counts = ({"passed": 3}, {"passed": 2, "failed": 1}, {"passed": 3, "passed with ENOSYS": 1})
    trend = tuple(
        TrendPoint(run=f"run-{place}", started=f"2026-11-2{place}T20:30:15+00:00", counts=each)
        for place, each in enumerate(counts)
    )
    files.write(replace(report, trend=trend), Format.HTML)
    return path


def page_file(run: Path) -> Path:
    return files.place(run, Format.HTML)


@pytest.fixture
def opened(browser: Browser, run: Path) -> Iterator[Page]:
    with Opened(browser, page_file(run)) as page:
        yield page


class Opened:
    """A page from disk that must say nothing on its console and ask for nothing."""

    def __init__(self, browser: Browser, file: Path, **options: Any) -> None:
        self._context = browser.new_context(**{"viewport": DESKTOP, **options})
        self._file = file
        self._said: list[str] = []
        self._asked: list[str] = []

    def __enter__(self) -> Page:
        page = self._context.new_page()
        page.on("console", lambda message: self._said.append(message.text))
        page.on("pageerror", lambda error: self._said.append(str(error)))
        page.on("dialog", lambda dialog: self._said.append(dialog.message))
        page.on("request", lambda request: self._asked.append(request.url))
        page.set_default_timeout(20_000)
        page.goto(self._file.as_uri())
        return page

    def __exit__(self, kind: object, *rest: object) -> None:
        self._context.close()
        if kind is None:
            assert self._said == []
            assert self._asked == [self._file.as_uri()]


BROKEN = "failed +1 broken: bgsave in redis on 5.10"
FINE = "passed: tmpfiles in systemd-tools on 5.10"
LOST = "guest died: other in systemd-tools on latest"
ABSENT = "unavailable: tmpfiles in systemd-tools on latest"


def cell(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def cells_shown(page: Page) -> int:
    count = """() => [...document.querySelectorAll(".matrix button[data-cell]")]
        .filter((button) => button.checkVisibility({visibilityProperty: true})).length"""
    return int(page.evaluate(count))


# --- the drawer -------------------------------------------------------------------------


def test_a_cells_drawer_opens_with_enter_closes_with_escape_and_gives_the_focus_back(
    opened: Page,
) -> None:
    button = cell(opened, BROKEN)
    button.focus()
    opened.keyboard.press("Enter")
    drawer = opened.get_by_role("dialog", name="bgsave in redis on 5.10")
    expect(drawer).to_be_visible()
    assert drawer.evaluate("drawer => drawer.contains(document.activeElement)")
    opened.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(button).to_be_focused()
    button.click()
    drawer.get_by_role("button", name="Close").click()
    expect(drawer).to_be_hidden()


def test_the_drawer_has_the_cells_steps_calls_processes_and_files(opened: Page, run: Path) -> None:
    cell(opened, BROKEN).click()
    drawer = opened.get_by_role("dialog")
    for title in ("Step 2 of 3: bgsave", "System calls that failed", "Ran on"):
        expect(drawer.get_by_role("heading", name=title)).to_be_visible()
    expect(drawer).to_contain_text("exit status is 1, expected 0")
    expect(drawer).to_contain_text("epoll: not implemented")
    rows = drawer.get_by_role("row").filter(has_text="epoll_pwait2 (441)")
    expect(rows.first).to_contain_text("not implemented by this kernel; its process failed")
    ended = drawer.get_by_role("row").filter(has_text="310")
    expect(ended).to_contain_text("ended with status 1")
    [link] = drawer.get_by_role("link").all()
    assert (run / (link.get_attribute("href") or "")).is_file()


def test_outputs_stand_side_by_side_with_the_baselines(opened: Page) -> None:
    cell(opened, BROKEN).click()
    diff = opened.get_by_role("group", name="stdout, step 2, side by side")
    expect(diff.get_by_role("columnheader")).to_have_text(["latest", "5.10"])
    changed = diff.get_by_role("row").filter(has_text="line seven").get_by_role("cell")
    expect(changed.nth(0)).to_have_text("\u2212 line 7")
    expect(changed.nth(1)).to_contain_text("+ line seven </script><script>alert(1)")
    expect(diff.get_by_role("row").filter(has_text="line 29")).to_have_count(0)
    expect(opened.get_by_role("dialog")).to_contain_text("known: bug | 7")


def test_a_lost_guests_console_is_shown(opened: Page) -> None:
    cell(opened, LOST).click()
    expect(opened.get_by_role("dialog")).to_contain_text("it died")
    expect(opened.get_by_text("panic", exact=True)).to_be_visible()


def test_a_finding_leads_to_its_cell(opened: Page) -> None:
    opened.locator("#differences").get_by_role("button").click()
    expect(opened.get_by_role("dialog", name="bgsave in redis on 5.10")).to_be_visible()


# --- filters and keys -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "typed", "left"),
    [
        ("Kernel", "5", 3),
        ("Image", "r", 2),
        ("Class", "gu", 1),
        ("Class", "br", 1),
    ],
)
def test_filters_work_by_keyboard_and_say_how_much_is_left(
    opened: Page, label: str, typed: str, left: int
) -> None:
    expect(opened.get_by_role("status")).to_have_text("6 of 6 cells shown")
    choice = opened.get_by_label(label, exact=True)
    choice.focus()
    opened.keyboard.type(typed)
    expect(opened.get_by_role("status")).to_have_text(f"{left} of 6 cells shown")
    assert cells_shown(opened) == left
    opened.get_by_role("button", name="Show all").press("Enter")
    expect(opened.get_by_role("status")).to_have_text("6 of 6 cells shown")
    assert cells_shown(opened) == 6


def test_filters_add_up(opened: Page) -> None:
    opened.get_by_label("Image", exact=True).select_option("redis")
    opened.get_by_label("Kernel", exact=True).select_option("5.10")
    assert cells_shown(opened) == 1
    expect(cell(opened, BROKEN)).to_be_visible()
    opened.get_by_label("Image", exact=True).select_option("systemd-tools")
    expect(cell(opened, BROKEN)).to_be_hidden()
    assert cells_shown(opened) == 2


def test_arrows_move_between_the_cells_that_are_shown(opened: Page) -> None:
    cell(opened, BROKEN).focus()
    opened.keyboard.press("ArrowDown")
    expect(cell(opened, FINE)).to_be_focused()
    opened.keyboard.press("ArrowLeft")
    expect(cell(opened, ABSENT)).to_be_focused()
    opened.keyboard.press("ArrowLeft")
    expect(cell(opened, ABSENT)).to_be_focused()
    opened.get_by_label("Class", exact=True).select_option(label="guest died (1)")
    cell(opened, LOST).focus()
    opened.keyboard.press("ArrowUp")
    expect(cell(opened, LOST)).to_be_focused()


# --- who can use it ---------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_keeps_anybody_from_using_it(
    browser: Browser, run: Path, scheme: str, size: dict[str, int]
) -> None:
    """Labels, names, headings, contrasts and more, as axe-core checks them."""
    with Opened(browser, page_file(run), viewport=size, color_scheme=scheme) as page:
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") is (scheme == "light")
        cell(page, BROKEN).click()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_a_phone_has_no_page_to_scroll_sideways(browser: Browser, run: Path) -> None:
    with Opened(browser, page_file(run), viewport=PHONE) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        button = page.locator(".matrix button[data-cell]").first
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 44  # a finger's width
        expect(button).to_contain_text("latest")
        button.click()
        width = page.locator("#drawer-body").evaluate(
            "body => [body.scrollWidth, body.clientWidth]"
        )
        assert width[0] <= width[1]


def test_it_can_be_read_without_a_script(browser: Browser, run: Path) -> None:
    with Opened(browser, page_file(run), java_script_enabled=False) as page:
        expect(page.locator(".matrix")).to_contain_text("failed +1")
        expect(page.get_by_text("Without JavaScript")).to_be_visible()
        expect(page.get_by_label("Kernel", exact=True)).to_be_hidden()


# --- what it bears ----------------------------------------------------------------------


def test_a_hostile_run_runs_nothing_and_breaks_nothing(browser: Browser, tmp_path: Path) -> None:
    good, bad = nasty()
    path = record(tmp_path, (good, bad), compared(bad, good))
    page_file(path).write_bytes(files.render(contents.load(path), Format.HTML))
    with Opened(browser, page_file(path)) as page:
        for button in page.locator(".matrix button[data-cell]").all():
            button.click()
            page.keyboard.press("Escape")
        page.locator(".matrix button.failed").click()
        expect(page.get_by_role("dialog")).to_contain_text("<img src=x onerror=alert(2)> \\x1b[31m")
        assert page.locator("img").count() == 0


def test_a_thousand_cells_are_there_in_seconds(browser: Browser, thousand: Path) -> None:
    with Opened(browser, page_file(thousand)) as page:
        expect(page.get_by_role("status")).to_have_text("1000 of 1000 cells shown")
        timing = page.evaluate("performance.getEntriesByType('navigation')[0].toJSON()")
        assert timing["domContentLoadedEventEnd"] < 10_000
        page.get_by_label("Class", exact=True).select_option(index=2)
        assert 0 < cells_shown(page) < 1000
