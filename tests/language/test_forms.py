"""Forms in which people state relations, with what is to be understood, worked out by hand."""

from __future__ import annotations

import pytest

from .made import expected, read

FORMS = {
    # hidden by
    "a raccoon hidden by a trash can": "raccoon|behind|trash can",
    "a truck partially obscured by a fence": "truck|behind|fence",
    "a child concealed by a curtain": "child|behind|curtain",
    "a planet occluded by a moon": "planet|behind|moon",
    "a lizard blocked from view by a stone": "lizard|behind|stone",
    # rows
    "from left to right: a knight, a wizard, a thief": "knight|left|wizard;wizard|left|thief",
    "left to right, a bus, a truck and a tram": "bus|left|truck;truck|left|tram",
    "a lion, a tiger and a bear from left to right": "lion|left|tiger;tiger|left|bear",
    "arranged from top to bottom: an apple, a pear, a plum": "apple|above|pear;pear|above|plum",
    "from right to left there are a dog, a cat and a mouse": "dog|right|cat;cat|right|mouse",
    # labels
    "lamp (left), vase (right)": "lamp|left|vase",
    "apple (top), banana (bottom)": "apple|above|banana",
    "lamp \\(left\\), vase \\(right\\)": "lamp|left|vase",
    "left: a king, right: a queen": "king|left|queen",
    "on the left: a warrior; on the right: a mage": "warrior|left|mage",
    "left half: a forest, right half: a volcano": "forest|left|volcano",
    "the left panel shows a robot, the right panel shows a human": "robot|left|human",
    "the right side is a tower, the left side is a lake": "tower|right|lake",
    "a spoon left, a bowl right": "spoon|left|bowl",
    "fox | below | owl": "fox|below|owl",
    # a side without "of"
    "a cottage with a tree to the right": "tree|right|cottage",
    "a table with a lamp to the left": "lamp|left|table",
    "a dish with a spoon on the left side and a napkin on the right side": "spoon|left|dish;napkin|right|dish",
    "a castle with a dragon in front": "dragon|front|castle",
    "a church with a graveyard behind": "graveyard|behind|church",
    "a shelf with a plant on top": "plant|above|shelf",
    "a desk with a monitor on top and a bin underneath": "monitor|above|desk;bin|below|desk",
    "a nest with three eggs inside": "three eggs|inside|nest",
    "To the left of the barn is a well and to the right is a cart": "well|left|barn;cart|right|barn",
    "a room with a sofa on the left and a lamp on the right": "sofa|left|lamp",
    # possessives
    "a lamp to the sofa's right": "lamp|right|sofa",
    "a cup on the laptop's right side": "cup|right|laptop",
    "to the queen's left stands a knight": "knight|left|queen",
    "a paw print on the cat's left ear": "",
    # corrected negations
    "a cat not on the table but under it": "cat|below|table",
    "the ball is not left of the box but right of it": "ball|right|box",
    "the apple is not above but below the pear": "apple|below|pear",
    # who stands there
    "a boy with a red cap stands behind a girl with a blue dress": "boy|behind|girl",
    "a chef wearing an apron and a tall white hat next to a stove": "chef|next|stove",
    "a robot with green eyes and silver arms standing to the right of an old computer":
        "robot|right|old computer",
    "a sphere with red stripes and white dots, floating above a table": "sphere|above|table",
    "a queen with a sceptre on her throne": "queen|above|throne",
    "a pirate with a parrot on his shoulder": "parrot|above|shoulder",
    "a bus with a ladder on the roof": "ladder|above|roof",
    "a wall with a clock above a mirror": "clock|above|mirror",
    "a girl, long hair, sitting on a bench": "girl|above|bench",
    "a robot whose head is a lamp stands left of a tree": "robot|left|tree",
    "a horse, looking tired, stands behind a gate": "horse|behind|gate",
    "a bakery page with a fox and a hen on a roof": "fox|above|roof;hen|above|roof",
    "a dog next to a bush with green leaves and white blossoms": "dog|next|bush",
    "a scooter sits on a sidewalk in front of a cinema": "scooter|front|cinema",
    "a chef stirs a pot next to a window": "chef|next|window",
    "a red square above a green oval and blue circle": "red square|above|green oval;red square|above|blue circle",
    "a station with a clock hanging above the platform": "clock|above|platform",
    "A green vase filled with red roses sitting on top of a table.": "green vase|above|table",
    "The vase, filled with roses, is on the table": "vase|above|table",
    "a sign that reads \"open\" stands left of a door": "sign|left|door",
    "a wizard with a staff in his right hand and a raven on his left shoulder": "raven|above|left shoulder",
    "Two dogs, one black and one white, sitting on a couch": "Two dogs|above|couch",
    "a car, not a truck, in front of a house": "car|front|house",
    "a glove gently overshadows a pair of pliers lying next to it": "pair of pliers|next|glove",
    "a shirt that has a drawing of a ship on it": "",
    "a statue wearing a jacket over a t-shirt": "",
    "a parrot on the shoulder of a pirate standing on a deck": "parrot|above|shoulder;pirate|above|deck",
    "A poster on the wall shows a rocket above a planet.": "rocket|above|planet",
    "a still life with a skull on a book": "skull|above|book",
    "a kettle half hidden behind a pan": "kettle|behind|pan",
    "a kettle placed right above a shelf": "kettle|above|shelf",
    "a kettle can be seen towards the left of a pan": "kettle|left|pan",
    # pronouns
    "A woman sits on a chair. Behind her is a bookshelf. A cat sleeps beside her.":
        "woman|above|chair;bookshelf|behind|woman;cat|next|woman",
    "A knight stands in a field. To his left is a horse, to his right is a squire.":
        "horse|left|knight;squire|right|knight",
    "There is a table. On top of it is a vase. Under it sleeps a dog.": "vase|above|table;dog|below|table",
    "a pug wearing goggles on the shore, behind it a kite": "kite|behind|pug",
    "1girl, sitting on a swing, doll on lap, lantern behind her":
        "1girl|above|swing;lantern|behind|1girl;doll|above|lap",
    "There's a tower behind him": "",
    "a bay with fishing boats next to it": "fishing boats|next|bay",
    "a black dog is on the left of a white cat and a brown horse is behind them":
        "black dog|left|white cat;brown horse|behind|black dog;brown horse|behind|white cat",
    "an elephant, to the left of which is a mouse": "mouse|left|elephant",
    "On the shelf there's a radio; beside it, a stack of papers": "radio|above|shelf;stack of papers|next|radio",
    "In front of the inn there is a cart, and behind it is a well": "cart|front|inn;well|behind|inn",
    "a tree next to a river with a bridge over it": "tree|next|river;bridge|above|river",
    "A kitchen has an iron stove with a copper hood above it.": "copper hood|above|iron stove",
    "A desk with a radio, a lamp and a pen on it, and a stool in front of it.":
        "radio|above|desk;lamp|above|desk;pen|above|desk;stool|front|desk",
    "a fish bowl with a snail crawling inside": "snail|inside|fish bowl",
    "a knife to the left of the plate and a spoon to the right": "knife|left|plate;spoon|right|plate",
    "to the left of the piano, a violin; to the right, a cello": "violin|left|piano;cello|right|piano",
    "a cup on the left side of the desk and a lamp on the right side of it": "cup|left|desk;lamp|right|desk",
    "a photo of a lion and a photo of a tiger to its right": "tiger|right|lion",
    "a robot sitting on a crate, a small bird on its shoulder": "robot|above|crate;small bird|above|shoulder",
    "To the right of the sofa stands a lamp, and a side table is placed to its left.":
        "lamp|right|sofa;side table|left|sofa",
    "The fern is to the right of the clock and the book is to the left of it.": "fern|right|clock;book|left|clock",
    "a kettle sits on the table, with a pan to the left of it and a pot to the right of it":
        "kettle|above|table;pan|left|kettle;pot|right|kettle",
    "behind the inn, there is a yard, and behind the yard, a field": "yard|behind|inn;field|behind|yard",
    "two boys sit on a bench, with a basket on the bench and a tree behind them":
        "two boys|above|bench;tree|behind|two boys;basket|above|bench",
    # the scene and its places
    "a bed on the left side of the room, a desk on the right side of the room": "bed|left|desk",
    "In the center is a table, on the left a chair, on the right a sofa.": "table|right|chair;chair|left|sofa",
    "a cat in the bottom left corner of the image, a dog in the top right corner of the image": "cat|BL|dog",
    "split screen: left side a city, right side a jungle": "city|left|jungle",
    "a dog on the far left and a cat on the far right": "dog|left|cat",
    # the camera, and what comes out from behind
    "a fox peering out from under a bed": "fox|below|bed",
    "a moon rising from behind a hill": "moon|behind|hill",
    "a village seen from above": "",
    "a samurai on the left facing a ninja on the right": "samurai|left|ninja",
    "the left half of the image is a desert, the right half of the image is an ocean": "desert|left|ocean",
    "kettle: left, pan: right": "kettle|left|pan",
    "kettle above, pan below": "kettle|above|pan",
    "a robot on the right, a girl with an umbrella on the left": "robot|right|girl",
    "upper left: a sun, lower right: a house": "sun|AL|house",
    "a plum, to the left a jar": "jar|left|plum",
    "a fox wearing a scarf on a sled, a palm tree to the left": "fox|above|sled;palm tree|left|fox",
    "a fox, a tree to the left, a rock to the right": "tree|left|fox;rock|right|fox",
    "a tray below a clock, beside the tray a glass": "tray|below|clock;glass|next|tray",
    "a table and a sofa, beside the table a chair": "chair|next|table",
    "a clown between a lion and a tiger with a hoop above them":
        "clown|between|lion;clown|between|tiger;hoop|above|lion;hoop|above|tiger",
    "two cats on a sofa with a lamp above them": "two cats|above|sofa;lamp|above|two cats",
    "a fox next to an owl with a lamp above them": "fox|next|owl;lamp|above|fox;lamp|above|owl",
    "a fox next to two owls with a lamp above them": "fox|next|two owls;lamp|above|two owls",
    # whose place it is
    "a bear on a mission to the left of a tree": "bear|left|tree",
    "a picture on the wall to the left of the door": "picture|left|door",
    "a man holding an umbrella over a dog": "umbrella|above|dog",
    "a man holding a basket next to a dog": "man|next|dog",
    "a lamp to the right of a framed photo on a shelf": "lamp|right|framed photo",
    "long exposure of cars below a bridge": "cars|below|bridge",
    "a cat on a velvet armchair": "cat|above|velvet armchair",
    "a vase on a window sill": "vase|above|window sill",
    "the stage lights above a crowd": "stage lights|above|crowd",
    # joined relations
    "a phone below and to the left of a laptop": "phone|BL|laptop",
    "a pug to the left of, and a little above, a hat": "pug|AL|hat",
    "put the mug left from the jug": "mug|left|jug",
    # markup
    "a 🐶 dog to the left of a 🐱 cat": "dog|left|cat",
    "a dog 🐶 to the left of a cat 🐱!": "dog|left|cat",
    "a horse above a fish BREAK a bird below a tree": "horse|above|fish;bird|below|tree",
    "a horse on the left BREAK a bird on the right": "horse|left|bird",
    "a dog /* a cat above a hat */ to the left of a fox // below a bird": "dog|left|fox",
    "see https://example.org/a then a dog above a fox": "dog|above|fox",
    'the "dog" to the left of a "cat"': "dog|left|cat",
    "an AT&T logo above a car": "AT&T logo|above|car",
    "salt & pepper above a pan": "salt|above|pan;pepper|above|pan",
    '"a dog to the left of a cat"': "dog|left|cat",
    'a poster that says "birds over the city" next to a lamp': "poster|next|lamp",
    'a sign reading "keep left" above a door': "sign|above|door",
}  # fmt: skip


@pytest.mark.parametrize(("prompt", "triplets"), FORMS.items())
def test_form(prompt: str, triplets: str):
    assert read(prompt) == expected(triplets)
