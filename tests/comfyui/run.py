"""Run the tests of this folder inside a real ComfyUI, with the interpreter that can import it.

    python tests/comfyui/run.py [pytest arguments]

The host is found through COMFYUI_PATH, else in ~/comfy/ComfyUI; its interpreter through COMFYUI_PYTHON, else in the host's
.venv, else this one. Says which host ran, or that the tests were left out, and why: there is no host, or its interpreter
has not got what the host requires.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


LISTED = """
import importlib.metadata as m, re, sys
names = [re.match("[A-Za-z0-9_.-]+", line.strip()) for line in open(sys.argv[1])]
have = {re.sub("[-_.]+", "-", d.metadata["Name"] or "").lower() for d in m.distributions()}
print(*[n[0] for n in names if n and re.sub("[-_.]+", "-", n[0]).lower() not in have])
"""


def lacks(python: str, requirements: Path) -> list[str]:
    """What a host requires and this interpreter has not got, by the names in its requirements.txt, at whatever version."""
    if not requirements.is_file():
        return []
    command = [python, "-c", LISTED, str(requirements)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def main() -> int:
    """Exit status: pytest's; 0 where there is no host that can be run, and that is said."""
    host = Path(os.environ.get("COMFYUI_PATH") or Path.home() / "comfy" / "ComfyUI").expanduser()
    if not (host / "comfy" / "samplers.py").is_file():
        print(f"ComfyUI host tests: LEFT OUT, no ComfyUI at {host} (set COMFYUI_PATH).")
        return 0
    own = host / ".venv" / "bin" / "python"
    python = os.environ.get("COMFYUI_PYTHON") or (str(own) if own.exists() else sys.executable)
    if missing := lacks(python, host / "requirements.txt"):
        print(
            f"ComfyUI host tests: LEFT OUT, {python} lacks {', '.join(missing)}; install {host / 'requirements.txt'} "
            "there, or name the host's own interpreter by COMFYUI_PYTHON."
        )
        return 0
    version = (host / "comfyui_version.py").read_text().split('"')[1]
    environment = {**os.environ, "COMFYUI_PATH": str(host), "LEARN_TO_STEER_HOST_TESTS": "1"}
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", str(HERE), *sys.argv[1:]]
    status = subprocess.run(command, cwd=HERE, env=environment).returncode
    print(
        f"ComfyUI host tests: ran on ComfyUI {version} with {python}, {'passed' if status == 0 else 'FAILED'}."
    )
    return status


if __name__ == "__main__":
    sys.exit(main())
