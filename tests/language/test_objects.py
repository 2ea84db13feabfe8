"""Which things a prompt certainly names."""

import pytest

from learn_to_steer.language import read_prompt, understandings


def named(prompt):
    """Nouns in the prompt's own words; "+" behind those of which there are several."""
    return [prompt[slice(*one.noun)] + "+" * one.several for one in read_prompt(prompt).objects]


@pytest.mark.parametrize(
    "prompt, nouns",
    [
        ("a cat and a dog", ["cat", "dog"]),
        ("A photo of a cat and a dog", ["cat", "dog"]),
        ("a painting of a wolf and a sheep, oil on canvas", ["wolf", "sheep"]),
        ("There is a cat. There is a dog.", ["cat", "dog"]),
        ("a teddy bear, a frog and an umbrella", ["teddy bear", "frog", "umbrella"]),
        ("a red car, a blue bird and two foxes, masterpiece, 4k", ["car", "bird", "foxes+"]),
        ("a beach with a crab and a shell", ["crab", "shell"]),
        ("a cup of coffee and a book", ["cup", "book"]),
        ("A cat sits and a dog sleeps. The cat is black.", ["cat+", "dog"]),
        ("a bear and a bear", ["bear+"]),
        ("one sheep and a wolf", ["sheep", "wolf"]),
        ("a (cat:1.3) and a [dog]", ["cat", "dog"]),
    ],
)
def test_things_that_are_named_for_themselves(prompt, nouns):
    assert named(prompt) == nouns


@pytest.mark.parametrize(
    "prompt, nouns",
    [
        ("a cat with a hat and a dog", ["cat"]),  # the hat lies on the cat; is the dog its, too?
        ("a man in a suit", ["man"]),
        ("a girl holding a balloon", ["girl"]),
        ("freedom and a cat", ["cat"]),
        ("a sense of wonder and a cat", ["cat"]),
        ("a cat and no dog", ["cat"]),
        ("cat, dog, best quality", []),
        ('a sign that says "a cat"', ["sign"]),
        ("a sunset and a cat", ["cat"]),
        ("the dance of a wolf and a sheep", []),
        ("a view of the sky", []),
        ("the background and a cat", ["cat"]),
        ("", []),
        ("eine Katze und ein Hund", []),
    ],
)
def test_what_is_no_thing_of_its_own_is_left_out(prompt, nouns):
    assert named(prompt) == nouns


def test_things_of_relations_are_named_in_every_language():
    assert named("a dog above a fox to the left of a car, and a tree") == ["dog", "fox", "car", "tree"]
    assert named("ein Hund links von einer Katze") == ["Hund", "Katze"]


def test_words_are_without_articles_and_with_adjectives():
    (cat, dogs) = read_prompt("a very old cat and three dogs").objects
    assert (cat.text, dogs.text) == ("very old cat", "three dogs")


def test_relations_by_hand_come_with_the_rest_of_the_things():
    """What is given overlaps "red car", which is not named a second time; several of it stay several."""
    (one,) = understandings(["a red car, two dogs and a tree"], [[("red car", "left of", "dogs")]])
    assert [(o.text, o.several) for o in one.objects] == [("red car", False), ("dogs", True), ("tree", False)]


def test_a_long_list_is_read_in_no_time():
    assert len(read_prompt("a cat and " * 2000 + "a dog").objects) == 2
