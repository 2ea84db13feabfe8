"""Judges of the genuine classes, tiny and random: loaded from folders, and by hand-made outputs what their boxes mean.

The picture of these tests is not square: 48 pixels high, 96 wide.
"""

import math

import numpy as np
import pytest
import torch

from learn_to_steer.errors import SteeringError
from learn_to_steer.evaluation.detections import Demand, Detection, Thing
from learn_to_steer.evaluation.detectors.colours import ClipColours, cut_out
from learn_to_steer.evaluation.detectors.grounding_dino import GroundingDinoDetector, meant_by
from learn_to_steer.evaluation.detectors.loading import load
from learn_to_steer.evaluation.detectors.mask2former import Mask2FormerDetector, box_of
from learn_to_steer.evaluation.detectors.owlv2 import Owlv2Detector
from learn_to_steer.evaluation.detectors.rt_detr import RTDetrDetector
from learn_to_steer.evaluation.detectors.vocabulary import Vocabulary
from learn_to_steer.evaluation.detectors.yes_no import YesNo
from learn_to_steer.evaluation.judges import AskingJudge, RuleJudge
from learn_to_steer.evaluation.opening import open_judge

from . import tiny_judges
from .made import demand

PICTURE = np.random.default_rng(0).integers(0, 255, (48, 96, 3), dtype=np.uint8)
NAMES = ["dog", "teddy bear"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base = tmp_path_factory.mktemp("judges")
    return {
        "owlv2": tiny_judges.owlv2(base / "owlv2", base / "t1"),
        "mask2former": tiny_judges.mask2former(base / "mask2former"),
        "padding": tiny_judges.mask2former(base / "padding", pad_size={"height": 64, "width": 128}),
        "rt-detr": tiny_judges.rt_detr(base / "rt", 1),
        "rt-detr-v2": tiny_judges.rt_detr(base / "rt2", 2),
        "grounding-dino": tiny_judges.grounding_dino(base / "dino", base / "t2"),
        "yes-no": tiny_judges.llava(base / "llava"),
        "clip": tiny_judges.clip(base / "clip", base / "t3"),
    }


def logit(p):
    return math.log(p / (1 - p))


def answers(loaded, genuine, **changes):
    """The model's outputs are these tensors from now on, in its own class of outputs; what else is in there stays."""
    forward = loaded.model.forward

    def made(*args, **kwargs):
        output = forward(*args, **kwargs)
        assert type(output).__name__ == genuine
        for name, value in changes.items():
            output[name] = value
        return output

    loaded.model.forward = made


def found(detector, names=NAMES):
    (of_picture,) = detector.detect(PICTURE[None], [names])
    return of_picture


def boxes(detections):
    return [(d.name, tuple(round(x, 2) for x in d.box), round(d.score, 3)) for d in detections]


def test_owlv2_boxes_are_shares_of_the_padded_square(folders):
    loaded = load(str(folders["owlv2"]), "AutoModelForZeroShotObjectDetection")
    # The genuine processor fills up below: the lower half of what the model is given has one value.
    seen = loaded.processor(text=[NAMES], images=PICTURE, return_tensors="pt")["pixel_values"][0]
    assert float(seen[:, 40:].std(dim=(1, 2)).max()) < 1e-4 < float(seen[:, :24].std())
    # The square has 96 pixels: centre (24, 12), 24 wide and 12 high; one over the lower edge; one in the filling.
    placed = torch.tensor([[[0.25, 0.125, 0.25, 0.125], [0.5, 0.5, 0.25, 0.5], [0.5, 0.9, 0.1, 0.1]]])
    sure = torch.tensor([[[logit(0.6), -9.0], [-9.0, logit(0.8)], [logit(0.9), -9.0]]])
    answers(loaded, "Owlv2ObjectDetectionOutput", pred_boxes=placed, logits=sure)
    assert boxes(found(Owlv2Detector(loaded, 0.5))) == [
        ("teddy bear", (36, 24, 60, 48), 0.8),
        ("dog", (12, 6, 36, 18), 0.6),
    ]
    assert [d.name for d in found(Owlv2Detector(loaded, 0.7))] == ["teddy bear"]
    assert Owlv2Detector(loaded).detect(PICTURE[None], [[]]) == [[]]


def test_owlv2_is_asked_for_every_name_of_its_picture(folders):
    loaded = load(str(folders["owlv2"]), "AutoModelForZeroShotObjectDetection")
    asked, processor = [], loaded.processor
    call = type(processor).__call__

    class Listening(type(processor)):
        def __call__(self, *args, **kwargs):
            asked.append(kwargs["text"])
            return call(self, *args, **kwargs)

    processor.__class__ = Listening
    Owlv2Detector(loaded).detect(np.stack([PICTURE] * 2), [NAMES, ["elephant"]])
    assert asked == [[["a photo of a dog", "a photo of a teddy bear"]], [["a photo of an elephant"]]]


@pytest.mark.parametrize("version", ["rt-detr", "rt-detr-v2"])
def test_rt_detr_boxes_are_shares_of_width_and_height(folders, version):
    loaded = load(str(folders[version]), "AutoModelForObjectDetection")
    placed = torch.tensor([[[0.25, 0.5, 0.25, 0.5], [0.75, 0.25, 0.25, 0.5]]])
    sure = torch.full((1, 2, 7), -9.0)
    sure[0, 0, 2], sure[0, 1, 5] = logit(0.7), logit(0.9)
    kind = "RTDetrObjectDetectionOutput" if version == "rt-detr" else "RTDetrV2ObjectDetectionOutput"
    answers(loaded, kind, pred_boxes=placed, logits=sure)
    detector = RTDetrDetector(loaded, 0.5)
    assert boxes(found(detector)) == [("tv", (60, 0, 84, 24), 0.9), ("dog", (12, 12, 36, 36), 0.7)]
    # The label "tvmonitor" is a television where the prompt says so.
    assert found(detector, ["television"])[0].name == "television"
    assert detector.unknown(["dog", "frog", "motorcycle"]) == ["frog"]


def test_grounding_dino_boxes_and_words(folders):
    loaded = load(str(folders["grounding-dino"]), "AutoModelForZeroShotObjectDetection")
    placed = torch.tensor([[[0.25, 0.5, 0.25, 0.5], [0.75, 0.25, 0.25, 0.5], [0.5, 0.5, 0.1, 0.1]]])
    # [CLS] a dog . a teddy bear . [SEP]: dog is the token 2, teddy bear are 5 and 6
    sure = torch.full((1, 3, 64), -9.0)
    sure[0, 0, 2] = logit(0.7)
    sure[0, 1, 5], sure[0, 1, 6] = logit(0.6), logit(0.9)
    sure[0, 2, 2], sure[0, 2, 6] = logit(0.8), logit(0.8)  # a dog, or half a teddy bear?
    answers(loaded, "GroundingDinoObjectDetectionOutput", pred_boxes=placed, logits=sure)
    assert boxes(found(GroundingDinoDetector(loaded, 0.5))) == [
        ("teddy bear", (60, 0, 84, 24), 0.9),
        ("dog", (43.2, 21.6, 52.8, 26.4), 0.8),
        ("dog", (12, 12, 36, 36), 0.7),
    ]


@pytest.mark.parametrize(
    ("phrase", "names", "meant"),
    [
        ("a dog", ["dog", "cat"], "dog"),
        ("bear", ["bear", "teddy bear"], "bear"),
        ("teddy bear", ["bear", "teddy bear"], "teddy bear"),
        ("teddy", ["dog", "teddy bear"], "teddy bear"),
        ("dog cat", ["dog", "cat"], None),
        ("", ["dog"], None),
        ("a", ["dog"], None),
        ("hat", [], None),
    ],
)
def test_words_of_a_box(phrase, names, meant):
    assert meant_by(phrase, names) == meant


def segments(loaded, mask, label, score=0.9):
    """One query shows this mask (h, w) of the model's own picture, another all around it; the others are nothing."""
    queries = loaded.model.config.num_queries
    classes = torch.full((1, queries, 8), -20.0)
    classes[..., -1] = 20.0
    classes[0, 0] = torch.tensor([math.log(score if i == label else (1 - score) / 7) for i in range(8)])
    masks = torch.full((1, queries, *mask.shape), -30.0)
    masks[0, 0][mask] = 30.0
    classes[0, 1], masks[0, 1] = torch.tensor([0.0] * 7 + [-20.0]), -masks[0, 0]
    classes[0, 1, 0] = 20.0
    answers(
        loaded,
        "Mask2FormerForUniversalSegmentationOutput",
        class_queries_logits=classes,
        masks_queries_logits=masks,
    )


@pytest.mark.parametrize("panoptic", [False, True])
def test_mask2former_masks_and_boxes_are_the_pictures(folders, panoptic):
    loaded = load(str(folders["mask2former"]), "AutoModelForUniversalSegmentation")
    # The picture was stretched to a square; right half, upper quarter.
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[:16, 32:] = True
    segments(loaded, mask, label=2)
    person, dog = found(Mask2FormerDetector(loaded, 0.5, panoptic))
    assert person.name == "person" and person.mask.mean() == pytest.approx(7 / 8, abs=0.02)
    assert dog.name == "dog" and dog.score == pytest.approx(0.9, abs=0.01)
    assert dog.box == pytest.approx((48, 0, 96, 12), abs=1)
    assert dog.mask.shape == (48, 96) and box_of(dog.mask) == dog.box
    assert dog.mask.mean() == pytest.approx(1 / 8, abs=0.02)
    assert [d.name for d in found(Mask2FormerDetector(loaded, 0.95, panoptic))] == ["person"]


@pytest.mark.parametrize("panoptic", [False, True])
def test_filling_around_the_picture_is_no_part_of_it(folders, panoptic):
    loaded = load(str(folders["padding"]), "AutoModelForUniversalSegmentation")
    # 48 x 96 is made 64 x 64 and filled up to the right.
    seen = loaded.processor(images=PICTURE, return_tensors="pt")["pixel_values"][0]
    assert seen.shape[1:] == (64, 128) and float(seen[:, :, 64:].abs().max()) == 0
    mask = torch.zeros(64, 128, dtype=torch.bool)
    mask[32:, 32:64] = True  # the lower right quarter of the picture
    segments(loaded, mask, label=3)
    person, cat = found(Mask2FormerDetector(loaded, 0.5, panoptic))
    assert cat.box == pytest.approx((48, 24, 96, 48), abs=1) and cat.mask.shape == (48, 96)
    assert person.mask.mean() == pytest.approx(3 / 4, abs=0.03)
    mask[:] = False
    mask[:, 70:] = True  # in the filling
    segments(loaded, mask, label=3)
    assert [d.name for d in found(Mask2FormerDetector(loaded, 0.5, panoptic))] == ["person"]


def test_a_box_ends_behind_its_last_pixel():
    mask = np.zeros((5, 7), bool)
    mask[1:3, 2:6] = True
    assert box_of(mask) == (2, 1, 6, 3)


def test_names_of_converted_checkpoints():
    vocabulary = Vocabulary(["motorbike", "Teddy_bear", "mouse"])
    assert vocabulary.unknown(["motorcycle", "teddy bear", "computer mouse", "bear"]) == ["bear"]
    assert vocabulary.as_asked("motorbike", ["dog", "a motorcycle"]) == "motorcycle"
    assert vocabulary.as_asked("mouse", ["computer mouse"]) == "computer mouse"
    assert vocabulary.as_asked("motorbike", []) == "motorcycle"


@pytest.mark.parametrize(
    "kind", ["owlv2", "mask2former", "mask2former-panoptic", "rt-detr", "grounding-dino", "yes-no"]
)
def test_every_kind_judges_as_it_comes_from_a_folder(folders, kind):
    folder = folders[kind.removesuffix("-panoptic")]
    written = str(folder) if "panoptic" not in kind else f"{kind}={folder}"
    judge = open_judge(written, "visor")
    asked = demand(("dog", "left of", "teddy bear"))
    judge.check([asked])
    (said, again) = judge.judge(np.stack([PICTURE] * 2), [asked, asked])
    assert said.as_json() == again.as_json() and judge.name == written
    line = said.as_json()
    assert set(line) == {
        "right", "present", "relations", "relation_scores", "score", "objects", "duplicates",
    }  # fmt: skip
    if kind == "yes-no":
        assert said.found is None and 0 < line["relation_scores"][0] < 1 and line["objects"] is None
    else:
        for d in said.found:
            assert 0 <= d.box[0] < d.box[2] <= 96 and 0 <= d.box[1] < d.box[3] <= 48 and d.score >= 0.1
            assert (d.mask is not None) == kind.startswith("mask2former")


def test_what_the_user_writes(folders, tmp_path):
    assert open_judge(f"owlv2={folders['owlv2']}", "geneval").detector.threshold == 0.3
    assert open_judge(str(folders["owlv2"]), "visor").detector.threshold == 0.1
    assert open_judge(str(folders["rt-detr"]), "t2i-compbench").detector.threshold == 0.5  # the library's
    assert isinstance(open_judge(str(folders["rt-detr-v2"]), "visor").detector, RTDetrDetector)
    (tmp_path / "empty").mkdir()
    cases = {
        str(tmp_path / "nowhere"): "folder of a transformers model or a model id",
        "nowhere": "folder of a transformers model or a model id",
        str(tmp_path / "empty"): "cannot be loaded",
        "yolo=x": "kind among",
        "owlv2=": "kind among",
        f"rt-detr={folders['clip']}": "cannot be loaded",
        f"yes-no={folders['clip']}": "cannot be loaded",
    }
    for written, says in cases.items():
        with pytest.raises(SteeringError, match=says) as caught:
            open_judge(written, "geneval")
        assert "\n" not in str(caught.value)
    with pytest.raises(SteeringError, match="judge of masks"):
        open_judge(str(folders["owlv2"]), "pse")
    assert open_judge(str(folders["mask2former"]), "pse").rule_name == "pse"


def test_objects_that_a_judge_can_never_find_are_refused_before(folders):
    judge = open_judge(str(folders["rt-detr"]), "geneval")
    with pytest.raises(SteeringError, match='knows, got "frog"'):
        judge.check([demand(("dog", "left of", "cat")), demand(("dog", "left of", "frog"))])
    with pytest.raises(SteeringError, match='got "woman"'):
        judge.check([demand(("dog", "left of", "woman"))])
    # T2I-CompBench counts her as a person.
    open_judge(str(folders["rt-detr"]), "t2i-compbench").check([demand(("dog", "left of", "woman"))])
    open_judge(str(folders["owlv2"]), "geneval").check([demand(("frog", "left of", "woman"))])


def test_the_answer_is_the_share_of_yes(folders):
    loaded = load(str(folders["yes-no"]), "AutoModelForImageTextToText")
    asking = YesNo(loaded, "x")
    tokenizer = loaded.processor.tokenizer
    forward, texts = loaded.model.forward, []

    def made(**kwargs):
        output = forward(**kwargs)
        texts.append(tokenizer.decode(kwargs["input_ids"][0]))
        output.logits = torch.full_like(output.logits, -50.0)
        # of yes 0.2 + 0.1, of no 0.1, the rest elsewhere: 0.3 / 0.4
        for word, p in (("Yes", 0.2), ("yes", 0.1), ("No", 0.1), ("dog", 0.6)):
            output.logits[0, -1, tokenizer.convert_tokens_to_ids(word)] = math.log(p)
        return output

    loaded.model.forward = made
    assert asking.probability(PICTURE, "Is there a dog in this picture?") == pytest.approx(0.75)
    assert "there a dog in this picture ?" in texts[0] and texts[0].count("<image>") > 1


def test_a_model_that_cannot_be_asked_is_refused(tmp_path):
    silent = tiny_judges.llava(tmp_path / "silent", template=None)
    with pytest.raises(SteeringError, match="chat template"):
        open_judge(f"yes-no={silent}", "geneval")
    same = tiny_judges.llava(tmp_path / "same", words=())
    with pytest.raises(SteeringError, match="yes from no"):
        open_judge(f"yes-no={same}", "geneval")


class Answering:
    """A model that answers by a table; what is not in it is yes."""

    def __init__(self, **no):
        self.no, self.asked = no, []

    def probability(self, picture, question):
        self.asked.append(question)
        return next((p for part, p in self.no.items() if part in question), 0.9)

    verdict = YesNo.verdict


def test_questions_and_what_their_answers_mean():
    asked = demand(("dog", "left of", "cat"))

    def said(**no):
        model = Answering(**no)
        (judged,) = AskingJudge("vlm", model).judge(PICTURE[None], [asked])
        return judged.verdict, judged.right, model.asked

    verdict, right, questions = said()
    assert questions == [
        "Is there a dog in this picture?",
        "Is there a cat in this picture?",
        "Is the dog to the left of the cat in this picture?",
    ]
    assert (verdict.present, verdict.relations[0].holds, verdict.score, right) == (True, True, 1.0, True)
    verdict, right, _ = said(left=0.4)
    assert (verdict.present, verdict.relations[0].holds, verdict.relations[0].score) == (True, False, 0.4)
    assert not right and verdict.score == 0
    verdict, right, _ = said(**{"a cat": 0.1})
    assert (verdict.present, verdict.relations[0].holds, right) == (False, False, False)
    dog = Thing("dog", "dog")
    model = Answering(red=0.2)
    counted = Demand(counts=((dog, 2),), colours=((dog, "red", 1),))
    (judged,) = AskingJudge("vlm", model).judge(PICTURE[None], [counted])
    assert (judged.verdict.present, judged.right) == (True, False) and "exactly 2" in model.asked[1]


def test_colours_are_read_from_what_was_found(folders):
    reader = ClipColours(load(str(folders["clip"]), "AutoModel"))
    texts = []
    tokenize = reader.loaded.processor.tokenizer.__class__.__call__

    # Image features say blue; the captions of the n-th colour are the n-th axis.
    def text_features(**kwargs):
        texts.append(kwargs["input_ids"].shape[0])
        return torch.eye(10).repeat_interleave(3, dim=0)

    reader.loaded.model.get_text_features = text_features
    reader.loaded.model.get_image_features = lambda **k: torch.eye(10)[[4] * len(k["pixel_values"])]
    boxes = [Detection("dog", (2, 3, 40, 30), 0.9), Detection("dog", (4.2, 5.1, 4.4, 5.3), 0.8)]
    assert [d.colour for d in reader.coloured(PICTURE, boxes, "dog")] == ["blue", "blue"]
    assert texts == [30] and tokenize is not None and reader.coloured(PICTURE, [], "dog") == []


def test_colours_as_they_come_from_a_folder(folders):
    reader = ClipColours(load(str(folders["clip"]), "AutoModel"))
    (dog,) = reader.coloured(PICTURE, [Detection("dog", (2, 3, 40, 30), 0.9)], "dog")
    assert dog.colour in (
        "red",
        "orange",
        "yellow",
        "green",
        "blue",
        "purple",
        "pink",
        "brown",
        "black",
        "white",
    )


def test_what_is_cut_out_is_grey_around_the_mask():
    mask = np.zeros((48, 96), bool)
    mask[10:20, 30:40] = True
    crop = np.asarray(cut_out(PICTURE, Detection("dog", (25, 10, 40, 20), 1.0, mask)))
    assert crop.shape == (10, 15, 3) and (crop[:, :5] == 0x99).all()
    assert (crop[:, 5:] == PICTURE[10:20, 30:40]).all()


class Found:
    """A detector that finds these."""

    def __init__(self, *detections):
        self.detections = detections

    def detect(self, pictures, names):
        return [list(self.detections) for _ in pictures]

    def unknown(self, names):
        return []


class Painted:
    """Reads a colour off the box's left edge."""

    def coloured(self, picture, detections, noun):
        from dataclasses import replace

        return [replace(d, colour="red" if d.box[0] < 50 else "blue") for d in detections]


def test_genevals_colours_count_among_the_best_boxes():
    dog, cat = Thing("dog", "dog"), Thing("cat", "cat")
    left, right = Detection("dog", (10, 0, 20, 20), 0.9), Detection("dog", (60, 0, 80, 20), 0.8)

    def is_right(asked, *detections):
        (said,) = RuleJudge("x", Found(*detections), "geneval", Painted()).judge(PICTURE[None], [asked])
        return said.right

    red = Demand(counts=((dog, 1),), colours=((dog, "red", 1),))
    blue = Demand(counts=((dog, 1),), colours=((dog, "blue", 1),))
    assert is_right(red, left, right) and not is_right(blue, left, right)  # one is asked for: the surest
    assert is_right(blue, right)
    two = Demand(counts=((dog, 1), (cat, 1)), colours=((dog, "red", 1), (cat, "blue", 1)))
    assert is_right(two, left, Detection("cat", (60, 0, 80, 20), 0.9))
    assert not is_right(two, left, Detection("cat", (20, 0, 40, 20), 0.9))
    with pytest.raises(SteeringError, match="--colours"):
        RuleJudge("x", Found(), "geneval").check([red])
