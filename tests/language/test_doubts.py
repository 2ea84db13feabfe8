"""Sentences that look like a relation and state none that could be drawn: nothing of them is steered."""

from __future__ import annotations

import pytest

from learn_to_steer.language import parse_relations, read_prompt, triplets_as_json

KINDS = {
    "tags and media": """
        trending on cgsociety, a castle; posted on reddit, a strange cat; photo taken on an iphone 12; old map on parchment
        a photo of a cat shot on 35mm film; ink on rice paper, a crane; cover art, featured on instagram
        soft focus on the flower; emphasis on texture; art based on a poem; a cop drama on netflix
        photo captured on fuji velvia; a render on a white backdrop; a fox, acrylic on canvas
    """,
    "prints": """
        a t-shirt with a skull on it; a bag with a logo on it; a cake with a name written on it; a flag with a star on it
        a man with a tattoo on his arm; a smile on her face; graffiti on a train; a sticker on a suitcase
        a tattoo of a snake on his left arm; shot on Kodak Portra 400
        a label on the bottle; a mural on the building; happy words on a poster; a pattern of leaves on the fabric
    """,
    "light and weather": """
        moonlight on the water; a beam of light on the altar; light shining on a statue; rain on the window
        the sun setting on a village; shadows on the floor; a spotlight on the dancer; dawn over the desert
        a storm over the sea; reflections on the wet street; a lamp shining on a statue; an ocean below the sky
    """,
    "measures": """
        a hotel under 100 euros; a bicycle under 20 kg; a village 2000 meters above sea level; a tower over 100 meters
        over 9000 soldiers; more than over 50 cats; children under nine playing chess; temperatures below freezing
        a score above average
    """,
    "states and manners": """
        a chef on a break; a city under lockdown; a dragon on the warpath; a woman under pressure; a man under arrest
        a project behind schedule; a team on a winning streak; a family on vacation; a house on the market
        a doctor on call; a girl under a spell; a boss under investigation; a plan under discussion
        a ball next to green
        a hotel near completion; a nation near collapse; a man beside himself with joy; a mother on the verge of tears
        a poem on loneliness; a lecture on biology; a tax on sugar; control over the weather; a man inside his mind
        a house under renovation; a note close to tears; a train on schedule; the meaning behind the painting
        an agent under cover; people on the left wing of politics; a girl on her phone; passengers on a plane
    """,
    "events and comparisons": """
        a duel between knights; a kiss between lovers; a debate between two senators; an argument between friends
        the contrast between light and shadow; the difference between cats and dogs; a mix between a cat and a dog
        a hybrid between horse and zebra; a meeting between two robots; a battle over a bridge; a fight over a toy
        friends laughing over beers; people talking over lunch; a victory over evil; love over gold
    """,
    "looking and the camera": """
        a man looking over the fence; a woman gazing over the valley; an aerial view over the harbour
        a girl glancing over her shoulder; seen from behind, a girl; a low shot from below of a tower
        an actor posing in front of the camera; top view of a table; a child pointing to the right
        a horse facing to the left of a barn
        an owl looking to the left and a mouse looking to the right; over the shoulder shot of a detective
    """,
    "one's own body": """
        a bear on its hind legs; a cat lying on its back; a man on his knees; a woman standing on her tiptoes
        hand on own knee; arms behind back; head on shoulder; hand over mouth; hat over eyes; hair over her eyes
        a hand over a mouth; a boy with hands on his hips; a baby sucking on its thumb
    """,
    "negations": """
        a cat not on a mat; a house with no tree in front of it; there is no cup on the table; a lion next to nothing
        a dog is never above a cat; a wolf next to no other wolves; a doll without a ball next to it
        two bricks one on top of the other
    """,
    "titles and quoted text": """
        a scene from Ghost in the Shell; a cover of Bridge Over Troubled Water; a poster of Knights Under the Moon
        a book titled "The House on the Hill"; graffiti reading 'love under the stars'
        a neon sign with the words "open on sundays"; "a long walk in town" above a lamp, neon letters, city lights
        a page that says: "a fox jumps over a dog"
    """,
    "settings and sides": """
        a car on the Golden Gate
        a sail on the horizon; a bench on the corner; a car on the left side of the street; a shop on the left bank
        a cabin on the edge of a lake; a picture on the wall; a castle on a hill; text above, image below
        a sunken ship at the bottom of the ocean; hair parted on the left; a shield raised to the right
        a street at night, a car to the right; a woman, the face to the left
        turn left, turn right; the left one is blue, the right one is green; swipe right; all that is left
        a nearby star; a right angle; a left shoe; the right to remain silent
    """,
}
NOTHING = [
    (kind, " ".join(prompt.split()))
    for kind, text in KINDS.items()
    for line in text.splitlines()
    for prompt in line.split(";")
    if prompt.strip()
]


