"""The prompt parser on the published prompt files and on a table of sentences."""

import json
import re
import time
from pathlib import Path

import pytest

from learn_to_steer.language import parse_relations, strip_weighting, triplets_as_json

from .made import expected, read

PROMPTS = Path(__file__).parents[1] / "fixtures" / "prompts"


def geneval_cases() -> list[dict]:
    return [json.loads(line) for line in (PROMPTS / "geneval_position.jsonl").read_text().splitlines()]


def test_geneval_position_prompts_are_read_exactly():
    names = {"left of": "to the left of", "right of": "to the right of", "above": "above", "below": "below"}
    cases = geneval_cases()
    assert len(cases) == 100
    for case in cases:
        reference, subject = case["include"]
        relation, index = subject["position"]
        assert index == 0
        assert read(case["prompt"]) == [(subject["class"], names[relation], reference["class"])], case[
            "prompt"
        ]


def test_geneval_nouns_are_whole():
    # GenEval names objects by bare nouns, so the noun is the phrase, "hot dog" and "potted plant" included.
    for case in geneval_cases():
        (triplet,) = parse_relations(case["prompt"])
        assert triplet.subject_noun == triplet.subject_span, case["prompt"]
        assert triplet.object_noun == triplet.object_span, case["prompt"]


def test_t2i_compbench_spatial_prompts_are_read_exactly():
    forms = {
        "on the top of": "above", "on the bottom of": "below", "on the left of": "to the left of",
        "on the right of": "to the right of", "on side of": "next to", "next to": "next to",
        "near": "next to",
    }  # fmt: skip
    template = re.compile(rf"a (\w+) ({'|'.join(forms)}) a (\w+)")
    lines = (PROMPTS / "t2i_compbench_spatial_train.txt").read_text().splitlines()
    assert len(lines) == 700
    for line in lines:
        match = template.fullmatch(line.strip())
        assert match, f"the file has a form this test does not know: {line}"
        assert read(line) == [(match[1], forms[match[2]], match[3])], line


