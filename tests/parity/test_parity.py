"""The worked cases of the original implementation, and the conversion of its classifiers."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from learn_to_steer.classifiers import convert, load_classifier

FIXTURES = Path(__file__).parents[1] / "fixtures" / "parity"
_spec = importlib.util.spec_from_file_location("parity_compare", Path(__file__).with_name("compare.py"))
compare = importlib.util.module_from_spec(_spec)
sys.modules["parity_compare"] = compare
_spec.loader.exec_module(compare)


def test_both_cases_agree():
    errors = compare.compare(FIXTURES)
    assert {(e.case, e.quantity) for e in errors} == {
        (case, quantity)
        for case in ("flux", "sd")
        for quantity in ("maps1", "maps2", "logits", "loss", "grad", "updated")
    }
    assert max(e.worst for e in errors) < 1e-5


@pytest.mark.parametrize("case", ["sd", "flux"])
def test_converted_classifier_gives_equal_logits(case, tmp_path):
    convert(FIXTURES / f"{case}_classifier.pth", tmp_path / "c.safetensors")
    inputs = load_file(FIXTURES / f"{case}_case.safetensors")
    maps, step = torch.stack([inputs["maps1"], inputs["maps2"]])[None], inputs["step"].reshape(-1).long()
    theirs, ours = (
        load_classifier(FIXTURES / f"{case}_classifier.pth"),
        load_classifier(tmp_path / "c.safetensors"),
    )
    assert torch.equal(theirs(maps, step), ours(maps, step))
    assert torch.allclose(ours(maps, step), inputs["logits"], atol=1e-5)


def only_sd(folder):
    for name in ("sd_case.safetensors", "sd_classifier.pth"):
        shutil.copy(FIXTURES / name, folder / name)
    shutil.copytree(FIXTURES / "sd_unet", folder / "sd_unet")
    return folder


def test_exit_codes(tmp_path, capsys):
    assert compare.main([str(tmp_path)]) == 2 and "case.safetensors" in capsys.readouterr().err
    folder = only_sd(tmp_path)
    case = load_file(folder / "sd_case.safetensors")
    save_file({**case, "logits": case["logits"] + 0.01}, folder / "sd_case.safetensors")
    assert compare.main([str(folder), "--host", "diffusers"]) == 1 and "<--" in capsys.readouterr().out
    save_file({k: v for k, v in case.items() if k != "grad"}, folder / "sd_case.safetensors")
    assert compare.main([str(folder)]) == 2
    save_file({**case, "context": case["context"][..., :-1].contiguous()}, folder / "sd_case.safetensors")
    assert compare.main([str(folder)]) == 2
    (folder / "sd_unet" / "config.json").write_text("{")
    assert compare.main([str(folder)]) == 2
    (folder / "sd_classifier.pth").write_bytes(b"")
    assert compare.main([str(folder)]) == 2
    assert "Traceback" not in capsys.readouterr().err
