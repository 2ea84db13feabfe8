"""Relations as the tests of this folder write them down."""

from learn_to_steer.language import parse_relations

# Short names for the expected values, so that a case fits on a line.
SHORT = {
    "left": "to the left of", "right": "to the right of", "above": "above", "below": "below",
    "next": "next to", "inside": "inside", "front": "in front of", "behind": "behind", "between": "between",
    "AL": "above-left of", "AR": "above-right of", "BL": "below-left of", "BR": "below-right of",
}  # fmt: skip


def read(prompt: str) -> list[tuple[str, str, str]]:
    return [(t.subject, str(t.relation), t.object) for t in parse_relations(prompt)]


def expected(text: str) -> list[tuple[str, str, str]]:
    """ "cat|left|dog; bird|above|old tree" """
    rows = [row.split("|") for row in text.split(";") if row]
    return [(s.strip(), SHORT[r.strip()], o.strip()) for s, r, o in rows]
