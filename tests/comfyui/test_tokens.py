"""Words among the tokens of every tokenizer that the host ships, in prompts as people write them.

What a token says is asked of the host's own tokenizer (`decode`), not of the code under test.
"""

from __future__ import annotations

import base64
import io
import json
import re
from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from conftest import PACK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

# module, class, encoders of the context, and whether weights and embeddings are taken out of the text
SHIPPED = {
    "sd1": ("sd1_clip", "SD1Tokenizer", ("l",), True),
    "sd2": ("text_encoders.sd2_clip", "SD2Tokenizer", ("h",), True),
    "sdxl": ("sdxl_clip", "SDXLTokenizer", ("l",), True),
    "sd3": ("text_encoders.sd3_clip", "SD3Tokenizer", ("l", "t5xxl"), True),
    "flux": ("text_encoders.flux", "FluxTokenizer", ("t5xxl",), True),
    "klein": ("text_encoders.flux", "KleinTokenizer", ("qwen3_4b",), False),
    "qwen": ("text_encoders.qwen_image", "QwenImageTokenizer", ("qwen25_7b",), False),
    "zimage": ("text_encoders.z_image", "ZImageTokenizer", ("qwen3_4b",), False),
    "omnigen2": ("text_encoders.omnigen2", "Omnigen2Tokenizer", ("qwen25_3b",), True),
    "aura": ("text_encoders.aura_t5", "AuraT5Tokenizer", ("pile_t5xl",), True),
    "mistral": ("text_encoders.flux", "Flux2Tokenizer", ("mistral3_24b",), False),
    "gemma": ("text_encoders.lumina2", "LuminaTokenizer", ("gemma2_2b",), True),
}
CORPUS = "a dog above a cat, the fire hydrant is left of a red teddy bear. " * 30


def _tekken() -> torch.Tensor:
    """A vocabulary in Mistral's layout: all bytes and a few words. The real one is in Flux.2's checkpoint."""
    words = [bytes([b]) for b in range(256)]
    words += [
        b"do",
        b"dog",
        b" d",
        b" do",
        b" dog",
        b"ca",
        b"cat",
        b" c",
        b" ca",
        b" cat",
        b"(d",
        b"(do",
        b"(dog",
    ]
    special = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"]
    special += [f"<SPECIAL_{i}>" for i in range(len(special), 20)]
    data = {
        "config": {"default_num_special_tokens": 20, "default_vocab_size": 20 + len(words)},
        "vocab": [{"rank": i, "token_bytes": base64.b64encode(w).decode()} for i, w in enumerate(words)],
        "special_tokens": [{"rank": i, "token_str": s} for i, s in enumerate(special)],
    }
    return torch.frombuffer(bytearray(json.dumps(data).encode()), dtype=torch.uint8)


def _sentencepiece() -> bytes:
    """A small vocabulary as Gemma's is: bytes for what it lacks. The real one is in Lumina's checkpoint."""
    trainer = pytest.importorskip("sentencepiece").SentencePieceTrainer
    model = io.BytesIO()
    trainer.train(
        sentence_iterator=iter(CORPUS.split(". ")), model_writer=model, vocab_size=330, byte_fallback=True, pad_id=0,
        unk_id=3, bos_id=2, eos_id=1, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    return model.getvalue()


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory):
    """A folder with an embedding "pet" of three vectors, of a size for each encoder."""
    folder = tmp_path_factory.mktemp("embeddings")
    sizes = {"clip_l": 768, "clip_g": 1280, "clip_h": 1024, "t5xxl": 4096}
    save_file({key: torch.zeros(3, size) for key, size in sizes.items()}, folder / "pet.safetensors")
    return str(folder)


@pytest.fixture(scope="module")
def clips(pack, embeddings):
    made = {}

    def clip_of(name):
        if name not in made:
            module, kind, *_ = SHIPPED[name]
            data = {"tekken_model": _tekken()} if name == "mistral" else {}
            if name == "gemma":
                data = {"spiece_model": _sentencepiece()}
            try:
                tokenizers = getattr(import_module(f"comfy.{module}"), kind)(
                    embedding_directory=embeddings, tokenizer_data=data
                )
            except (ImportError, AttributeError, OSError, TypeError) as error:
                pytest.skip(f"this host has no {kind}: {error}")
            made[name] = SimpleNamespace(tokenize=tokenizers.tokenize_with_weights, tokenizer=tokenizers)
        return made[name]

    return clip_of


