"""The page of the server in a tab that is watched."""

from dataclasses import dataclass, field
from typing import Any

from serving.page_server import StandIn

GRAZ, BAYAN = "In which country is Graz?", "In which country is Bayan-Ovoo?"
WIDE, PHONE = 1280, 400
TABLE = "\n".join(
    [
        "id,question,context",
        f"a,{GRAZ},",
        f'b,{BAYAN},"It lies',
        'in ""Asia"", they say"',
        "c,,",
        "d,What is love?,x,y",
        '"e,"f"',
        f"g,{GRAZ},",
        "h,Too long?,",
    ]
)


@dataclass
class Watched:
    """An open page and what should not have happened on it.

    Attributes:
        page: Playwright's.
        server: That the page asks.
        problems: Messages, errors, and requests to elsewhere.
        expected: A status that the browser is to complain of.
    """

    page: Any
    server: StandIn
    problems: list[str] = field(default_factory=list)
    expected: str = "none"

    def open(self) -> None:
        """Until the runs are there."""
        self.page.goto(self.server.url)
        self.page.wait_for_selector("#run-line:not(:empty)")

    def ask(self, question: str) -> None:
        """Until the answer is there."""
        self.page.fill("#question", question)
        self.page.press("#question", "Enter")
        self.page.locator(".answer .asked", has_text=question).wait_for()

    def answer_all(self, text: str) -> None:
        """A batch of what is pasted, to its end."""
        self.page.click("#tab-batch")
        self.page.fill("#batch-text", text)
        self.page.click("#batch-start")
        self.page.wait_for_selector("#batch-start:visible")

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())

    def texts(self, selector: str) -> list[str]:
        return [str(own) for own in self.page.locator(selector).all_inner_texts()]

    def download(self, button: str) -> str:
        with self.page.expect_download() as download:
            self.page.click(button)
        return str(download.value.path().read_bytes().decode("utf-8"))

    def focused(self) -> str:
        """The id of what has the focus."""
        return str(self.page.evaluate("document.activeElement.id"))


def open_tab(chromium: Any, server: StandIn, locale: str) -> Watched:
    """A tab that is watched from now on."""
    page = chromium.new_page(locale=locale, reduced_motion="reduce")
    page.set_default_timeout(8_000)
    watched = Watched(page, server)

    def complain(message: Any) -> None:
        if watched.expected not in message.text:
            watched.problems.append(f"console: {message.text}")

    page.on("console", complain)
    page.on("pageerror", lambda error: watched.problems.append(f"error: {error}"))
    ours = (server.url, f"blob:{server.origin}/", "data:")
    page.on("request", lambda sent: None if sent.url.startswith(ours) else watched.problems.append(sent.url))
    return watched