@pytest.mark.parametrize(("kind", "prompt"), NOTHING, ids=[prompt for _, prompt in NOTHING])
def test_nothing_is_steered(kind: str, prompt: str):
    assert [(t.subject, str(t.relation), t.object) for t in parse_relations(prompt)] == [], kind


@pytest.mark.parametrize(
    ("prompt", "triplet", "reason"),
    [
        ("a duel between knights", ("duel", "between", "knights"), "happens"),
        ("a bear on its hind legs", ("bear", "above", "hind legs"), "part of the subject"),
        ("a man looking over the fence", ("man", "above", "fence"), "looks"),
        ("a t-shirt with a skull on it", ("skull", "above", "t-shirt"), "print"),
        ("a hotel under 100 euros", ("hotel", "below", "100 euros"), "measure"),
        ("moonlight on the water", ("moonlight", "above", "water"), "light"),
        ("a lamp on the wall", ("lamp", "above", "wall"), "setting"),
        ("a cover of Bridge Over Troubled Water", ("Bridge", "above", "Troubled Water"), "title"),
    ],
)
def test_what_is_doubted_is_named_with_its_reason(prompt: str, triplet: tuple[str, str, str], reason: str):
    understood = read_prompt(prompt)
    assert understood.relations == ()
    (doubted,) = understood.doubtful
    assert (doubted.subject, str(doubted.relation), doubted.object) == triplet
    assert reason in doubted.doubt
    assert prompt[slice(*doubted.subject_noun)] in triplet[0]
    assert triplets_as_json(prompt)["doubtful"] == [[*triplet, doubted.doubt]]


def test_what_is_denied_is_not_even_doubtful():
    for prompt in ("a lion next to no other lions", "there is no cup on the table", "a cat not above a dog"):
        assert read_prompt(prompt).doubtful == ()


def test_certain_and_doubtful_stand_side_by_side():
    record = triplets_as_json("a bear on its hind legs next to a tree")
    assert record["triplets"] == [["bear", "next to", "tree"]]
    assert [row[:3] for row in record["doubtful"]] == [["bear", "above", "hind legs"]]


def test_things_that_only_sound_like_a_manner_of_speaking():
    """The other side of each kind: these are places, and they are steered."""
    for prompt, triplet in {
        "a painting over a sofa": ("painting", "above", "sofa"),
        "a pencil in a cup": ("pencil", "inside", "cup"),
        "snow on top of a hut": ("snow", "above", "hut"),
        "a bird on his hand": ("bird", "above", "hand"),
        "a fly over a girl's shoulder": ("fly", "above", "girl's shoulder"),
        "a wall between two houses": ("wall", "between", "two houses"),
        "a plane below the clouds": ("plane", "below", "clouds"),
        "the moon behind a tower": ("moon", "behind", "tower"),
        "a lamp hanging over a desk": ("lamp", "above", "desk"),
        "a light to the left of a door": ("light", "to the left of", "door"),
        "doll on lap": ("doll", "above", "lap"),
    }.items():
        assert [(t.subject, str(t.relation), t.object) for t in parse_relations(prompt)] == [triplet], prompt


def test_sixteen_relations_and_no_more():
    names = [f"thing{i}" for i in range(40)]
    prompt = ". ".join(f"a {a} above a {b}" for a, b in zip(names[::2], names[1::2], strict=True))
    understood = read_prompt(prompt)
    assert [t.subject for t in understood.relations] == names[:32:2]
    assert understood.note == (
        "Only the first 16 relations are used, left out: thing32 above thing33; thing34 above thing35; "
        "thing36 above thing37; thing38 above thing39."
    )
    assert triplets_as_json(prompt)["note"] == understood.note
    assert read_prompt(". ".join(["a dog above a cat"] * 3)).note == ""
