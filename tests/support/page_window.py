"""What a person does and sees on the search page, in a window of Playwright's."""

from __future__ import annotations

from playwright.sync_api import expect

# A busy machine draws late.
expect.set_options(timeout=60_000)


def status(window, panel: str = "search"):
    return window.locator(f"#{panel}-results .status")


def tiles(window, panel: str = "search"):
    return window.locator(f"#{panel}-results .tile")


def search_for(window, text: str, expected: str, panel: str = "search") -> None:
    """Types a sentence, presses Enter and waits until the page says what is expected."""
    field = window.locator(f"#{panel}-text textarea")
    field.fill(text)
    field.press("Enter")
    expect(status(window, panel)).to_contain_text(expected)


def set_number(window, label: str, number: str) -> None:
    """Types into the box of a slider, again if it was lost.

    Gradio draws what lies below an accordion once more just after it was opened, faster than a
    person types, and what was typed before is gone.
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
