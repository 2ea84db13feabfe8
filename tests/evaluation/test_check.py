"""What a check measures, by hand, and which verdict follows from which figures."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from learn_to_steer.attention import AttentionLayer, MapStack
from learn_to_steer.evaluation.check import Figures, verdict, verdict_of_judge
from learn_to_steer.evaluation.check.acting import alike, centre, effect, lead, mean_maps, texture
from learn_to_steer.evaluation.check.run import relation_of, with_other_noun


def spot(x, y, size=8):
    """(size, size), all of it at column x and row y."""
    field = torch.zeros(size, size)
    field[y, x] = 1.0
    return field


def test_shared_attention():
    even = torch.full((8, 8), 1 / 64)
    half = torch.zeros(8, 8)
    half[:, :4] = 1 / 32
    maps = torch.stack(
        [torch.stack(pair) for pair in ((spot(0, 0), spot(7, 7)), (even, 3 * even), (even, half))]
    )
    # apart; the same map at another height; half of the even map's attention lies in the half
    assert alike(maps).tolist() == pytest.approx([0.0, 1.0, 0.5])


def test_maps_of_all_heads_count_alike_whatever_their_size_and_height():
    layers = tuple(AttentionLayer(f"mid.{i}", "mid", i, 1) for i in range(2))
    low = torch.zeros(1, 1, 1, 8, 8)
    low[..., 0, 0] = 5.0
    high = torch.zeros(1, 1, 1, 32, 32)
    high[..., 30:, 30:] = 0.01
    (mean,) = mean_maps(MapStack(layers, (low, high)))[0]
    assert mean.shape == (16, 16) and mean.sum() == pytest.approx(1.0)
    assert mean[:4, :4].sum() == pytest.approx(0.5) and mean[15, 15] == pytest.approx(0.5)


def test_where_a_word_acts():
    answer, without = torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 8, 8)
    without[0, :, 2, 6] = torch.tensor([1.0, -1.0, 1.0, -1.0])
    without[0, 0, 5, 1] = 1.0
    change = effect(answer, without)
    assert change[0, 2, 6] == 1.0 and change[0, 5, 1] == 0.5  # the rms over four channels
    # squares 1 and 1/4: four fifths of the way from (1, 5) to (6, 2), at the middles of the places
    assert centre(change)[0].tolist() == pytest.approx(
        [(0.8 * 6.5 + 0.2 * 1.5) / 8, (0.8 * 2.5 + 0.2 * 5.5) / 8]
    )


def test_lead_is_along_the_asked_direction():
    effects = torch.stack([spot(6, 1), spot(2, 3)])[None].repeat(4, 1, 1, 1)
    directions = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])  # right, left, above, below
    assert lead(effects, directions).tolist() == pytest.approx([0.5, -0.5, 0.25, -0.25])
    wide = torch.zeros(1, 2, 4, 8)
    wide[0, 0, 0, 4] = wide[0, 1, 2, 4] = 1.0
    assert lead(wide, torch.tensor([[0.0, -1.0]])).item() == pytest.approx(0.5)  # of the height


def test_noise_has_no_texture():
    torch.manual_seed(0)
    noise = torch.randn(2, 4, 64, 64)
    assert texture(noise).abs().max() < 0.05
    ramp = torch.arange(64.0).expand(1, 1, 64, 64)
    assert texture(ramp + ramp.mT).item() == pytest.approx(1.0, abs=1e-3)
    smooth = torch.nn.functional.avg_pool2d(noise, (1, 2), stride=1)  # half of each value is its neighbour's
    assert texture(smooth).mean().item() == pytest.approx((0.5 + 0.0) / 2, abs=0.05)


GOOD = Figures(
    texture=0.4, alike=0.4, before=0.3, after=0.99, kept=1.0, acts_plain=0.25, acts_steered=1.0, lead_plain=0.0,
    lead_steered=0.3, lead_sure=0.27, spread=1.0,
)  # fmt: skip
SAYS = [
    ({}, "will obey", "Its maps tell words apart (they share 40%)"),
    ({"seen_plain": 0.25, "seen_steered": 1.0}, "will obey", "and the judge agrees (100%)"),
    ({"texture": 0.05}, "will not obey", "Its pictures are noise"),
    ({"alike": 0.85, "lead_sure": 0.15}, "will not obey", "words are nearly the same (they share 85%)"),
    ({"alike": 0.85, "acts_steered": 0.5}, "will not obey", "The maps of two different words are nearly the same"),
    ({"acts_steered": 0.375, "lead_sure": 0.02}, "will not obey", "the moves deceive the classifier"),
    ({"acts_steered": 0.6, "acts_plain": 0.5, "lead_sure": 0.15}, "will not obey", "the moves deceive the classifier"),
    ({"acts_steered": 0.6, "lead_sure": 0.15}, "may obey", "it helps, and less than it should"),
    ({"kept": 0.5}, "may obey", "they slip back"),
    ({"alike": 0.95}, "may obey", "more than in any model that was seen to obey"),
    ({"seen_plain": 0.25, "seen_steered": 0.25}, "may obey", "but the judge sees it in only 25%"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "answer", "why"), SAYS, ids=range(len(SAYS)))
def test_verdicts(changes, answer, why):
    said = verdict(replace(GOOD, **changes))
    assert said.answer == answer and why in said.why
    assert said.why.endswith(".") and "\n" not in said.why and said.advice.endswith(".")


SEEN = replace(GOOD, seen_plain=0.25, seen_steered=0.875, present_plain=0.75, present_steered=1.0)
SEES = [
    ({}, "will obey", "the relation in 88% of the steered pictures (plain 25%) and both objects in 100% (plain 75%); "),
    ({}, "will obey", "the probability goes from 0.30 to 0.99."),
    ({"seen_plain": 0.75, "seen_steered": 0.75}, "will obey", "The judge sees"),
    ({"acts_steered": 0.0, "alike": 0.9, "kept": 0.0}, "will obey", "The judge sees"),
    ({"texture": 0.05}, "will not obey", "Its pictures are noise"),
    ({"present_plain": 0.25, "present_steered": 0.25}, "may obey", "too few pictures to tell"),
    ({"present_plain": 1.0, "present_steered": 0.75}, "may obey", "Steering loses objects"),
    ({"seen_steered": 0.5}, "may obey", "It helps, and less than it should"),
    ({"seen_steered": 0.25}, "will not obey", "The classifier is pleased and the pictures are not"),
    ({"seen_steered": 0.75, "seen_plain": 0.875}, "will not obey", "The classifier is pleased and the pictures are not"),
    ({"seen_steered": 0.25, "after": 0.4}, "will not obey", "Neither the reading nor the pictures follow"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "answer", "why"), SEES, ids=range(len(SEES)))
def test_verdicts_of_a_judge(changes, answer, why):
    said = verdict_of_judge(replace(SEEN, **changes))
    assert said.answer == answer and why in said.why
    assert said.why.endswith(".") and "\n" not in said.why and said.advice.endswith(".")


UNLIKE = "Its attention does not read like that of a model that places objects (by bounds that were set on EmojiWorld)"
LIKE = "Its attention reads like that of a model that places objects (by bounds that were set on EmojiWorld)"
BESIDE = [
    ({}, "will obey", None, None),
    # half of the pictures come right although the maps are nearly the same: both is said
    ({"alike": 0.8, "acts_steered": 0.125, "acts_plain": 0.25, "seen_steered": 0.5}, "may obey",
     f"{UNLIKE}: two words share 80% of it, and act where they were asked to in 12% of the steered pictures (plain 25%).",
     "merged or patched"),
    ({"alike": 0.8, "lead_sure": 0.0}, "will obey", f"{UNLIKE}: two words share 80%", "merged or patched"),
    ({"acts_steered": 0.6, "lead_sure": 0.15, "acts_plain": 0.5}, "will obey", f"{UNLIKE}: two words share 40%", "merged"),
    ({"alike": 0.95}, "will obey", f"{UNLIKE}: two words share 95%", "merged or patched"),
    ({"alike": 0.8, "lead_sure": 0.0, "seen_steered": 0.25}, "will not obey", f"{UNLIKE}: two words share 80%", None),
    ({"seen_steered": 0.25}, "will not obey", f"{LIKE}: two words share 40% of it, and act where", "perhaps the judge"),
    # neither of them: it helps, or it slips back
    ({"acts_steered": 0.6, "acts_plain": 0.25, "lead_sure": 0.15, "seen_steered": 0.25}, "will not obey", None, None),
    ({"kept": 0.5, "seen_steered": 0.25}, "will not obey", None, None),
    ({"texture": 0.05, "alike": 0.9}, "will not obey", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "answer", "why", "use"), BESIDE, ids=range(len(BESIDE)))
def test_what_the_attention_says_stands_beside_what_the_judge_says(changes, answer, why, use):
    said = verdict_of_judge(replace(SEEN, **{"acts_plain": 0.25, **changes}))
    assert said.answer == answer and said.why.endswith(".") and said.advice.endswith(".")
    assert ("Its attention" in said.why) == (why is not None) and (why or "") in said.why
    assert any(word in said.advice for word in ("merged", "perhaps")) == (use is not None)
    assert (use or "") in said.advice and "  " not in said.why + said.advice


def test_a_changed_spread_asks_for_less_strength():
    assert verdict(replace(GOOD, spread=1.4)).advice.startswith("Use strength 0.5")
    assert verdict(replace(GOOD, spread=0.7)).advice.startswith("Use strength 0.5")
    assert verdict(GOOD).advice == "Use the settings below as they are."


def test_another_noun_stands_in_its_place():
    prompt = "a red car to the left of a cat"
    triplet = relation_of(prompt)
    nouns = ["Car", "cat", "chair"]
    assert with_other_noun(prompt, triplet, 0, nouns) == "a red chair to the left of a cat"
    assert with_other_noun(prompt, triplet, 1, nouns) == "a red car to the left of a chair"
    assert with_other_noun(prompt, triplet, 0, nouns[:2]) == "a red cat to the left of a cat"
    for text in ("a dog and a cat", "a dog next to a cat", "a dog above a cat below a fox"):
        with pytest.raises(ValueError, match="Expected a prompt that states one relation with a direction"):
            relation_of(text)