CASES = {
    # other benchmarks' forms
    "a photo of a cat to the left of a dog": "cat|left|dog",
    "A train on top of a surfboard.": "train|above|surfboard",
    "A wine glass on top of a dog.": "wine glass|above|dog",
    "An orange to the left of a bowl": "orange|left|bowl",
    "a cat above a dog and under a bird": "cat|above|dog;cat|below|bird",
    "a dog is left to a cat": "dog|left|cat",
    "a suitcase to the right of a carrot": "suitcase|right|carrot",
    "there is a mug in some grass": "",
    "the person is in front of the horse": "person|front|horse",
    "A horse riding an astronaut": "",
    "The blue bowl was on top of the white placemat.": "blue bowl|above|white placemat",
    "The green cup was on the left of the blue bowl.": "green cup|left|blue bowl",
    "A small blue cube on top of a large red cube": "small blue cube|above|large red cube",
    "A green apple and a red car, the apple is on the left of the car": "apple|left|car",
    # chains
    "a frog above a sneaker below a teapot": "frog|above|sneaker;sneaker|below|teapot",
    "a cat which is to the left of a dog that is above a mat": "cat|left|dog;dog|above|mat",
    "a cat left of a dog right of a bird above a fish below a hat":
        "cat|left|dog;dog|right|bird;bird|above|fish;fish|below|hat",
    "a cat to the left of a dog, which is above a mat": "cat|left|dog;dog|above|mat",
    # conjunctions
    "a dog to the left of a cat and a bird above a tree": "dog|left|cat;bird|above|tree",
    "a dog to the left of a cat and a bird sitting above a tree": "dog|left|cat;bird|above|tree",
    "a dog and a cat to the left of a car": "dog|left|car;cat|left|car",
    "a dog, a cat and a bird to the left of a car": "dog|left|car;cat|left|car;bird|left|car",
    "a dog to the left of a cat and a mouse": "dog|left|cat;dog|left|mouse",
    "a dog to the left of a cat, a mouse, and a bird": "dog|left|cat;dog|left|mouse;dog|left|bird",
    "a cat to the left of a dog and above a mat": "cat|left|dog;cat|above|mat",
    "a cat to the left of a dog, above a mat": "cat|left|dog;cat|above|mat",
    "a cat that is left of a dog and that is above a mat": "cat|left|dog;cat|above|mat",
    "a dog to the left of a cat, a bird above a tree": "dog|left|cat;bird|above|tree",
    "a dog to the left of a cat; a bird above a tree": "dog|left|cat;bird|above|tree",
    "a dog to the left of a cat while a bird is above a tree": "dog|left|cat;bird|above|tree",
    "a dog to the left of a cat with a bird above a tree": "dog|left|cat;bird|above|tree",
    "a dog above a cat\na bird below a tree": "dog|above|cat;bird|below|tree",
    "a dog to the\nleft of a cat": "dog|left|cat",
    "There is a dog. The dog is to the left of the cat. It's above the mat.": "dog|left|cat;dog|above|mat",
    "a dog is to the left of a cat, and it is above a mat": "dog|left|cat;dog|above|mat",
    # copula and passive
    "the dog is to the left of the cat": "dog|left|cat",
    "The dog was placed on top of the car": "dog|above|car",
    "a cat is sitting next to a dog": "cat|next|dog",
    "a lamp located underneath a table": "lamp|below|table",
    "a cat sleeping under a table": "cat|below|table",
    "The large red ball is to the left of the small blue cube.": "large red ball|left|small blue cube",
    "the dog is brown and to the left of the cat": "dog|left|cat",
    "the dog stands by the tree": "dog|next|tree",
    "The dog, which is brown, is to the left of the cat.": "dog|left|cat",
    "The cat that sits on the red sofa is to the left of the dog": "cat|above|red sofa;cat|left|dog",
    "a bird flies over the house while a cat sleeps under the car": "bird|above|house;cat|below|car",
    # noun phrases
    "a large red fire hydrant to the left of a teddy bear": "large red fire hydrant|left|teddy bear",
    "a black and white cat to the left of a red, round ball": "black and white cat|left|red, round ball",
    "dog left of cat": "dog|left|cat",
    "two dogs above three cats": "two dogs|above|three cats",
    "a dark-haired man to the left of an ice-cream truck": "dark-haired man|left|ice-cream truck",
    "a cup of coffee next to a pair of scissors": "cup of coffee|next|pair of scissors",
    "a flying bird above a painting": "flying bird|above|painting",
    "my dog to the left of the neighbour's cat": "dog|left|neighbour's cat",
    "a cat with a hat to the left of a dog": "cat|left|dog",
    "a cat with a hat and a scarf to the left of a dog": "cat|left|dog",
    "a man wearing a red coat to the left of a woman holding an umbrella": "man|left|woman",
    "a man riding a horse to the left of a dog": "man|left|dog",
    "a man in a hat to the left of a dog": "man|left|dog",
    "a dog wearing a hat on its head to the left of a cat": "dog|left|cat;hat|above|head",
    "A DOG TO THE LEFT OF A Cat": "DOG|left|Cat",
    # openings and style words
    "an image showing a dog to the left of a cat": "dog|left|cat",
    "a picture of a dog above a cat": "dog|above|cat",
    "A close-up photo of a dog above a cat": "dog|above|cat",
    "a painting of a dog above a cat": "dog|above|cat",
    "a painting above a sofa": "painting|above|sofa",
    "I see a dog below a cat": "dog|below|cat",
    "there is a dog below a cat": "dog|below|cat",
    "a kitchen with a fridge to the left of a stove": "fridge|left|stove",
    "a dog left of a cat, 4k, highly detailed, oil painting": "dog|left|cat",
    "a dog left of a cat, oil painting and watercolor": "dog|left|cat",
    "a dog left of a cat 4k": "dog|left|cat",
    "a dog left of an orange, 8k": "dog|left|orange",
    "a dog left of a cat in the style of Van Gogh": "dog|left|cat",
    "a dog left of a cat by Greg Rutkowski": "dog|left|cat",
    "a dog to the left of a cat on a white background": "dog|left|cat",
    "a dog to the left of a cat in a park at sunset": "dog|left|cat",
    # phrases for relations
    "a dog on the left side of a cat": "dog|left|cat",
    "a dog to the left-hand side of a cat": "dog|left|cat",
    "a dog at the right of a cat": "dog|right|cat",
    "a dog far to the right of a cat": "dog|right|cat",
    "a dog right next to a cat": "dog|next|cat",
    "a dog directly above a cat": "dog|above|cat",
    "a lamp atop a table": "lamp|above|table",
    "a plane over a bridge": "plane|above|bridge",
    "a rocket over the moon": "rocket|above|moon",
    "a cup on a table": "cup|above|table",
    "a dog beneath a cat": "dog|below|cat",
    "a dog by the side of a cat": "dog|next|cat",
    "a dog adjacent to a cat": "dog|next|cat",
    "a dog close to a cat": "dog|next|cat",
    "a dog and a cat next to each other": "dog|next|cat",
    "a dog and a cat side by side": "dog|next|cat",
    "a cat inside a box": "cat|inside|box",
    "a cat in a box": "cat|inside|box",
    "a cat in a hurry": "",
    "a cat hidden behind a dog": "cat|behind|dog",
    "a cat between a dog and a bird": "cat|between|dog;cat|between|bird",
    "a cat between a dog and a bird and a fish above a hat":
        "cat|between|dog;cat|between|bird;fish|above|hat",
    # diagonals
    "a dog above-left of a cat": "dog|AL|cat",
    "a dog to the upper left of a cat": "dog|AL|cat",
    "a dog to the top right of a cat": "dog|AR|cat",
    "a dog bottom-left of a cat": "dog|BL|cat",
    "a dog in the lower right of a cat": "dog|BR|cat",
    "a dog above and to the left of a cat": "dog|AL|cat",
    "a dog diagonally below and to the right of a cat": "dog|BR|cat",
    "a dog to the left of and above a cat": "dog|AL|cat",
    "a dog to the left and above a cat": "dog|AL|cat",
    "a dog behind and to the left of a cat": "dog|behind|cat;dog|left|cat",
    # the object first
    "to the left of the dog is a cat": "cat|left|dog",
    "On the left of a car, a dog": "dog|left|car",
    "Above the table hangs a lamp": "lamp|above|table",
    "Behind the house there is a tree": "tree|behind|house",
    "to the left of a dog is a cat, and to the right of the dog is a bird": "cat|left|dog;bird|right|dog",
    "next to a house, oil painting": "",
    # pronouns
    "a cat with a dog to its left": "dog|left|cat",
    "a table with a cup on top of it": "cup|above|table",
    "a cake with a cherry on top": "cherry|above|cake",
    "a box with a cat in it": "cat|inside|box",
    "There is a cat. A dog is to the left of it.": "dog|left|cat",
    "to the left of it": "",
    "a dog left of him": "",
    # places in the picture
    "a dog on the left and a cat on the right": "dog|left|cat",
    "a cat on the right, a dog on the left": "cat|right|dog",
    "on the left is a dog, on the right is a cat": "dog|left|cat",
    "On the left is a dog. On the right there is a cat.": "dog|left|cat",
    "a dog at the top and a cat at the bottom": "dog|above|cat",
    "a dog on the left side of the image and a cat on the right side of the image": "dog|left|cat",
    "a dog on the left, a cat in the middle and a bird on the right": "dog|left|cat;cat|left|bird",
    "a dog in the top left corner and a cat in the bottom right corner": "dog|AL|cat",
    "a dog sitting on the left side of the picture, with a cat to its right": "cat|right|dog",
    "a dog on the left and a cat at the top": "",
    "a dog on the left": "",
    # negation
    "a banana without an apple to its left": "",
    "a dog that is not to the left of a cat": "",
    "the dog isn't above the cat": "",
    # nothing there
    **dict.fromkeys(
        ["", " ", "a red apple", "a dog and a cat", "left handed man", "a left-handed man and a dog",
         "a bright light",
         "the right thing", "an overview", "the top of a mountain", "all right", "a left-wing politician",
         "over the moon", "I am over the moon", "copyright", "a house on fire", "a man on the phone",
         "the above image", "a near miss", "the right of way", "the right to a fair trial",
         "the far right of the hall",
         "a cat under a blue sky", "a painting on the wall", "above", "left of", "to the left of the",
         "a man from the right side", "over 100", "a dog in the middle of a road", "right"],
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("prompt", "triplets"), CASES.items())
def test_sentence(prompt: str, triplets: str):
    assert read(prompt) == expected(triplets)


@pytest.mark.parametrize(
    ("prompt", "subject", "noun"),
    [
        ("a large red fire hydrant above a cat", "large red fire hydrant", "fire hydrant"),
        ("a teddy bear above a cat", "teddy bear", "teddy bear"),
        ("a brown teddy bear above a cat", "brown teddy bear", "teddy bear"),
        ("a cold hot dog above a cat", "cold hot dog", "hot dog"),
        ("a tall potted plant above a cat", "tall potted plant", "potted plant"),
        ("an orange above a cat", "orange", "orange"),
        ("an orange cat above a dog", "orange cat", "cat"),
        ("a black and white cat above a dog", "black and white cat", "cat"),
        ("a left-handed man above a dog", "left-handed man", "man"),
        ("a sleeping dog above a cat", "sleeping dog", "dog"),
        ("a cup of coffee above a cat", "cup of coffee", "cup"),
        ("a group of people above a cat", "group of people", "people"),
        ("the brightly colored bird above a cat", "brightly colored bird", "bird"),
        ("my neighbour's dog above a cat", "neighbour's dog", "dog"),
        ("three small wine glasses above a cat", "three small wine glasses", "wine glasses"),
    ],
)
def test_noun_is_the_phrase_without_its_adjectives(prompt: str, subject: str, noun: str):
    (triplet,) = parse_relations(prompt)
    assert triplet.subject == subject
    assert prompt[slice(*triplet.subject_span)] == subject
    assert prompt[slice(*triplet.subject_noun)] == noun


def test_two_mentions_of_one_noun_have_their_own_spans():
    (triplet,) = parse_relations("a dog to the left of a dog")
    assert (triplet.subject_span, triplet.object_span) == ((2, 5), (23, 26))


def test_weighting_is_read_over_and_spans_stay_in_the_original():
    prompt = "embedding:good, a ((large) fire hydrant:1.3) to the [left] of a <lora:x:0.8> dog \\(brown\\)"
    (triplet,) = parse_relations(prompt)
    assert (triplet.subject, str(triplet.relation), triplet.object) == (
        "large fire hydrant",
        "to the left of",
        "dog",
    )
    assert prompt[slice(*triplet.subject_span)] == "large) fire hydrant"
    assert prompt[slice(*triplet.subject_noun)] == "fire hydrant"
    assert prompt[slice(*triplet.object_span)] == "dog"


@pytest.mark.parametrize(
    ("prompt", "plain"),
    [
        ("(dog:1.3)", " dog     "),
        ("a ((b)) [c]", "a   b    c "),
        ("\\(x\\)", " (x )"),
        ("ratio 16:9", "ratio 16:9"),
        ("embedding:abc.pt, dog", "                , dog"),
        ("a <lora:x:1> b", "a            b"),
        ("a /* b\nc */ d", "a     \n     d"),
        ("a // b\nc", "a     \nc"),
        ("https://a.b/c", "https://a.b/c"),
        ("a /* b", "a /* b"),
    ],
)
def test_strip_weighting_blanks_the_syntax_and_keeps_the_length(prompt: str, plain: str):
    assert strip_weighting(prompt) == plain


@pytest.mark.parametrize(
    ("prompt", "triplets"),
    [
        ("a 🐶 to the left of a 🐱", [("🐶", "to the left of", "🐱")]),
        ("a café above a jalapeño", [("café", "above", "jalapeño")]),
        ("a ねこ above a いぬ。a dog below a cat", [("ねこ", "above", "いぬ"), ("dog", "below", "cat")]),
        ("the dog’s bowl “above” a cat", [("dog’s bowl", "above", "cat")]),
    ],
)
def test_other_scripts(prompt: str, triplets: list[tuple[str, str, str]]):
    assert read(prompt) == triplets


@pytest.mark.parametrize(
    "unit",
    ["a dog to the left of a cat and ", "a dog, ", "a dog and ", "above ", "(", "\\(", ":", ":1", "1", "- ",
     "a-",
     "a cat with a hat ", "on the left ", "and above a mat ", "<", "embedding:", "\n", " ", "to the left of ",
     "above a dog is ", "not ", "right ", "it above ", "red, ", "cup of ", "a flying ", "and, ", "red ",
     "of ", "is ", "the far ",
     "a dog with a cat above a dog and ", "/*", "//", '"a ', " 'a", "🐶 dog ", "left: ", "to the a b c d ",
     "from left to right: a cat, ", ", holding a cat", "to the left of which ", "und ", "der Hund links von ",
     "狗在猫的左边，", "狗在", "的左边", "在", "x.", "1.1.", "o'", "\u0301", "a photo of "],
)  # fmt: skip
def test_long_input_is_read_in_linear_time(unit: str):
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        start = time.process_time()
        parse_relations(text)
        return time.process_time() - start

    # A linear reader takes 8 times as long for 8 times the text, a quadratic one 64 times.
    short, long = (min(seconds(size) for _ in range(3)) for size in (4_000, 32_000))
    assert long < 16 * short + 0.02


def test_triplets_as_json():
    assert triplets_as_json("a dog under a cat") == {
        "prompt": "a dog under a cat",
        "triplets": [["dog", "below", "cat"]],
    }
