"""The report page in headless Chromium: it opens, sorts, prints, explains itself, and asks nobody
for anything.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparqsim

pytest.importorskip("jinja2", reason="needs Jinja2 (extra `report`)")
from sparqsim.html import Gathered, page_text

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (extra `test`)")

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = '</script><script>alert("x")</script>--><img src=x onerror=alert(1)>'
LARGEST_BYTES = 5_000_000
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on PATH (apt package `chromium`)"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser of its own, with a fresh profile."""
    profile = tmp_path_factory.mktemp("profile")
    with playwright.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            str(profile),
            executable_path=CHROMIUM,
            args=FLAGS,
            viewport={"width": 1280, "height": 900},
            env={**os.environ, "HOME": str(profile)},
        )
        yield context
        context.close()


class Opened:
    """A page with everything it said and asked for."""

    def __init__(self, browser: Any, path: Path) -> None:
        self.page = browser.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def column(self, table: str, at: int) -> list[str]:
        """The body's cells of one column, as they are shown."""
        rows = f"table[aria-label^='{table}'] tbody tr"
        return self.page.eval_on_selector_all(
            rows, f"rows => rows.map(row => row.cells[{at}].textContent)"
        )

    def click(self, table: str, at: int) -> str:
        """Click a column's head; return its aria-sort."""
        head = self.page.locator(f"table[aria-label^='{table}'] thead th").nth(at)
        head.locator("button").click()
        return head.get_attribute("aria-sort")


def hostile_trace() -> sparqsim.Trace:
    rng = np.random.default_rng(3)
    sizes = [(7, 18, 5), (400, 100, 33), (33, 9, 20), (16, 640, 16)]
    layers = [
        sparqsim.Layer.from_gemm(
            f"{HOSTILE} {at}",
            rng.integers(0, 256, (m, k)).astype(np.uint8),
            rng.integers(-128, 128, (k, n)).astype(np.int8),
            keep_8bit=at == 0,
        )
        for at, (m, k, n) in enumerate(sizes)
    ]
    return sparqsim.Trace(layers, network=f"net {HOSTILE}", synthetic=HOSTILE)


@pytest.fixture(scope="module")
def compared() -> sparqsim.Comparison:
    return sparqsim.compare(hostile_trace())


@pytest.fixture(scope="module")
def path(compared: sparqsim.Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page_text(Gathered.of([compared])), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Any, path: Path) -> Iterator[Opened]:
    opened = Opened(browser, path)
    yield opened
    opened.page.close()


def test_nothing_is_said_and_nobody_is_asked(opened: Opened, path: Path) -> None:
    assert opened.said == []
    assert opened.asked == [path.as_uri()]
    assert opened.page.locator("img").count() == 0
    assert opened.page.locator("script").count() == 1


