"""The pack in a real browser: every graph opened from the template browser, those of EmojiWorld queued in the page.

    pip install playwright pillow
    python tests/comfyui/browser.py http://127.0.0.1:8188 --out FOLDER [--chromium FILE] [--sheet docs/graphs.jpg]
        [--thumbnails] [--nodes2] [--only 2-,16-]

Needs a running ComfyUI with the pack in custom_nodes, and a Chromium. For each graph: nodes that the page does not know,
what the browser's console complained about, what the nodes say after a run and which of them show pictures; a screenshot
before and, where it was queued, after; with --sheet the last of each on one picture; with --thumbnails the pictures that
the template browser shows, made of what each graph saved, or, where it was not run, a card that says whose model it wants;
with --nodes2 in the host's Nodes 2.0 instead of the classic canvas. An app is queued in app mode first. The blueprints are
added from the node library and opened. Exit code 1 where a graph does not open cleanly, its
nodes cover one another, a queued one does not finish, or a node that speaks shows no text.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ROOT / "workflows"
NEEDS_DOWNLOAD = ("2-", "3-", "8-", "9-", "15-")
PACK = "learn-to-steer"
READY = "() => !!window.app?.graph && !!window.LiteGraph?.registered_node_types?.LearnToSteer_RelationPrompt"
UNKNOWN = """() => window.app.graph._nodes
    .filter(n => !LiteGraph.registered_node_types[n.type]).map(n => n.type)"""
SAID = """() => Object.fromEntries(window.app.graph._nodes
    .map(n => [n.type, n.widgets?.find(w => w.name == 'said')?.value]).filter(([, text]) => text))"""
COVERED = """() => {
    const scale = window.app.canvas.ds.scale;
    const boxes = window.app.graph._nodes.map(n => {
        const seen = document.querySelector(`[data-node-id="${n.id}"]`)?.getBoundingClientRect();
        const [width, height] = seen ? [seen.width / scale, seen.height / scale - 30] : n.size;
        return {name: `${n.id} ${n.type}`, x: n.pos[0], y: n.pos[1] - 30, right: n.pos[0] + width, low: n.pos[1] + height};
    });
    return boxes.flatMap((a, i) => boxes.slice(0, i)
        .filter(b => a.x < b.right && b.x < a.right && a.y < b.low && b.y < a.low).map(b => `${a.name} / ${b.name}`));
}"""
SPEAKING = tuple(
    f"LearnToSteer_{name}"
    for name in (
        "RelationPrompt", "RelationsFromBoxes", "ClassifyRelation", "JudgeByBoxes", "CheckSteering", "RelationLayout",
        "SteeringReport", "RecordRelations", "TrainRelationClassifier", "SaveRelationClassifier",
    )
)  # fmt: skip
PICTURES = "() => window.app.graph._nodes.filter(n => n.imgs?.length).map(n => n.type)"
SAVED = """() => window.app.graph._nodes.filter(n => n.type == 'SaveImage' && n.imgs?.length)
    .map(n => [n.widgets[0].value, n.imgs.map(i => i.src)])"""
FIT = """() => {
    const nodes = window.app.graph._nodes, x = nodes.map(n => n.pos[0]), y = nodes.map(n => n.pos[1]);
    const right = Math.max(...nodes.map(n => n.pos[0] + n.size[0]));
    const low = Math.max(...nodes.map(n => n.pos[1] + n.size[1]));
    const view = window.app.canvas, left = Math.min(...x), top = Math.min(...y) - 30;
    const room = [view.canvas.clientWidth - 140, view.canvas.clientHeight - 140];
    view.ds.scale = Math.min(room[0] / (right - left), room[1] / (low - top));
    view.ds.offset = [-left + 80 / view.ds.scale, -top + 100 / view.ds.scale];
    window.app.graph.setDirtyCanvas(true, true);
}"""


def main() -> int:
    """Open, take a picture, queue, take another."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("server")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--chromium", help="path of the browser; else the one playwright installed")
    parser.add_argument("--sheet", type=Path, help="write all graphs on one picture here")
    parser.add_argument("--thumbnails", action="store_true", help="write workflows/*.jpg")
    parser.add_argument("--nodes2", action="store_true", help="draw the nodes in the host's Nodes 2.0")
    parser.add_argument("--only", help="beginnings of the graphs' names, separated by commas")
    parser.add_argument("--patience", type=float, default=300, help="seconds to wait for the page and a run")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = False
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 2200, "height": 1200})
        page.set_default_timeout(arguments.patience * 1000)
        complaints: list[str] = []
        # A failed request is reported by its response; a fresh host has no userdata, and asks for it all the same.
        page.on(
            "console",
            lambda m: (
                complaints.append(m.text) if m.type == "error" and "load resource" not in m.text else None
            ),
        )
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.on(
            "response",
            lambda r: (
                complaints.append(f"{r.status} {r.url}")
                if r.status >= 400 and "/userdata" not in r.url
                else None
            ),
        )
        page.goto(arguments.server)
        page.wait_for_function(READY, polling=1000)
        page.wait_for_timeout(5000)
        page.evaluate(
            "on => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)", arguments.nodes2
        )
        page.evaluate("() => window.app.extensionManager.setting.set('Comfy.Minimap.Visible', false)")
        print("the empty page's own complaints:", sorted(set(complaints)) or "none")
        only = tuple(arguments.only.split(",")) if arguments.only else ("",)
        for file in sorted(f for f in WORKFLOWS.glob("*.json") if f.stem.startswith(only)):
            complaints.clear()
            open_template(page, file.stem)
            if json.loads(file.read_text())["extra"].get("linearMode"):
                page.screenshot(path=arguments.out / f"{file.stem}-app.png")
                app = run(page, arguments.patience, press=True)
                page.locator("img[src*='/view?filename=']").first.wait_for(state="attached")
                page.wait_for_timeout(1500)
                page.screenshot(path=arguments.out / f"{file.stem}-app-done.png")
                failed |= app["status"] != "success"
                page.evaluate("() => window.app.extensionManager.command.execute('Comfy.ToggleLinear')")
                page.wait_for_timeout(2000)
            unknown = page.evaluate(UNKNOWN)
            page.evaluate(FIT)
            page.wait_for_timeout(1500)
            page.screenshot(path=arguments.out / f"{file.stem}.png")
            report: dict[str, Any] = {"nodes": page.evaluate("() => window.app.graph._nodes.length")}
            report |= {"unknown": unknown, "complaints": list(complaints), "covered": page.evaluate(COVERED)}
            if not file.stem.startswith(NEEDS_DOWNLOAD):
                report |= run(page, arguments.patience)
                report["covered"] += page.evaluate(COVERED)
                kinds = page.evaluate("() => window.app.graph._nodes.map(n => n.type)")
                report["silent"] = [k for k in set(kinds) & set(SPEAKING) if not report["said"].get(k)]
                page.evaluate(FIT)
                page.wait_for_timeout(1500)
                page.screenshot(path=arguments.out / f"{file.stem}-done.png")
            if arguments.thumbnails:
                thumbnail(page, file).save(file.with_suffix(".jpg"), quality=88)
            print(file.stem, report, flush=True)
            failed |= bool(unknown or complaints or report["covered"] or report.get("silent"))
            failed |= report.get("status", "success") != "success"
        for name in sorted(f.stem for f in (ROOT / "subgraphs").glob("*.json") if not arguments.only):
            complaints.clear()
            report = blueprint(page, name, arguments.patience) | {"complaints": list(complaints)}
            page.screenshot(path=arguments.out / f"{name}.png")
            print(name, report, flush=True)
            failed |= bool(complaints) or report.get("status", "success") != "success" or not report["inside"]
        browser.close()
    if arguments.sheet:
        sheet(arguments.out).save(arguments.sheet, quality=80)
    return int(failed)


