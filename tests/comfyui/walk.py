"""A newcomer's walk with a stopwatch: from a ComfyUI that was never started to the first steered picture, click by click.

    pip install playwright
    python tests/comfyui/walk.py COMFYUI --out FOLDER [--python FILE] [--chromium FILE] [--graph NAME]

COMFYUI is a fresh copy with this pack, and nothing else, in custom_nodes. The server is started with --cpu, the page is
used with the mouse as a person would, and everything that is done is printed as a table: what, at which second, and how
long. Screenshots of each station go to FOLDER. Exit code 1 where the walk does not end with a picture.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PACK = "learn-to-steer"
SEEN = """() => window.app?.graph?._nodes.some(n => n.type == 'SaveImage'
    && n.widgets[0].value == 'steered' && n.imgs?.length)"""


class Stopwatch:
    """What was done when. started: the first second."""

    def __init__(self) -> None:
        self.started = self.last = time.monotonic()
        self.rows: list[tuple[str, str, float, float]] = []

    def note(self, who: str, what: str) -> None:
        """Who: "you" or "wait". What was just done."""
        now = time.monotonic()
        self.rows.append((who, what, now - self.last, now - self.started))
        self.last = now

    def table(self) -> str:
        """As Markdown; seconds."""
        lines = ["| who | what | took | at |", "|---|---|---:|---:|"]
        return "\n".join(
            lines + [f"| {who} | {what} | {took:.1f} | {at:.1f} |" for who, what, took, at in self.rows]
        )


def main() -> int:
    """Start, walk, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("comfyui", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--python", default=sys.executable, help="that runs ComfyUI")
    parser.add_argument("--chromium", help="path of the browser; else the one playwright installed")
    parser.add_argument("--graph", default="1-first-steps-emojiworld")
    parser.add_argument("--port", type=int, default=8188)
    parser.add_argument("--patience", type=float, default=300, help="seconds to wait for each station")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{arguments.port}"
    watch = Stopwatch()
    command = [arguments.python, "main.py", "--cpu", "--port", str(arguments.port)]
    with (arguments.out / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=arguments.comfyui, stdout=log, stderr=subprocess.STDOUT, env=os.environ
        )
        try:
            answered(url, server, arguments.patience)
            watch.note("wait", "`python main.py --cpu` until the page can be opened")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=arguments.chromium, args=["--no-sandbox"]
                )
                page = browser.new_page(viewport={"width": 1920, "height": 1080})
                page.set_default_timeout(arguments.patience * 1000)
                walk(page, url, arguments.graph, arguments.out, watch)
                browser.close()
        finally:
            server.terminate()
            server.wait()
    print(watch.table())
    return 0


def answered(url: str, server: subprocess.Popen[bytes], patience: float) -> None:
    """Wait until the server answers."""
    for _ in range(int(patience * 4)):
        if server.poll() is not None:
            raise SystemExit("The server ended by itself; see server.log.")
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.25)
    raise SystemExit("The server does not answer; see server.log.")


def walk(page: Page, url: str, graph: str, out: Path, watch: Stopwatch) -> None:
    """Every click."""
    page.goto(url)
    dialog = page.get_by_role("dialog").first
    pack = dialog.get_by_text(PACK, exact=True).first
    pack.wait_for()
    page.screenshot(path=out / "1-opened.png")
    watch.note("wait", f"open {url}; at its first start ComfyUI shows its templates by itself")
    pack.click()
    card = dialog.get_by_text(graph).first
    card.wait_for()
    page.wait_for_timeout(500)
    page.screenshot(path=out / "2-templates.png")
    watch.note("you", f'click "{PACK}" under Extensions')
    card.click()
    dialog.wait_for(state="hidden")
    page.wait_for_function("() => window.app.graph._nodes.length > 3")
    page.wait_for_timeout(500)
    page.screenshot(path=out / "3-graph.png")
    watch.note("you", f'click the card "{graph}"')
    page.get_by_role("button", name="Run", exact=True).first.click()
    watch.note("you", "click Run")
    page.wait_for_function(SEEN)
    page.wait_for_timeout(500)
    page.screenshot(path=out / "4-picture.png")
    watch.note("wait", "the steered picture is in its Save Image node")


if __name__ == "__main__":
    sys.exit(main())