def test_a_script_that_got_in_would_not_run(browser: Any, path: Path, tmp_path: Path) -> None:
    """What the content security policy is for; and it shows that a message would be heard."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        path.read_text() + "<script>alert('got in')</script><img src='http://0.0.0.0/x'>"
    )
    opened = Opened(browser, bad)
    assert "got in" not in opened.said
    assert len([line for line in opened.said if "Content Security Policy" in line]) == 2
    opened.page.close()


def test_columns_sort_as_numbers_up_down_and_back(
    opened: Opened, compared: sparqsim.Comparison
) -> None:
    cycles = [compared.reports[name].cycles.total for name in compared.order]
    assert sorted(cycles) != sorted(cycles, key=str)  # as text the order would be another
    shown = [f"{each:,}" for each in cycles]
    assert opened.column("Designs", 1) == shown
    assert opened.click("Designs", 1) == "ascending"
    assert opened.column("Designs", 1) == [f"{each:,}" for each in sorted(cycles)]
    assert opened.click("Designs", 1) == "descending"
    assert opened.column("Designs", 1) == [f"{each:,}" for each in sorted(cycles, reverse=True)]
    assert opened.click("Designs", 1) == "none"
    assert opened.column("Designs", 1) == shown


def test_exact_is_above_every_decibel_and_names_sort_as_words(opened: Opened) -> None:
    last = opened.page.locator("table[aria-label^='Designs'] thead th").count() - 1
    opened.click("Designs", last)
    found = opened.column("Designs", last)
    numbers = [float(text) for text in found if text != "exact"]
    assert len(numbers) >= 4
    assert numbers == sorted(numbers)
    assert found[len(numbers) :] == ["exact"] * (len(found) - len(numbers))
    assert opened.click("Designs", 0) == "ascending"
    assert opened.column("Designs", 0)[0] == "mac-4b4b"
    sorted_heads = opened.page.locator(
        "table[aria-label^='Designs'] [aria-sort]:not([aria-sort=none])"
    )
    assert sorted_heads.count() == 1


def test_rounded_numbers_sort_by_all_their_digits_and_the_total_stays_last(
    opened: Opened, compared
) -> None:
    name = "sparq-exact"
    at = 1 + compared.order.index(name)
    layers = compared.reports[name].layers
    # What all names begin with, up to the last slash that they share, is left out.
    speedups = {
        layer.name.rpartition("/")[2]: compared.layer_speedup(name, number)
        for number, layer in enumerate(layers)
    }
    opened.click("Speedup", at)
    found = [text.removesuffix("*") for text in opened.column("Speedup", 0)]
    assert found == sorted(speedups, key=speedups.__getitem__)
    foot = "table[aria-label^='Speedup'] tbody + tfoot tr"
    assert (
        opened.page.locator(foot).locator("td").nth(at - 1).text_content()
        == f"{compared.speedup(name):.2f}"
    )


def test_powers_of_ten_sort_by_their_value(opened: Opened, compared) -> None:
    opened.page.evaluate(
        "document.querySelectorAll('details').forEach(each => { each.open = true; })"
    )
    errors = {name: report.totals.error.mse for name, report in compared.reports.items()}
    shown = [f"{each:.3g}" for each in sorted(errors.values())]
    assert {text[-3:-1] for text in shown} > {"+0"}  # powers of ten, and numbers without
    heads = opened.page.locator("table[aria-label^='What designs'] thead th").all_text_contents()
    at = next(number for number, head in enumerate(heads) if head.startswith("mean squared error"))
    opened.click("What designs", at)
    assert opened.column("What designs", at) == shown


def test_heads_can_be_worked_by_keyboard(opened: Opened) -> None:
    opened.page.locator("table[aria-label^='Designs'] thead button").nth(1).focus()
    opened.page.keyboard.press("Enter")
    assert (
        opened.page.locator("table[aria-label^='Designs'] thead th")
        .nth(1)
        .get_attribute("aria-sort")
        == "ascending"
    )


def test_figures_are_there_and_have_a_size(opened: Opened) -> None:
    sizes = opened.page.eval_on_selector_all(
        "figure svg",
        "all => all.map(svg => [svg.getBoundingClientRect().width, "
        "svg.getBoundingClientRect().height])",
    )
    assert len(sizes) == 3
    assert all(width > 300 and height > 200 for width, height in sizes)
    used = (
        "all => all.filter(use => "
        "!document.getElementById(use.getAttribute('href').slice(1))).length"
    )
    assert opened.page.eval_on_selector_all("figure svg use", used) == 0
    assert opened.page.locator("figure svg use").count() > 100


def test_every_definition_is_a_hover_and_a_click_away(opened: Opened) -> None:
    page = opened.page
    links = page.eval_on_selector_all(
        "a[href^='#def-']", "all => all.map(a => [a.getAttribute('href'), a.title])"
    )
    assert len(links) > 60
    explained = page.evaluate(
        "hrefs => hrefs.map(href => document.querySelector(`${href} dd`).textContent)",
        [href for href, _ in links],
    )
    assert explained == [title for _, title in links]
    assert "" not in explained
    first = page.locator("p.summary a.number").first
    first.click()
    assert page.url.endswith(first.get_attribute("href"))
    assert page.evaluate(
        "document.querySelector(':target').getBoundingClientRect().top < innerHeight"
    )
    unexplained = (
        "all => all.filter(th => !th.querySelector('a.what')).map(th => th.textContent.trim())"
    )
    explained_in_their_rows = {"action", "count", "of what", "counted by", "fact"}
    found = set(page.eval_on_selector_all("thead th", unexplained))
    assert found == {"setting", "value", "meaning"} | explained_in_their_rows


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_as_wide_as_the_window(opened: Opened, width: int) -> None:
    opened.page.set_viewport_size({"width": width, "height": 800})
    opened.page.evaluate(
        "document.querySelectorAll('details').forEach(each => { each.open = true; })"
    )
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width


DESIGNS = "table[aria-label^='Designs']"


def seen(opened: Opened, selector: str, prop: str, part: str = "") -> str:
    """What the browser makes of a property of the first element that fits, or of its ::before or
    ::after.
    """
    return opened.page.eval_on_selector(
        selector, f"each => getComputedStyle(each, '{part}').{prop}"
    )


def beyond(opened: Opened) -> str | None:
    return opened.page.locator(".edge", has=opened.page.locator(DESIGNS)).get_attribute(
        "data-beyond"
    )


def test_a_table_wider_than_a_phone_says_so_and_keeps_its_first_column(opened: Opened) -> None:
    page, edge = opened.page, f".edge:has({DESIGNS})"
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_selector(f"{edge}[data-beyond=right]")
    assert "scroll sideways" in seen(opened, edge, "content", "::before")
    assert "gradient" in seen(opened, edge, "backgroundImage", "::after")
    left = (
        f'[...document.querySelectorAll("{DESIGNS} tr > :first-child")]'
        ".map(each => each.getBoundingClientRect().left)"
    )
    before = page.evaluate(left)
    for place, sides in ((40, "left right"), (10_000, "left"), (0, "right")):
        page.eval_on_selector(f"{edge} .scroll", f"box => {{ box.scrollLeft = {place}; }}")
        page.wait_for_selector(f"{edge}[data-beyond='{sides}']")
        assert page.evaluate(left) == before
        assert ("0px" in seen(opened, f"{DESIGNS} tr > :first-child", "boxShadow")) == (
            "left" in sides
        )
    page.set_viewport_size({"width": 1400, "height": 800})
    page.wait_for_selector(f"{edge}:not([data-beyond])")
    assert beyond(opened) is None
    assert seen(opened, edge, "content", "::before") == "none"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_told_from_its_background_in_light_dark_and_print(
    opened: Opened, scheme: str
) -> None:
    """WCAG's contrast of at least 4.5; what is printed is dark on white whatever the screen."""
    opened.page.emulate_media(color_scheme=scheme)
    page = seen(opened, "body", "backgroundColor")
    assert (brightness(page) > 0.9) == (scheme == "light")
    places = [
        (f"{DESIGNS} tbody tr:nth-child(2) th",) * 2,
        (f"{DESIGNS} thead th", f"{DESIGNS} tbody th"),
        ("p.summary", "body"),
        ("p.subtitle", "body"),
        ("figcaption", "body"),
        (".number", "body"),
        (".what", "body"),
    ]
    for text, behind in places:
        assert (
            contrast(seen(opened, text, "color"), seen(opened, behind, "backgroundColor")) > 4.5
        ), text
    opened.page.emulate_media(color_scheme=scheme, media="print")
    assert seen(opened, "body", "backgroundColor") == "rgb(255, 255, 255)"
    assert brightness(seen(opened, "p.summary", "color")) < 0.1


