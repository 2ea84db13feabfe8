"""Each rule through `score`, line by line, against its source's formula written anew here: 1000 random pictures each.

Nothing of the package is used to work the expected values out; what they are made of is the JSON of the lines.
"""

import json
import random

import pytest

from learn_to_steer.evaluation.score import score_lines

WORDS = {
    "left of": "to the left of",
    "right of": "to the right of",
    "above": "above",
    "below": "below",
    "next to": "next to",
}


def verdicts(records, rule):
    lines = [json.dumps(record).encode() for record in records]
    return [judged.as_json() for judged in score_lines(lines, rule, "made.jsonl")]


def random_box(rng, size=512, smallest=0.0):
    x, y = rng.uniform(0, size), rng.uniform(0, size)
    return [x, y, x + rng.uniform(smallest, size / 2), y + rng.uniform(smallest, size / 2)]


def pictures(seed, count, relations, scores=(0.0, 1.0)):
    """Records: up to three dogs, up to three cats, and a horse that nobody asked for."""
    rng = random.Random(seed)
    for _ in range(count):
        relation = rng.choice(relations)
        names = ["dog"] * rng.randint(0, 3) + ["cat"] * rng.randint(0, 3) + ["horse"]
        rng.shuffle(names)
        yield (
            relation,
            {
                "prompt": f"a dog {relation} a cat",
                "detections": [
                    {"name": name, "box": random_box(rng), "score": round(rng.uniform(*scores), 3)}
                    for name in names
                ],
            },
        )


def of_name(record, name):
    return [d for d in record["detections"] if d["name"] == name]


