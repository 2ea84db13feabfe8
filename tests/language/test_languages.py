"""Prompts in other languages: labelled sentences, what tells a language, and what is said of one that is not read.

The sentences of tests/fixtures/languages were written and labelled before the lexicons were.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from learn_to_steer.language import parse_relations, read_prompt, triplets_as_json

from .made import expected, read

SENTENCES = Path(__file__).parents[1] / "fixtures" / "languages"
CODES = {
    "german": "de", "spanish": "es", "portuguese": "pt", "french": "fr", "italian": "it", "chinese": "zh",
    "english_with_foreign_words": "en",
}  # fmt: skip


def cases() -> list[tuple[str, str, str]]:
    found = []
    for name, code in CODES.items():
        for line in (SENTENCES / f"{name}.txt").read_text("utf-8").splitlines():
            prompt, _, labels = line.partition(" =>")
            found.append((code, prompt, labels.strip()))
    return found


def test_as_many_sentences_as_promised():
    counted = [code for code, _, _ in cases()]
    assert {code: counted.count(code) for code in CODES.values()} == {
        "de": 40, "es": 40, "pt": 40, "fr": 40, "it": 40, "zh": 40, "en": 60,
    }  # fmt: skip


@pytest.mark.parametrize(("code", "prompt", "labels"), cases())
def test_sentence(code: str, prompt: str, labels: str):
    understood = read_prompt(prompt)
    assert sorted(read(prompt)) == sorted(expected(labels))
    assert (understood.language, understood.note) == (code, "")


@pytest.mark.parametrize(("code", "prompt", "labels"), cases())
def test_spans_point_into_the_prompt(code: str, prompt: str, labels: str):
    for t in parse_relations(prompt):
        for text, span, noun in (
            (t.subject, t.subject_span, t.subject_noun),
            (t.object, t.object_span, t.object_noun),
        ):
            assert prompt[slice(*span)] == text
            assert span[0] <= noun[0] < noun[1] <= span[1]


# Written after the lexicons: other words and other forms.
MORE = {
    "Auf dem Tisch stehen eine Kerze und ein Weinglas.": "Kerze|above|Tisch; Weinglas|above|Tisch",
    "ein Teller, links davon eine Gabel, rechts davon ein Messer": "Gabel|left|Teller; Messer|right|Teller",
    "Zwei Vögel sitzen auf einem Ast": "Zwei Vögel|above|Ast",
    "Im Vordergrund steht ein Hund, hinter ihm ein Baum": "Baum|behind|Hund",
    "Ein alter Mann mit einem Hut steht rechts neben seiner Frau.": "alter Mann|right|Frau",
    "hund links von katze": "hund|left|katze",
    "ein Mann auf der Straße": "",
    "Der Hund ist nicht links von der Katze.": "",
    "ein (Hund:1.2) links von einer [Katze]": "Hund|left|Katze",
    "un plato con un tenedor a la izquierda y un cuchillo a la derecha":
        "tenedor|left|plato; cuchillo|right|plato",
    "Sobre la mesa hay una vela y una copa de vino.": "vela|above|mesa; copa de vino|above|mesa",
    "el perro no está a la izquierda del gato": "",
    "un libro sobre física": "",
    "un hombre en la calle": "",
    "um copo de água ao lado de um prato": "copo de água|next|prato",
    "uma casa com uma árvore atrás": "árvore|behind|casa",
    "o cachorro não está à esquerda do gato": "",
    "le chien n'est pas à gauche du chat": "",
    "un verre d'eau à côté d'une assiette": "verre d'eau|next|assiette",
    "un homme dans la rue": "",
    "un garçon derrière la porte": "garçon|behind|porte",
    "deux oiseaux sur une branche": "deux oiseaux|above|branche",
    "il gatto nella scatola": "gatto|inside|scatola",
    "il cane non è a sinistra del gatto": "",
    "un bicchiere d'acqua accanto a un piatto": "bicchiere d'acqua|next|piatto",
    "一个戴红帽子的女孩坐在喷泉前面的长椅上": "戴红帽子的女孩|above|长椅; 长椅|front|喷泉",
    "桌子上有一支蜡烛和一杯酒": "蜡烛|above|桌子; 酒|above|桌子",
    "狗不在猫的左边": "",
    "桌子上没有杯子": "",
    "一座房子，后面有一棵树": "树|behind|房子",
    "在桌子的左边，有一把椅子": "椅子|left|桌子",
    "画面左边是一个男孩，画面右边是一个女孩": "男孩|left|女孩",
    "一只猫坐在沙发上，沙发旁边有一盏灯": "猫|above|沙发; 灯|next|沙发",
    "一个男人在街上": "",
}  # fmt: skip


@pytest.mark.parametrize(("prompt", "labels"), MORE.items())
def test_more_forms(prompt: str, labels: str):
    assert sorted(read(prompt)) == sorted(expected(labels))


@pytest.mark.parametrize(
    ("prompt", "noun"),
    [
        ("ein großer roter Würfel links von einer Katze", "Würfel"),
        ("un grand cube vert à gauche d'un chat", "cube"),
        ("una taza roja a la izquierda de un gato", "taza"),
        ("um guarda-chuva azul à esquerda de um gato", "guarda-chuva"),
        ("due piccole sfere blu a sinistra di un gatto", "sfere"),
        ("一个绿色的立方体在猫的左边", "立方体"),
    ],
)
def test_noun_is_the_phrase_without_its_adjectives(prompt: str, noun: str):
    (triplet,) = parse_relations(prompt)
    assert prompt[slice(*triplet.subject_noun)] == noun


@pytest.mark.parametrize(
    ("prompt", "language"),
    [
        ("Pies siedzi obok kota na stole", "Polish"),
        ("een hond links van een kat", "Dutch"),
        ("En hund sitter bredvid en katt", "Swedish"),
        ("bir köpek kedinin solunda", "Turkish"),
        ("猫の左に犬がいる", "Japanese"),
        ("고양이 왼쪽에 개가 있다", "Korean"),
        ("собака слева от кошки", "Cyrillic"),
        ("كلب على يسار قطة", "Arabic"),
        ("σκύλος αριστερά από γάτα", "Greek"),
    ],
)
def test_a_language_that_is_not_read_is_named(prompt: str, language: str):
    understood = read_prompt(prompt)
    assert (understood.relations, understood.doubtful, understood.language) == ((), (), "")
    assert language in understood.note and "not read" in understood.note
    assert understood.note.count(".") == 1 and understood.note.endswith(".")
    record = triplets_as_json(prompt)
    assert (record["triplets"], record["language"], record["note"]) == ([], "", understood.note)


@pytest.mark.parametrize("prompt", ["Hund", "der", "un", "chat sous table", "la", "van", "", "12", "🐶"])
def test_one_word_tells_no_language(prompt: str):
    assert (read_prompt(prompt).language, read_prompt(prompt).note) == ("en", "")


def test_the_language_is_named_in_json():
    record = triplets_as_json("ein Esel links von einer Ziege")
    assert record["language"] == "de"
    assert record["triplets"] == [["Esel", "to the left of", "Ziege"]]
    assert "language" not in triplets_as_json("a dog above a cat")