def thumbnail(page: Page, graph: Path, cell: int = 220) -> Image.Image:
    """What the open graph saved, a strip for each Save Image node with its name; where it was not run, a card."""
    strips = []
    for name, sources in sorted(page.evaluate(SAVED), key=lambda saved: saved[0] != "plain"):
        pictures = [Image.open(io.BytesIO(page.request.get(source).body())) for source in sources]
        width = cell * pictures[0].width // pictures[0].height
        strip = Image.new("RGB", (width * len(pictures), cell))
        for i, picture in enumerate(pictures):
            strip.paste(
                picture.convert("RGB").resize((width, cell), Image.Resampling.BICUBIC), (i * width, 0)
            )
        ImageDraw.Draw(strip).text((6, 4), name, fill="black", font_size=15)
        strips.append(strip)
    if not strips:
        return card(graph)
    beside = all(strip.width == cell for strip in strips)
    step = (cell, 0) if beside else (0, cell)
    size = (cell * len(strips), cell) if beside else (max(s.width for s in strips), cell * len(strips))
    whole = Image.new("RGB", size, "white")
    for i, strip in enumerate(strips):
        whole.paste(strip, (i * step[0], i * step[1]))
    return whole


def card(graph: Path, width: int = 660, height: int = 330) -> Image.Image:
    """A graph whose model is not here: what it is for, the prompt, and whose files it wants. No picture is made up."""
    nodes = json.loads(graph.read_text())["nodes"]
    prompt = next(n["widgets_values"][0] for n in nodes if n["type"] == "LearnToSteer_RelationPrompt")
    loaders = ("CheckpointLoaderSimple", "UNETLoader")
    file = next(n["widgets_values"][0] for n in nodes if n["type"] in loaders)
    title = graph.stem.split("-", 1)[1].replace("-", " ").capitalize()
    sheet = Image.new("RGB", (width, height), "#f8fafc")
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((0, 0, 14, height), fill="#2563eb")
    for y, text, size, colour in (
        (52, title, 44, "#111827"),
        (132, f"\u201c{prompt}\u201d", 23, "#1f2937"),
        (216, f"wants your own {file}", 21, "#6b7280"),
        (252, "no picture is shown: this model does not ship with the pack", 19, "#6b7280"),
    ):
        draw.text((48, y), text, fill=colour, font_size=size)
    return sheet


