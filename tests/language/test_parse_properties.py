"""Properties of the prompt parser on generated sentences and on arbitrary text."""

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from learn_to_steer.language import Relation, parse_relations, read_prompt, strip_weighting

# The same examples on every run; no time limit for one example, a loaded machine is no failure.
thorough = settings(max_examples=300, deadline=None, derandomize=True)

NOUNS = ["dog", "cat", "fire hydrant", "teddy bear", "hot dog", "wine glass", "orange", "potted plant", "bus",
         "baseball bat", "painting", "butterfly", "bed", "toaster", "stop sign", "parking meter", "umbrella",
         "living room sofa", "axolotl", "dining table", "zweihander"]  # fmt: skip
ADJECTIVES = [
    "red",
    "large",
    "small",
    "wooden",
    "striped",
    "sleeping",
    "orange",
    "shiny",
    "dark-haired",
    "old",
]
RELATIONS = {
    "to the left of": Relation.LEFT, "left of": Relation.LEFT, "on the left side of": Relation.LEFT,
    "on the right of": Relation.RIGHT, "to the right-hand side of": Relation.RIGHT, "above": Relation.ABOVE,
    "on top of": Relation.ABOVE, "atop": Relation.ABOVE, "over": Relation.ABOVE,
    "directly below": Relation.BELOW,
    "underneath": Relation.BELOW, "next to": Relation.NEXT_TO, "right beside": Relation.NEXT_TO,
    "near": Relation.NEXT_TO, "inside": Relation.INSIDE, "in front of": Relation.IN_FRONT_OF,
    "behind": Relation.BEHIND, "above-left of": Relation.ABOVE_LEFT,
    "to the lower right of": Relation.BELOW_RIGHT,
    "below and to the left of": Relation.BELOW_LEFT,
}  # fmt: skip
VERBS = ["", "is ", "was placed ", "which is ", "that is sitting ", "standing "]
OPENINGS = ["", "a photo of ", "An image showing ", "there is ", "I see ", "a high-quality picture of "]
ENDINGS = ["", ".", ", 4k, highly detailed, oil painting", " in the style of Van Gogh", ", masterpiece"]


class Thing(NamedTuple):
    """A generated noun phrase: its article with a trailing space, the phrase without it, the noun."""

    article: str
    phrase: str
    noun: str

    def __str__(self) -> str:
        return self.article + self.phrase


def things() -> st.SearchStrategy[Thing]:
    def build(article: str, adjectives: list[str], noun: str) -> Thing:
        return Thing(article, " ".join([*adjectives, noun]), noun)

    adjectives = st.lists(st.sampled_from(ADJECTIVES), max_size=3)
    return st.builds(build, st.sampled_from(["a ", "an ", "the "]), adjectives, st.sampled_from(NOUNS))


phrases = st.sampled_from(sorted(RELATIONS))
verbs = st.sampled_from(VERBS)


def fields(prompt: str) -> list[tuple[str, Relation, str]]:
    return [(t.subject, t.relation, t.object) for t in parse_relations(prompt)]


@thorough
@given(st.sampled_from(OPENINGS), things(), verbs, phrases, things(), st.sampled_from(ENDINGS))
def test_one_relation(opening: str, subject: Thing, verb: str, phrase: str, other: Thing, ending: str):
    prompt = f"{opening}{subject} {verb}{phrase} {other}{ending}"
    (triplet,) = parse_relations(prompt)
    assert (triplet.subject, triplet.relation, triplet.object) == (
        subject.phrase,
        RELATIONS[phrase],
        other.phrase,
    )
    # The spans are those of the places where the two phrases were put.
    subject_at = len(opening) + len(subject.article)
    object_at = len(f"{opening}{subject} {verb}{phrase} {other.article}")
    assert triplet.subject_span == (subject_at, subject_at + len(subject.phrase))
    assert triplet.object_span == (object_at, object_at + len(other.phrase))
    assert prompt[slice(*triplet.subject_noun)] == subject.noun
    assert prompt[slice(*triplet.object_noun)] == other.noun


@thorough
@given(st.lists(st.tuples(things(), phrases), min_size=1, max_size=5), things())
def test_chain(links: list[tuple[Thing, str]], last: Thing):
    prompt = " ".join(f"{thing} {phrase}" for thing, phrase in links) + f" {last}"
    names = [thing.phrase for thing, _ in links] + [last.phrase]
    want = [(names[k], RELATIONS[phrase], names[k + 1]) for k, (_, phrase) in enumerate(links)]
    assert fields(prompt) == want


@thorough
@given(
    things(),
    phrases,
    things(),
    st.sampled_from([" and ", ", ", "; ", ". ", " while "]),
    things(),
    phrases,
    things(),
)
def test_two_clauses(a: Thing, first: str, b: Thing, joint: str, c: Thing, second: str, d: Thing):
    want = [(a.phrase, RELATIONS[first], b.phrase), (c.phrase, RELATIONS[second], d.phrase)]
    assert fields(f"{a} {first} {b}{joint}{c} {second} {d}") == want


@thorough
@given(things(), phrases, things(), phrases, things())
def test_and_with_a_relation_goes_back_to_the_subject(a: Thing, first: str, b: Thing, second: str, c: Thing):
    want = [(a.phrase, RELATIONS[first], b.phrase), (a.phrase, RELATIONS[second], c.phrase)]
    assert fields(f"{a} {first} {b} and {second} {c}") == want