def _module(name):
    return import_module(f"{PACK}.learn_to_steer.{name}")


def _bare(text):
    """Letters and digits only, small: what every tokenizer keeps."""
    return "".join(c for c in text.lower() if c.isalnum())


def _squeezed(text):
    return "".join(text.lower().split())


def _check(clip, name, text, span, earlier):
    """The tokens of `text[span]` say its words and nothing else that is a word; as many mentions come before as should."""
    words = _module("hosts.comfyui.prompt.words")
    plain = _module("language").strip_weighting(text)
    plain = plain if plain[slice(*span)].strip() else text  # words of a comment are tokens all the same
    given_tokens = clip.tokenize(text)
    parts = words.context_parts(clip, text)
    assert [part.encoder for part in parts] == list(SHIPPED[name][2])
    begin = 0
    for part in parts:
        assert part.begin == begin and part.offsets is not None
        tokenizer = getattr(clip.tokenizer, part.encoder, None) or getattr(
            clip.tokenizer, f"clip_{part.encoder}"
        )
        ids = [token[0] for chunk in given_tokens[part.encoder] for token in chunk][-len(part.ids) :]
        inside = [at - begin for at in words.word_positions(clip, part, plain, span)]

        def said(positions, tokenizer=tokenizer, ids=ids):
            decode = (
                getattr(tokenizer.tokenizer, "decode", None) or tokenizer.tokenizer.tokenizer.decode
            )  # 0.3.64
            return decode([ids[i] for i in positions if isinstance(ids[i], int)])

        wanted = _bare(plain[slice(*span)])
        assert _bare(said(inside)) == wanted, (part.encoder, said(inside), text)
        for at in inside:  # nothing but the words: letters, a part of a character, or a sign of theirs
            piece = said([at]).strip()
            assert not piece or _bare(piece) or "\ufffd" in piece or piece in text[slice(*span)]
        before = said([i for i in range(inside[0]) if part.ids[i] >= 0])
        assert _squeezed(before).count(_squeezed(plain[slice(*span)])) == earlier
        begin += len(part.ids)


NOUNS = ["dog", "cat", "fire hydrant", "teddy bear", "猫", "café", "AT&T"]
# {} is the noun
PLAIN = [
    "\"{}\"", "\u201c{}\u201d", "'{}'", "[{}]", "{}'s", "the {}\u2019s", "puppy/{}", "{}/", "🐶{}",
    "{} 🐶", "👩\u200d🚀 {}", "{}.", "{}, ", "BREAK {}", "/* note */ {}", "// {}", "__animal__ {}",
    "{{red|blue}} {}", "<lora:x:0.5> {}", "<pet> {}", "红色的{}", "#{}", "*{}*", "\ufb01ne {}", "\n{}",
    "  {}", "a_{}", "the-{}", "1.2 {}", "{} 3:4", "e\u0301toile {}", "ΣΑΣ {}", "½ {}", "…{}", "{}™",
    "{}",
]  # fmt: skip
WEIGHTED = [
    "({})", "({}:1.2)", "(({}))", "((red:0.8) {}:1.2)", "(a {}:1.05) 1.05", "\\({}\\)", "(\\({}\\):1.1)",
    "({}:x)", "({}", "(:1.2) {}", "(red, (blue:1.1), {}:0.5)",
]  # fmt: skip
EMBEDDED = [
    "embedding:pet {}", "embedding:pet, {}", "embedding:nothing, {}", "(embedding:pet:1.2) {}",
    "embedding:pet embedding:pet {}", "{} embedding:pet.safetensors",
]  # fmt: skip
FORMS = PLAIN + WEIGHTED + EMBEDDED


def _composed(parts):
    """A prompt of (noun, form) and the span and number of the earlier mentions of each noun."""
    text, mentions = "", []
    for noun, form in parts:
        text += " above " if text else ""
        before, after = form.format("\0").split("\0")
        start = len(text) + len(before)
        text += before + noun + after
        mentions.append((noun, (start, start + len(noun))))
    return text, mentions