def brightness(color: str) -> float:
    """Relative luminance of 'rgb(R, G, B)', as WCAG defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(one: str, other: str) -> float:
    low, high = sorted((brightness(one), brightness(other)))
    return (high + 0.05) / (low + 0.05)


def test_heads_are_printed_on_every_page_of_a_table(opened: Opened) -> None:
    """Chromium repeats no button and nothing transformed: heads would be blank from the second page
    on.
    """
    opened.page.emulate_media(media="print")
    heads = """all => all.flatMap(head => [head, ...head.querySelectorAll("button, span")]).map(each => {
        const seen = getComputedStyle(each);
        return [each.tagName, seen.display, seen.transform, seen.position]; })"""
    for tag, display, transform, position in opened.page.eval_on_selector_all("thead th", heads):
        assert tag != "BUTTON" or display == "contents"
        assert display == "contents" or (transform, position) == ("none", "static")
    assert seen(opened, ".edge", "display", "::before") == "none"


def pages_of(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


def test_print_is_a_few_pages(opened: Opened) -> None:
    assert 3 <= pages_of(opened.page.pdf(prefer_css_page_size=True)) <= 10
    opened.page.emulate_media(media="print")
    assert not opened.page.locator("a.what").first.is_visible()
    tall = (
        "all => all.filter(svg => svg.getBoundingClientRect().height > 225 / 25.4 * 96 + 1).length"
    )
    assert opened.page.eval_on_selector_all("figure svg", tall) == 0


def large_comparison() -> sparqsim.Comparison:
    """A hundred layers and twenty designs."""
    from sparqsim.pe.registry import designs

    keyed = [
        f"sparq-{each}opt:{key}" for key in ("rounding=trim", "pairing=off") for each in (5, 3, 2)
    ]
    rng = np.random.default_rng(6)
    layers = [
        sparqsim.Layer.from_gemm(
            f"layer{at}.bottleneck",
            rng.integers(0, 256, (16, 32)).astype(np.uint8),
            rng.integers(-128, 128, (32, 8)).astype(np.int8),
            keep_8bit=at == 0,
        )
        for at in range(100)
    ]
    return sparqsim.compare(sparqsim.Trace(layers, network="large"), [*designs(), *keyed][:20])


@pytest.mark.slow
def test_a_hundred_layers_and_twenty_designs_stay_small(browser: Any, tmp_path: Path) -> None:
    large = large_comparison()
    assert (len(large.order), len(large.reports["mac-8b8b"].layers)) == (20, 100)
    path = tmp_path / "large.html"
    path.write_text(page_text(Gathered.of([large])), encoding="utf-8")
    assert path.stat().st_size < LARGEST_BYTES
    opened = Opened(browser, path)
    assert opened.said == []
    assert opened.page.locator("tbody tr").count() > 2000
    assert pages_of(opened.page.pdf(prefer_css_page_size=True)) <= 25
    opened.page.close()


# 72 layers: on paper, and under a head that stays


@pytest.fixture(scope="module")
def deep_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(4)
    x = rng.integers(0, 256, (9, 18)).astype(np.uint8)
    layers = [
        sparqsim.Layer.from_gemm(
            f"features.{at}.conv", x, rng.integers(-128, 128, (18, 5)).astype(np.int8)
        )
        for at in range(72)
    ]
    pes = ["mac-8b8b", "mac-4b8b", "sparq-5opt", "sparq-2opt", "sparq-exact", "smt-sa-2t"]
    path = tmp_path_factory.mktemp("deep") / "report.html"
    compared = sparqsim.compare(sparqsim.Trace(layers, network="deep"), pes)
    path.write_text(page_text(Gathered.of([compared])), encoding="utf-8")
    return path


A4_INSIDE_MM = (182, 269)
MM_PIXELS = 96 / 25.4


def test_the_first_printed_page_is_full_and_the_file_is_small(
    browser: Any, deep_path: Path
) -> None:
    opened = Opened(browser, deep_path)
    width, height = (int(side * MM_PIXELS) for side in A4_INSIDE_MM)
    opened.page.set_viewport_size({"width": width, "height": height})
    opened.page.emulate_media(media="print")
    box = opened.page.locator("figure").first.bounding_box()
    assert 0.6 * height < box["y"] + box["height"] <= height
    printed = opened.page.pdf(prefer_css_page_size=True)
    pages = len(re.findall(rb"/Type\s*/Page[^s]", printed))
    assert pages <= 10
    assert len(printed) < 3_000_000
    opened.page.close()


def test_the_head_of_a_long_table_stays_in_sight(browser: Any, deep_path: Path) -> None:
    opened = Opened(browser, deep_path)
    table = opened.page.locator(".scroll.long").first
    top = table.bounding_box()["y"]
    table.evaluate("box => { box.scrollTop = 600; }")
    head, foot = (table.locator(f"{part} th").first.bounding_box() for part in ("thead", "tfoot"))
    assert abs(head["y"] - top) < 2
    assert foot["y"] < top + table.bounding_box()["height"]
    assert opened.column("Speedup", 0)[11] == "11.conv"
    opened.page.close()


def test_figures_turn_over_in_the_dark(browser: Any, deep_path: Path) -> None:
    opened = Opened(browser, deep_path)
    for scheme, turned in (("light", False), ("dark", True)):
        opened.page.emulate_media(color_scheme=scheme)
        style = opened.page.locator("figure svg").first.evaluate(
            "svg => getComputedStyle(svg).filter"
        )
        assert ("invert" in style) == turned
    opened.page.close()
