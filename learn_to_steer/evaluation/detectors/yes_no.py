"""A vision-language model asked yes or no about a picture, one question for everything the prompt asks.

The answer is a probability: of "yes" against "no" as the first word of the reply (as VQAScore, Lin et al. 2024, does).
Nothing is generated and nothing is parsed.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image

from ...errors import SteeringError
from ..detections import Asked, Demand, RelationVerdict, Verdict
from .loading import Loaded
from .owlv2 import with_article

EVEN = 0.5
"""An answer of at least this probability is yes."""

YES = ("Yes", "yes", "YES", " Yes", " yes")
NO = ("No", "no", "NO", " No", " no")
ANSWER = " Answer with yes or no."


class YesNo:
    """Answers questions about a picture. Raises SteeringError for a model without a chat template or words of its own for
    yes and no."""

    def __init__(self, loaded: Loaded, source: str) -> None:
        self.loaded = loaded
        tokenizer = getattr(loaded.processor, "tokenizer", None)
        if tokenizer is None or not getattr(loaded.processor, "chat_template", None):
            raise SteeringError(
                f"Expected a model that chats about pictures at {source}, found a processor without a chat template; "
                "choose an instruction-tuned vision-language model."
            )
        self.yes, self.no = (_first_tokens(tokenizer, words) for words in (YES, NO))
        if not self.yes - self.no or not self.no - self.yes:
            raise SteeringError(
                f"Expected a tokenizer that tells yes from no by the first token at {source}, but it does not; "
                "choose another model."
            )

    @torch.no_grad()
    def probability(self, picture: np.ndarray, question: str) -> float:
        """Of the answer yes, 0 to 1. picture (height, width, 3) uint8."""
        content = [
            {"type": "image", "image": Image.fromarray(picture)},
            {"type": "text", "text": question + ANSWER},
        ]
        inputs = self.loaded.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(self.loaded.device, self.loaded.model.dtype)
        next_word = self.loaded.model(**inputs).logits[0, -1].float().softmax(dim=0)
        yes, no = (
            float(next_word[sorted(words)].sum()) for words in (self.yes - self.no, self.no - self.yes)
        )
        return yes / (yes + no) if yes + no > 0 else 0.0

    def verdict(self, picture: np.ndarray, demand: Demand) -> Verdict:
        """Present: every object is there, by its answer. A relation holds where both of its objects are there and the
        answer to it is yes; its score is the answer's probability. Counts and colours are asked for as well.

        The score of the picture is 1 where every answer is yes, else 0; None where nothing was asked.
        """
        there = {
            thing: self.probability(picture, f"Is there {with_article(thing.phrase)} in this picture?")
            for thing in demand.things
        }
        relations = []
        for asked in demand.relations:
            p = self.probability(picture, question_of(asked))
            seen = there[asked.subject] >= EVEN and there[asked.object] >= EVEN
            relations.append(RelationVerdict(asked, seen and p >= EVEN, p))
        counted = [
            self.probability(picture, f"Does this picture show exactly {count} of this: {thing.phrase}?")
            for thing, count in demand.counts
            if count > 1 or demand.counting
        ]
        coloured = [
            self.probability(picture, f"Is the {thing.phrase} in this picture {colour}?")
            for thing, colour, _ in demand.colours
        ]
        answers = [*there.values(), *(r.score for r in relations), *counted, *coloured]
        present = all(p >= EVEN for p in there.values())
        right = float(all(p >= EVEN for p in answers))
        return Verdict(present, tuple(relations), right if answers else None)


def question_of(asked: Asked) -> str:
    """ "Is the dog to the left of the teddy bear in this picture?" """
    subject, relation, other = asked.words
    return f"Is the {subject} {relation} the {other} in this picture?"


def _first_tokens(tokenizer: object, words: Iterable[str]) -> set[int]:
    encoded = (tokenizer(word, add_special_tokens=False)["input_ids"] for word in words)  # type: ignore[operator]
    return {ids[0] for ids in encoded if ids}
