"""German."""

from ..relations import Relation
from .lexicon import Lexicon, table, words

_SIDES = {Relation.LEFT: ("links", "linken"), Relation.RIGHT: ("rechts", "rechten")}
_CORNERS = {
    Relation.ABOVE_LEFT: ("links", "oberhalb", "über", "oben"),
    Relation.ABOVE_RIGHT: ("rechts", "oberhalb", "über", "oben"),
    Relation.BELOW_LEFT: ("links", "unterhalb", "unter", "unten"),
    Relation.BELOW_RIGHT: ("rechts", "unterhalb", "unter", "unten"),
}  # fmt: skip


def _relations() -> dict[Relation, tuple[str, ...]]:
    found: dict[Relation, tuple[str, ...]] = {
        Relation.ABOVE: table("über | oberhalb | oberhalb von | auf | oben auf | obendrauf auf"),
        Relation.BELOW: table("unter | unterhalb | unterhalb von"),
        Relation.NEXT_TO: table(
"""
        neben | nahe | nahe bei | in der nähe von | seitlich von | unweit von | dicht neben | direkt
        neben
        """
),
        Relation.INSIDE: table("in | innerhalb | innerhalb von | im inneren von"),
        Relation.IN_FRONT_OF: table("vor"),
        Relation.BEHIND: table("hinter | verdeckt von | versteckt hinter"),
        Relation.BETWEEN: table("zwischen"),
    }  # fmt: skip
    for relation, (side, adjective) in _SIDES.items():
        found[relation] = table(
            f"{side} von | {side} neben | zur {adjective} von | zur {adjective} | zur {adjective} seite von | "
            f"auf der {adjective} seite von | an der {adjective} seite von | auf {adjective} seite von"
        )
    for relation, (side, *rows) in _CORNERS.items():
        found[relation] = tuple(
            phrase
            for row in rows
            for phrase in (f"{side} {row}", f"{side} {row} von", f"{row} {side} von", f"{row} {side} neben")
        )
    return found


GERMAN = Lexicon(
    code="de",
    name="German",
    indefinite=words("ein eine einen einem einer eines"),
    numerals=words("zwei drei vier fünf sechs sieben acht mehrere einige viele"),
    definite=words(
"""
        der die das den dem des diese dieser dieses diesem diesen jener jene jenes
        """
),
    possessive=words(
"""
        mein meine meinem meinen meiner dein deine sein seine seinem seinen seiner ihr ihre ihrem
        ihren ihrer unser unsere unserem unseren euer eure
        """
),
    negative=words("kein keine keinen keinem keiner keines"),
    relations=_relations(),
    positions={
        (-1, 0): table(
"""
        links | auf der linken seite | auf der linken | linke seite | links im bild | am linken rand
        | auf der linken bildseite
        """
),
        (1, 0): table(
"""
        rechts | auf der rechten seite | auf der rechten | rechte seite | rechts im bild | am
        rechten rand | auf der rechten bildseite
        """
),
        (0, -1): table("oben | ganz oben | am oberen rand | oben im bild"),
        (0, 1): table("unten | ganz unten | am unteren rand | unten im bild"),
        (0, 0): table("in der mitte | mittig"),
        (-1, -1): table(
"""
        oben links | links oben | in der oberen linken ecke | in der linken oberen ecke
        """
),
        (1, -1): table(
"""
        oben rechts | rechts oben | in der oberen rechten ecke | in der rechten oberen ecke
        """
),
        (-1, 1): table(
"""
        unten links | links unten | in der unteren linken ecke | in der linken unteren ecke
        """
),
        (1, 1): table(
"""
        unten rechts | rechts unten | in der unteren rechten ecke | in der rechten unteren ecke
        """
),
    },
    conjunctions=words("und sowie oder"),
    separators=words("während aber sondern wobei dann"),
    having=words("mit"),
    relative=words("welcher welche welches wo"),
    pronouns=words("er sie es ihm ihn ihr ihnen"),
    negations=words("nicht nie niemals"),
    verbs=words(
"""
        ist sind war waren steht stehen stand standen liegt liegen lag sitzt sitzen saß hängt hängen
        hing schwebt schweben fliegt fliegen parkt parken befindet befinden sich schläft schlafen
        lehnt ruht wartet wächst schwimmt geparkt gestellt gelegt platziert steckt kniet hockt
        springt läuft geht spielt gibt sieht man stehend sitzend liegend hängend schwebend versteckt
        """
),
    exists=table(
"""
        es gibt | da ist | da sind | dort ist | man sieht | ich sehe | wir sehen | zu sehen ist
        """
),
    of=words("von"),
    attaching=words(
"""
        aus für bei nach zu durch gegen ohne um an am bis seit als wie trägt tragend hält haltend
        frisst isst reitet
        """
),
    artworks=words(
"""
        gemälde zeichnung illustration skizze porträt aquarell bild bildes gemäldes
        """
),
    frames=words(
"""
        foto fotografie aufnahme szene ansicht nahaufnahme rendering hintergrund vordergrund fotos
        """
),
    places=words(
"""
        zimmer küche park straße strand feld garten wald stadt landschaft büro raum hof dorf wüste
        wiese welt bibliothek restaurant café laden museum himmel meer see berg wohnzimmer
        schlafzimmer badezimmer
        """
),
    settings=words(
"""
        straße wand boden wiese gras strand himmel weg feld hügel berg insel erde rasen platz bühne
        rand ecke seite hintergrund vordergrund bild foto welt deutsch reise leinwand papier
        horizont bürgersteig decke
        """
),
    containers=words(
"""
        schachtel schüssel box kiste korb tasse glas vase flasche tasche rucksack koffer käfig
        schublade eimer becher topf karton tonne kasten sack schale krug dose badewanne kühlschrank
        schrank aquarium nest umschlag truhe einkaufswagen kinderwagen wanne ofen
        """
),
    weak_on=("auf",),
    weak_in=("in",),
    implied={
        "darauf": Relation.ABOVE, "darüber": Relation.ABOVE, "obendrauf": Relation.ABOVE, "darunter": Relation.BELOW,
        "daneben": Relation.NEXT_TO, "darin": Relation.INSIDE, "drin": Relation.INSIDE, "davor": Relation.IN_FRONT_OF,
        "dahinter": Relation.BEHIND, "dazwischen": Relation.BETWEEN, "links davon": Relation.LEFT,
        "rechts davon": Relation.RIGHT, "links daneben": Relation.LEFT, "rechts daneben": Relation.RIGHT,
    },
    contractions={"vom": "von dem", "zum": "zu dem", "zur": "zu der", "im": "in dem", "am": "an dem", "beim": "bei dem",
                  "ins": "in das", "ans": "an das", "überm": "über dem", "unterm": "unter dem", "hinterm": "hinter dem",
                  "vorm": "vor dem", "aufs": "auf das"},
    skipped=words(
"""
        direkt genau etwas leicht weit hoch schräg unmittelbar knapp dort hier auch noch nun gerade
        """
),
    noun_last=True,
    capital_nouns=True,
)  # fmt: skip