@pytest.mark.parametrize("name", SHIPPED)
def test_each_form_on_each_tokenizer(clips, name):
    clip = clips(name)
    for form in FORMS:
        # at the beginning, in the middle and at the end
        text, mentions = _composed([("dog", form), ("cat", form), ("dog", form)])
        for (_, span), earlier in zip(mentions, (0, 0, 1), strict=True):
            _check(clip, name, text, span, earlier)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("begin", ["\n{}", "\n\n{}", " \n {}", "\t{}"])
@pytest.mark.parametrize("form", ["embedding:pet {}", "{} embedding:pet", "{}\n", "{}"])
def test_white_space_in_front(clips, name, begin, form):
    clip = clips(name)
    text, mentions = _composed([("dog", begin), ("cat", form), ("fire hydrant", "{}")])
    for _, span in mentions:
        _check(clip, name, text, span, 0)


@pytest.mark.parametrize("name", SHIPPED)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.tuples(st.sampled_from(NOUNS), st.sampled_from(FORMS)), min_size=1, max_size=4))
def test_located_pieces_are_the_words(clips, name, parts):
    clip = clips(name)
    if name not in ("aura", "gemma", "mistral", "klein", "qwen", "zimage", "omnigen2", "sd1", "sd2", "sdxl"):
        parts = [
            (noun.replace("猫", "dog"), form) for noun, form in parts
        ]  # T5 lacks it: told by test_unknown_words
    text, mentions = _composed(parts)
    for at, (noun, span) in enumerate(mentions):
        earlier = sum(_bare(noun) == _bare(other) for other, _ in mentions[:at])
        _check(clip, name, text, span, earlier)


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_unknown_words_are_found_by_their_neighbours(clips, name):
    clip, text = clips(name), "🐶 above a 猫, left of 犬 cat"
    words = _module("hosts.comfyui.prompt.words")
    (part,) = [p for p in words.context_parts(clip, text) if p.encoder == "t5xxl"]
    pieces = [clip.tokenizer.t5xxl.inv_vocab[t[0]] for t in clip.tokenize(text)["t5xxl"][0]]
    unknown = [at for at, piece in enumerate(pieces) if piece == "<unk>"]
    assert len(unknown) == 3
    for at, noun in zip(unknown, "🐶猫犬", strict=True):
        start = text.index(noun)
        found = [i - part.begin for i in words.word_positions(clip, part, text, (start, start + 1))]
        assert found[-1] == at and all(pieces[i] in ("▁", "<unk>") for i in found)


@pytest.mark.parametrize("name", ["sd1", "sd2", "sdxl"])
def test_the_second_chunk_begins_at_77(clips, name):
    clip, words = clips(name), _module("hosts.comfyui.prompt.words")
    text = "(very:1.1) " * 74 + "big dog above embedding:pet a cat"
    (part,) = words.context_parts(clip, text)
    plain = _module("language").strip_weighting(text)
    places = [words.word_positions(clip, part, plain, re.search(n, plain).span()) for n in ("dog", "cat")]
    # 74 times "very" and two tokens around them leave one place of 77. The host keeps "big dog above" together: they follow
    # the begin token of the second chunk, at 77. Then three vectors and "a".
    assert len(part.ids) == 154 and places == [[79], [85]]


BRACKETS = st.text(st.sampled_from("ab ():.12\\"), max_size=14)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=BRACKETS)
def test_weights_are_taken_out_as_the_host_does(pack, text):
    from comfy import sd1_clip

    syntax = _module("hosts.comfyui.prompt.syntax")
    theirs = [
        sd1_clip.unescape_important(t)
        for t, _ in sd1_clip.token_weights(sd1_clip.escape_important(text), 1.0)
    ]
    ours = ["".join(c for c, _, _ in segment) for segment in syntax.without_weights(syntax.unescaped(text))]
    assert [t for t in ours if t] == [t for t in theirs if t]
    for segment in syntax.without_weights(syntax.unescaped(text)):
        assert all(
            text[start:end].removeprefix("\\" if end - start == 2 else "") == c for c, start, end in segment
        )


def test_an_embedding_can_be_an_object(clips):
    words, clip, text = _module("hosts.comfyui.prompt.words"), clips("sd1"), "a embedding:pet above a dog"
    (part,) = words.context_parts(clip, text)
    assert words.word_positions(clip, part, text, (2, 15)) == [2, 3, 4]
    assert words.word_positions(clip, part, text, (24, 27)) == [7]