def sheet(folder: Path, columns: int = 2, width: int = 1000) -> Image.Image:
    """Every graph as it was last seen, without the page's own bars."""
    names = sorted((f.stem for f in WORKFLOWS.glob("*.json")), key=lambda name: int(name.split("-")[0]))
    shots = []
    for name in names:
        done = folder / f"{name}-done.png"
        with Image.open(done if done.exists() else folder / f"{name}.png") as shot:
            view = shot.convert("RGB").crop((60, 40, 2200, 940))
        view = view.resize((width, width * view.height // view.width), Image.Resampling.LANCZOS)
        ImageDraw.Draw(view).text((16, view.height - 28), name, fill="white", font_size=18)
        shots.append(view)
    height = shots[0].height
    whole = Image.new("RGB", (columns * width, -(-len(shots) // columns) * height))
    for i, view in enumerate(shots):
        whole.paste(view, (i % columns * width, i // columns * height))
    return whole


def open_template(page: Page, name: str) -> None:
    """Click the graph's card in the template browser."""
    page.keyboard.press("Escape")
    page.evaluate("() => window.app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    dialog = page.get_by_role("dialog").first
    dialog.get_by_text(PACK, exact=True).first.click()
    dialog.get_by_text(name).first.click()
    page.wait_for_timeout(6000)
    tour = page.get_by_test_id("coach-landing")  # what a first app is greeted with
    if tour.count():
        tour.get_by_text("Skip").click()
    dialog.wait_for(state="hidden")
    page.mouse.move(20, 800)  # an empty place of the side bar: over a node it would bring up a tooltip
    page.wait_for_timeout(1000)


def blueprint(page: Page, name: str, patience: float) -> dict[str, Any]:
    """Search the node library for a blueprint, click it and place it on an empty canvas; that of EmojiWorld is queued with
    its picture shown. Its widgets, the nodes inside, and what `run` tells."""
    page.evaluate("() => window.app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    page.wait_for_timeout(2000)
    page.mouse.dblclick(800, 600)
    page.keyboard.type(name, delay=30)
    page.wait_for_timeout(3000)
    page.keyboard.press("Enter")
    page.wait_for_timeout(2000)
    page.mouse.click(800, 500)
    page.wait_for_function("() => window.app.graph._nodes.length == 1")
    report = {
        "widgets": page.evaluate("() => window.app.graph._nodes[0].widgets.map(w => w.name)"),
        "inside": page.evaluate("() => window.app.graph._nodes[0].subgraph.nodes.map(n => n.type)"),
    }
    if "EmojiWorld" in name:
        page.evaluate(
            """() => { const graph = window.app.graph, shown = LiteGraph.createNode('PreviewImage');
            shown.pos = [graph._nodes[0].pos[0] + graph._nodes[0].size[0] + 60, graph._nodes[0].pos[1]];
            graph.add(shown); graph._nodes[0].connect(0, shown, 0); }"""
        )
        report |= run(page, patience)
    page.evaluate(FIT)
    page.wait_for_timeout(1500)
    return report


def run(page: Page, patience: float, press: bool = False) -> dict[str, Any]:
    """Queue the open graph and wait for its end: status, what nodes say, which nodes show pictures. press: by the page's
    button, without which an app does not show its output."""
    page.evaluate(
        """() => { window.ltsStatus = null;
        const done = name => () => { window.ltsStatus ??= name; };
        window.app.api.addEventListener('execution_success', done('success'));
        window.app.api.addEventListener('execution_error', done('error')); }"""
    )
    if press:
        page.get_by_role("button", name="Run", exact=True).first.click()
    else:
        page.evaluate("() => window.app.queuePrompt(0)")
    page.wait_for_function("() => window.ltsStatus", timeout=patience * 1000)
    page.wait_for_timeout(3000)
    return {
        "status": page.evaluate("() => window.ltsStatus"),
        "said": page.evaluate(SAID),
        "pictures": page.evaluate(PICTURES),
    }


if __name__ == "__main__":
    sys.exit(main())
