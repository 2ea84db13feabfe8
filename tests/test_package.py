"""The package as others get it: its public face, and what the wheel holds."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import learn_to_steer

ROOT = Path(__file__).resolve().parents[1]


def test_the_face_is_whole_and_light():
    """Every public name is there, and none of them costs anything before it is used."""
    for name in learn_to_steer.__all__:
        assert getattr(learn_to_steer, name) is not None
    assert set(learn_to_steer.__all__) == set(learn_to_steer._FACE)
    code = "import sys, learn_to_steer; assert not {'torch', 'numpy', 'diffusers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_wheel_holds_what_it_must(tmp_path):
    """Built from the tracked files alone: all modules, every classifier with its card, EmojiWorld's weights, no tests."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    source = tmp_path / "source"
    for name in filter(None, tracked):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        inside = {name for name in file.namelist() if ".dist-info/" not in name}
    data = (".py", ".safetensors", ".json", ".txt", ".png", ".md")
    wanted = {name for name in tracked if name.startswith("learn_to_steer/") and name.endswith(data)}
    wanted |= {f"learn_to_steer/{name}" for name in tracked if name.startswith("classifier_weights/")}
    assert inside == wanted


def test_every_shipped_classifier_has_a_card():
    """A reader of the folder is told what each file was trained on, how it was measured, and its licence."""
    folder = ROOT / "classifier_weights"
    files = sorted(folder.glob("*.safetensors"))
    assert files
    for file in files:
        card = file.with_suffix(".md").read_text(encoding="utf-8")
        for word in ("Trained on", "Measured", "Licence"):
            assert word in card, f"{word} is missing in {file.stem}.md"