def test_an_embedding_by_hand(clips):
    prompt = _module("hosts.comfyui.prompt.relations")
    relations = prompt.read_prompt(
        clips("sd1"), "(embedding:pet:1.2) above a dog", "embedding:pet | above | dog"
    )
    assert not relations.left_out and [at for _, at in relations.positions] == [(1, 2, 3), (6,)]


def test_padding_in_front_is_not_the_prompts(clips):
    """As newer hosts fill Mistral's tokens up to 512: more of it in front of an empty prompt than of this one."""
    clip, words, text = clips("mistral"), _module("hosts.comfyui.prompt.words"), "a dog above a cat"
    filling = SimpleNamespace(
        tokenize=lambda text: clip.tokenizer.tokenize_with_weights(text, min_length=400),
        tokenizer=clip.tokenizer,
    )
    (bare,), (filled,) = words.context_parts(clip, text), words.context_parts(filling, text)
    assert len(filled.ids) == 400 > len(bare.ids) and filled.ids[-len(bare.ids) :] == bare.ids
    first = words.word_positions(clip, bare, text, (2, 5))
    assert words.word_positions(filling, filled, text, (2, 5)) == [at + 400 - len(bare.ids) for at in first]


@pytest.mark.parametrize(
    "text", ["(" * 3000 + "dog" + ")" * 3000, "(a dog:1.1) " * 300, "\\(" * 3000 + "dog", "((dog)" * 900]
)
def test_deep_and_long_prompts_are_read(clips, text):
    words, clip = _module("hosts.comfyui.prompt.words"), clips("zimage")
    (part,) = words.context_parts(clip, text)
    plain, start = _module("language").strip_weighting(text), text.rindex("dog")
    assert words.word_positions(clip, part, plain, (start, start + 3))


def test_relations_that_cannot_be_located_are_left_out_and_named(clips):
    prompt = _module("hosts.comfyui.prompt.relations")
    relations = prompt.read_prompt(
        clips("sd1"), "a dog above a cat", "dog | above | cat\ndog above cat\ncat | below | zebra"
    )
    assert [f"{t.subject} {t.relation} {t.object}" for t in relations.triplets] == ["dog above cat"]
    assert [words for words, _ in relations.left_out] == ["dog above cat", "cat | below | zebra"]
    assert all(reason.startswith("Expected") and "\n" not in reason for _, reason in relations.left_out)


def test_unknown_tokens_leave_every_relation_out(pack):
    prompt = _module("hosts.comfyui.prompt.relations")
    odd = SimpleNamespace(tokenize=lambda text: [1, 2])
    relations = prompt.read_prompt(odd, "a dog above a cat")
    assert not relations.triplets and relations.length == 0
    assert relations.left_out[0][0] == "dog above cat" and "text encoder" in relations.left_out[0][1]


def test_tokens_of_another_text_leave_only_their_relation_out(clips):
    """A tokenizer that rewrites a word: that relation is named, the other is steered."""
    prompt, clip = _module("hosts.comfyui.prompt.relations"), clips("sd1")
    rewriting = SimpleNamespace(
        tokenize=lambda text: clip.tokenize(text.replace("a dog", "a zebra")), tokenizer=clip.tokenizer
    )
    relations = prompt.read_prompt(rewriting, "a dog above a cat, a car above a bird")
    assert [f"{t.subject} {t.relation} {t.object}" for t in relations.triplets] == ["car above bird"]
    ((words, reason),) = relations.left_out
    assert words == "dog above cat" and '"dog"' in reason


def test_sixteen_relations_at_most(clips):
    prompt = _module("hosts.comfyui.prompt.relations")
    nouns = [f"{c}{n}" for c in ("dog", "cat", "car") for n in range(1, 9)]
    text = "a " + ", a ".join(nouns)
    lines = "\n".join(f"{a} | above | {b}" for a, b in zip(nouns, nouns[1:], strict=False))
    relations = prompt.read_prompt(clips("sd1"), text, lines)
    assert [f"{t.subject} {t.relation} {t.object}" for t in relations.triplets] == [
        f"{a} above {b}" for a, b in zip(nouns[:16], nouns[1:17], strict=True)
    ]
    assert relations.left_out == ()
    assert relations.note.startswith("Only the first 16 relations are used, left out: car1 above car2; ")
    assert relations.note.endswith("; and 2 more.") and "\n" not in relations.note
