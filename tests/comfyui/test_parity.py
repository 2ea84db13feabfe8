"""The worked Flux case of the original method, through the host's own Flux class."""

from __future__ import annotations

import os
import subprocess
import sys

from conftest import ROOT


def test_the_flux_case_agrees():
    command = [sys.executable, str(ROOT / "tests" / "parity" / "compare.py")]
    command += [str(ROOT / "tests" / "fixtures" / "parity"), "--host", "comfyui"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("flux")]
    assert {line[1] for line in lines} == {"maps1", "maps2", "logits", "loss", "grad", "updated"}
    assert max(float(line[2]) for line in lines) < 1e-4 and "sd " not in done.stdout