def centre(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def expect(record, relation, present, holds, value, score):
    said = [{"relation": ["dog", WORDS[relation], "cat"], "holds": holds, "score": value}]
    return {"prompt": record["prompt"], "present": present, "relations": said, "score": score}


def geneval(record, relation):
    best = {}
    for name in ("dog", "cat"):
        sure = [d for d in of_name(record, name) if d["score"] > 0.3]
        if sure:
            best[name] = max(sure, key=lambda d: d["score"])["box"]
    if len(best) < 2:
        return False, False
    a, b = best["dog"], best["cat"]
    offsets = [p - q for p, q in zip(centre(a), centre(b), strict=True)]
    sizes = [a[2] - a[0] + b[2] - b[0], a[3] - a[1] + b[3] - b[1]]
    shrunk = []
    for o, s in zip(offsets, sizes, strict=True):
        rest = max(abs(o) - 0.1 * s, 0)
        shrunk.append(rest if o > 0 else -rest)
    if all(abs(r) < 1e-3 for r in shrunk):
        return True, False
    length = (offsets[0] ** 2 + offsets[1] ** 2) ** 0.5
    dx, dy = shrunk[0] / length, shrunk[1] / length
    told = {"left of": dx < -0.5, "right of": dx > 0.5, "above": dy < -0.5, "below": dy > 0.5}
    return True, told[relation]


def test_geneval():
    made = list(pictures(1, 1000, ["left of", "right of", "above", "below"]))
    expected = []
    for relation, record in made:
        present, holds = geneval(record, relation)
        expected.append(expect(record, relation, present, holds, float(holds), float(holds)))
    assert verdicts([record for _, record in made], "geneval") == expected
    assert 50 < sum(e["score"] for e in expected) < sum(e["present"] for e in expected) < 900


def test_genevals_counting():
    rng = random.Random(2)
    records, expected = [], []
    for _ in range(1000):
        asked = rng.randint(2, 4)
        scores = [rng.choice([0.85, 0.89, 0.9, 0.91, 0.97]) for _ in range(rng.randint(0, 8))]
        records.append(
            {
                "prompt": "a photo of dogs",
                "tag": "counting",
                "include": [{"class": "dog", "count": asked}],
                "exclude": [{"class": "dog", "count": asked + 1}],
                "detections": [{"name": "dog", "box": random_box(rng), "score": s} for s in scores],
            }
        )
        count = sum(s > 0.9 for s in scores)
        expected.append((count >= asked, float(count == asked)))
    found = [(said["present"], said["score"]) for said in verdicts(records, "geneval")]
    assert found == expected and 100 < sum(score for _, score in expected) < 500


def visor(record, relation):
    pairs = [
        (centre(a["box"]), centre(b["box"]))
        for a in of_name(record, "dog")
        for b in of_name(record, "cat")
        if a["score"] >= 0.1 and b["score"] >= 0.1
    ]
    told = {
        "left of": lambda p, q: p[0] < q[0],
        "right of": lambda p, q: p[0] > q[0],
        "above": lambda p, q: p[1] < q[1],
        "below": lambda p, q: p[1] > q[1],
    }[relation]
    return bool(pairs), any(told(p, q) for p, q in pairs)


def test_visor():
    made = list(pictures(3, 1000, ["left of", "right of", "above", "below"], scores=(0.0, 0.3)))
    expected = []
    for relation, record in made:
        present, holds = visor(record, relation)
        expected.append(expect(record, relation, present, holds, float(holds), float(holds)))
    assert verdicts([record for _, record in made], "visor") == expected
    assert 100 < sum(e["score"] for e in expected) < sum(e["present"] for e in expected) < 900


def t2i_compbench(record, relation):
    dogs, cats = of_name(record, "dog"), of_name(record, "cat")
    if not dogs or not cats:
        return False, 0.0, 0.0
    a, b = dogs[0]["box"], cats[0]["box"]  # the first, not the surest
    dx, dy = (q - p for p, q in zip(centre(a), centre(b), strict=True))
    if relation == "next to":
        near = abs(dx) < 150 or abs(dy) < 150
        position = 1.0 if near else 150 / max(abs(dx), abs(dy))
    else:
        along = {"left of": dx, "right of": -dx, "above": dy, "below": -dy}[relation]
        across = dy if relation in ("left of", "right of") else dx
        position = 0.0
        if along > 0 and along > abs(across):
            shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
            area = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - shared
            iou = shared / area
            position = 1.0 if iou < 0.1 else 0.1 / iou
    total = 0.25 * dogs[0]["score"] + 0.25 * cats[0]["score"] + 0.5 * position
    return True, position, total if total >= 0.5 else 0.0


def test_t2i_compbench():
    made = list(pictures(4, 1000, list(WORDS), scores=(0.3, 1.0)))
    said = verdicts([record for _, record in made], "t2i-compbench")
    soft = 0
    for (relation, record), verdict in zip(made, said, strict=True):
        present, position, score = t2i_compbench(record, relation)
        (found,) = verdict["relations"]
        assert (verdict["present"], found["holds"]) == (present, position == 1), record
        assert (found["score"], verdict["score"]) == pytest.approx((position, score)), record
        soft += 0 < position < 1
    assert soft > 20 and 100 < sum(v["score"] > 0 for v in said) < 900


def pse(a, b, relation):
    """Counted pixel by pixel."""
    pixels_a = [(x, y) for y, row in enumerate(a) for x, v in enumerate(row) if v]
    pixels_b = [(x, y) for y, row in enumerate(b) for x, v in enumerate(row) if v]
    told = {
        "left of": lambda p, q: p[0] < q[0],
        "right of": lambda p, q: p[0] > q[0],
        "above": lambda p, q: p[1] < q[1],
        "below": lambda p, q: p[1] > q[1],
    }[relation]
    hits = sum(told(p, q) for p in pixels_a for q in pixels_b)
    return hits / (len(pixels_a) * len(pixels_b))


def test_pse():
    rng = random.Random(5)
    records, expected = [], []
    for _ in range(1000):
        height, width = rng.randint(1, 6), rng.randint(2, 7)

        def mask(height=height, width=width):
            rows = [[int(rng.random() < 0.3) for _ in range(width)] for _ in range(height)]
            rows[rng.randrange(height)][rng.randrange(width)] = 1
            return rows

        relation = rng.choice(["left of", "right of", "above", "below"])
        found = [
            {"name": n, "mask": mask(), "score": s} for n, s in (("dog", 0.4), ("cat", 0.9), ("dog", 0.8))
        ]
        found = found[: rng.choice([1, 2, 3, 3])]
        records.append({"prompt": f"a dog {relation} a cat", "detections": found})
        value = (
            pse(found[-1 if len(found) == 3 else 0]["mask"], found[1]["mask"], relation)
            if len(found) > 1
            else 0
        )
        expected.append((len(found) > 1, value > 0.5, value, value))
    said = verdicts(records, "pse")
    for verdict, (present, holds, value, score) in zip(said, expected, strict=True):
        (found,) = verdict["relations"]
        assert (verdict["present"], found["holds"]) == (present, holds)
        assert (found["score"], verdict["score"]) == pytest.approx((value, score))
    assert 50 < sum(holds for _, holds, _, _ in expected) < 600
