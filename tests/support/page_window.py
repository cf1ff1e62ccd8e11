"""Drive the search page in a Playwright browser window."""

from __future__ import annotations

from playwright.sync_api import expect

# Allow for slow rendering on a busy machine.
expect.set_options(timeout=60_000)


def status(window, panel: str = "search"):
    return window.locator(f"#{panel}-results .status")


def tiles(window, panel: str = "search"):
    return window.locator(f"#{panel}-results .tile")


def search_for(window, text: str, expected: str, panel: str = "search") -> None:
    """Type a sentence, press Enter and wait until the page shows the expected text."""
    field = window.locator(f"#{panel}-text textarea")
    field.fill(text)
    field.press("Enter")
    expect(status(window, panel)).to_contain_text(expected)


def set_number(window, label: str, number: str) -> None:
    """Type a number into the box of a slider, and repeat if it was lost.

    Gradio redraws the content of an accordion just after it was opened, which discards text that
    was typed before.
    """
    box = window.get_by_label(f"number input for {label}").first
    for _ in range(30):
        box.fill(number)
        window.wait_for_timeout(1_000)
        if box.input_value() == number:
            return
    raise AssertionError(f"{label} does not stay at {number}")


def classes(window, panel: str = "search") -> list[str]:
    return tiles(window, panel).locator(".class").all_inner_texts()


def first_is(window, colour: str, panel: str = "search") -> None:
    expect(tiles(window, panel).first.locator(".class")).to_have_text(colour)


def overflow(window) -> int:
    return window.evaluate("document.documentElement.scrollWidth - window.innerWidth")