@thorough
@given(things(), things(), phrases, things())
def test_coordinated_subjects_and_objects(a: Thing, b: Thing, phrase: str, c: Thing):
    relation = RELATIONS[phrase]
    assert fields(f"{a} and {b} {phrase} {c}") == [
        (a.phrase, relation, c.phrase),
        (b.phrase, relation, c.phrase),
    ]
    assert fields(f"{c} {phrase} {a} and {b}") == [
        (c.phrase, relation, a.phrase),
        (c.phrase, relation, b.phrase),
    ]


@thorough
@given(things(), phrases, things())
def test_object_first(subject: Thing, phrase: str, other: Thing):
    assert fields(f"{phrase} {other} is {subject}") == [(subject.phrase, RELATIONS[phrase], other.phrase)]


@thorough
@given(
    things(), verbs, phrases, things(), st.sampled_from(["({}:1.3)", "(({}))", "[{}]", "({}:.5)", "({}: 2 )"])
)
def test_weighting_changes_neither_what_is_read_nor_where(
    a: Thing, verb: str, phrase: str, b: Thing, weight: str
):
    plain = parse_relations(f"{a} {verb}{phrase} {b}")
    weighted_prompt = (
        f"{a.article}{weight.format(a.phrase)} {verb}{phrase} {b.article}{weight.format(b.phrase)}"
    )
    weighted = parse_relations(weighted_prompt)
    read = [(t.subject, t.relation, t.object) for t in weighted]
    assert (
        read
        == [(t.subject, t.relation, t.object) for t in plain]
        == [(a.phrase, RELATIONS[phrase], b.phrase)]
    )
    assert weighted_prompt[slice(*weighted[0].subject_span)] == a.phrase
    assert weighted_prompt[slice(*weighted[0].object_span)] == b.phrase
    assert parse_relations(strip_weighting(weighted_prompt)) == weighted


@thorough
@given(things(), verbs, phrases, things())
def test_upper_case_is_read_alike_and_kept(a: Thing, verb: str, phrase: str, b: Thing):
    prompt = f"{a} {verb}{phrase} {b}"
    assert fields(prompt.upper()) == [(a.phrase.upper(), RELATIONS[phrase], b.phrase.upper())]


# Text made of the parser's own words gets deeper into it than random characters do.
WORDS = [*RELATIONS, *NOUNS, *ADJECTIVES, "a", "the", "and", ",", ".", "is", "there is", "with",
         "which", "that", "it",
         "its", "to its left", "on the left", "on the right", "in the middle", "of", "between",
         "each other", "not",
         "wearing", "a photo of", "one", "two", "(", ")", ":1.2)", "\\(", "[", "-", "\n", "\n\n",
         "on top", "the image",
         "side by side", "on", "in", "under", "by", "standing", "right", "while",
         "🐶", "犬", "'s"]  # fmt: skip
any_text = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="()[]\\:.,-_<> \n\t0123456789adoglefnu", max_size=100),
    st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=25).map("".join),
)


@settings(thorough, max_examples=1000)
@given(any_text)
def test_arbitrary_text_never_raises_and_spans_are_consistent(prompt: str):
    triplets = parse_relations(prompt)
    text = strip_weighting(prompt)
    assert len(text) == len(prompt)
    for t in triplets:
        for phrase, (start, end), (noun_start, noun_end) in (
            (t.subject, t.subject_span, t.subject_noun),
            (t.object, t.object_span, t.object_noun),
        ):
            assert 0 <= start <= noun_start < noun_end <= end <= len(prompt)
            assert phrase == " ".join(text[start:end].split()) != ""
            assert phrase.lower() not in ("it", "its", "them", "him", "he", "she", "they", "each other")
        # Two mentions are two places: a thing has no relation to itself.
        (a, b), (c, d) = t.subject_span, t.object_span
        assert b <= c or d <= a
    assert len(set(triplets)) == len(triplets)
    starts = [tuple(sorted((t.subject_span[0], t.object_span[0]))) for t in triplets]
    assert starts == sorted(starts)


FOREIGN = ["ein", "der", "Hund", "links von", "auf", "der linken Seite", "dahinter", "vom", "und", ",", ".", "un", "une",
           "à", "d'un", "l'", "gauche de", "au-dessus", "il y a", "el", "del", "encima", "a la izquierda", "do",
           "à esquerda",
           "dell'", "c'è", "sopra", "è", "no", "ne", "pas", "che", "con", "狗", "在", "的", "左边", "上", "有", "一只",
           "和", "，", "。", "不在", "里", "照片", "🐶", "(", ":1.2)", "\n", "zwei", "foto",
           "de", "猫の", "над"]  # fmt: skip


@settings(thorough, max_examples=600)
@given(st.lists(st.sampled_from(FOREIGN), max_size=30), st.sampled_from(["", " "]))
def test_other_languages_never_raise_and_spans_are_consistent(pieces: list[str], joint: str):
    prompt = joint.join(pieces)
    text = strip_weighting(prompt)
    understood = read_prompt(prompt)
    for t in understood.relations + understood.doubtful:
        for phrase, (start, end), (noun_start, noun_end) in (
            (t.subject, t.subject_span, t.subject_noun),
            (t.object, t.object_span, t.object_noun),
        ):
            assert 0 <= start <= noun_start < noun_end <= end <= len(prompt)
            assert phrase == " ".join(text[start:end].split()) != ""
        (a, b), (c, d) = t.subject_span, t.object_span
        assert b <= c or d <= a
    assert all(t.doubt == "" for t in understood.relations)
    assert all(t.doubt for t in understood.doubtful)
