"""A real browser for tests: Chromium without a window, and what to ask a page about its accessibility."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

CHROMIUM: Final = "/usr/bin/chromium"
_ARGUMENTS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_FAULTS: Final = """
() => {
  const faults = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const text = (element) => (element.textContent || "").trim();
  if (!document.documentElement.lang) faults.push("no language");
  if (!document.title.trim()) faults.push("no title");
  if (all("h1").length !== 1) faults.push(`${all("h1").length} h1`);
  if (all("main").length !== 1) faults.push(`${all("main").length} main`);
  let last = 0;
  for (const heading of all("h1, h2, h3, h4, h5, h6")) {
    const level = Number(heading.tagName[1]);
    if (level > last + 1) faults.push(`h${level} follows h${last}`);
    if (!text(heading)) faults.push("an empty heading");
    last = level;
  }
  for (const field of all("input:not([type=hidden]), textarea, select"))
    if (!field.labels.length) faults.push(`no label: ${field.name}`);
  for (const link of all("a[href], button"))
    if (!text(link) && !link.ariaLabel && !link.closest("[aria-hidden=true]")) faults.push("an unnamed link");
  for (const hidden of all("[aria-hidden=true]"))
    if (hidden.tabIndex >= 0) faults.push("hidden, yet focusable");
  for (const image of all("img")) if (!image.hasAttribute("alt")) faults.push("an image without alt");
  for (const table of all("table")) {
    if (!table.caption) faults.push("a table without caption");
    if ([...table.querySelectorAll("th")].some((cell) => !cell.scope)) faults.push("a th without scope");
  }
  const ids = all("[id]").map((element) => element.id);
  if (new Set(ids).size !== ids.length) faults.push("an id twice");
  for (const name of ["aria-labelledby", "aria-describedby"])
    for (const element of all(`[${name}]`))
      for (const id of element.getAttribute(name).split(" "))
        if (!document.getElementById(id)) faults.push(`${name} names nothing`);
  if (document.documentElement.scrollWidth > window.innerWidth) faults.push("wider than the window");
  return faults;
}
"""
_PALE: Final = """
(least) => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const part = (value) => ((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))(value / 255);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ground = (element) => {
    for (let here = element; here; here = here.parentElement) {
      const colour = numbers(getComputedStyle(here).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const pale = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
    const [a, b] = [light(numbers(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < least) pale.push(`${ratio.toFixed(2)}: ${node.textContent.trim().slice(0, 40)}`);
  }
  return pale;
}
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield Debian's Chromium, headless."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def structure_faults(page: Page) -> list[str]:
    """Return what assistive technology would stumble over: names, labels, headings, tables, ids, width."""
    return _texts(page.evaluate(_FAULTS))


def pale_texts(page: Page, least: float = 4.5) -> list[str]:
    """Return texts whose contrast with their ground is below *least* (WCAG 2.2, 1.4.3)."""
    return _texts(page.evaluate(_PALE, least))


def is_painted(image: Locator) -> bool:
    """Whether *image* has loaded and its pixels on the screen are not all alike."""
    image.scroll_into_view_if_needed()
    image.evaluate("image => image.decode().catch(() => null)")
    if not image.evaluate("image => image.naturalWidth > 0"):
        return False
    with Image.open(io.BytesIO(image.screenshot())) as shot:
        low, high = shot.convert("L").getextrema()
    return bool(high - low > 16)  # type: ignore[operator]  # of one band: two numbers


def _texts(found: Any) -> list[str]:
    return [str(item) for item in found]
