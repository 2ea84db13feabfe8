"""Italian."""

from ..relations import Relation
from .lexicon import Lexicon, table, words


def _side(word: str, adjective: str) -> tuple[str, ...]:
    return table(
        f"a {word} di | alla {word} di | sulla {word} di | sul lato {adjective} di | dal lato {adjective} di | "
        f"al lato {adjective} di"
    )


def _corner(row: str, column: str) -> tuple[str, ...]:
    return table(f"in {row} a {column} di | in {row} a {column} rispetto a")


def _contractions() -> dict[str, str]:
    found = {"d'": "di"}
    for prep, start in (("di", "de"), ("a", "a"), ("da", "da"), ("in", "ne"), ("su", "su")):
        for end, article in (("l", "il"), ("llo", "lo"), ("lla", "la"), ("ll'", "l'"), ("i", "i"), ("gli", "gli"),
                             ("lle", "le")):  # fmt: skip
            found[start + end] = f"{prep} {article}"
    return found


ITALIAN = Lexicon(
    code="it",
    name="Italian",
    indefinite=words("un uno una un'"),
    numerals=words("due tre quattro cinque sei sette otto alcuni alcune diversi diverse molti molte"),
    definite=words(
"""
        il lo la i gli le l' questo questa questi queste quel quello quella quei quelle
        """
),
    possessive=words("mio mia miei mie tuo tua suo sua suoi sue nostro nostra loro"),
    negative=words("nessun nessuno nessuna"),
    relations={
        Relation.LEFT: _side("sinistra", "sinistro"),
        Relation.RIGHT: _side("destra", "destro"),
        Relation.ABOVE: table(
"""
        sopra | sopra a | sopra di | al di sopra di | su | in cima a | di sopra
        """
),
        Relation.BELOW: table("sotto | sotto a | sotto di | al di sotto di | di sotto"),
        Relation.NEXT_TO: table(
"""
        accanto a | accanto | vicino a | a fianco di | di fianco a | di lato a | presso | affianco a
        """
),
        Relation.INSIDE: table("dentro | dentro a | all'interno di | in"),
        Relation.IN_FRONT_OF: table("davanti a | davanti | di fronte a | innanzi a"),
        Relation.BEHIND: table(
"""
        dietro | dietro a | dietro di | nascosto da | nascosta da | coperto da | coperta da
        """
),
        Relation.BETWEEN: table("tra | fra"),
        Relation.ABOVE_LEFT: _corner("alto", "sinistra"),
        Relation.ABOVE_RIGHT: _corner("alto", "destra"),
        Relation.BELOW_LEFT: _corner("basso", "sinistra"),
        Relation.BELOW_RIGHT: _corner("basso", "destra"),
    },
    positions={
        (-1, 0): table(
"""
        a sinistra | sulla sinistra | sul lato sinistro | dal lato sinistro | alla sinistra
        """
),
        (1, 0): table(
"""
        a destra | sulla destra | sul lato destro | dal lato destro | alla destra
        """
),
        (0, -1): table("in alto | nella parte superiore"),
        (0, 1): table("in basso | nella parte inferiore"),
        (0, 0): table("al centro | nel mezzo | in mezzo"),
        (-1, -1): table("in alto a sinistra | nell'angolo in alto a sinistra"),
        (1, -1): table("in alto a destra | nell'angolo in alto a destra"),
        (-1, 1): table("in basso a sinistra | nell'angolo in basso a sinistra"),
        (1, 1): table("in basso a destra | nell'angolo in basso a destra"),
    },
    conjunctions=words("e ed o oppure"),
    separators=words("mentre ma però poi allora"),
    having=words("con"),
    relative=words("che cui dove quale"),
    pronouns=words("lui lei esso essa loro essi"),
    negations=words("non mai"),
    verbs=words(
"""
        è sono era erano sta stanno si trova trovano situato situata seduto seduta sdraiato sdraiata
        appeso appesa parcheggiato parcheggiata posto posta posizionato posizionata appoggiato
        appoggiata nascosto nascosta dorme dormono vola volano galleggia nuota nuotano riposa
        aspetta cresce salta corre cammina gioca appare pende volando galleggiando dormendo sospeso
        sospesa giace in piedi siede
        """
) - words("in piedi"),
    exists=table("c'è | ci sono | c'era | vedo | vediamo | si vede | si vedono"),
    of=words("di d'"),
    attaching=words(
"""
        a per da senza contro verso durante secondo indossa indossando tiene tenendo mangiando
        cavalcando fatto fatta come
        """
),
    artworks=words(
"""
        dipinto disegno illustrazione ritratto schizzo acquerello quadro pittura poster
        """
),
    frames=words("foto fotografia immagine scena vista render sfondo"),
    places=words(
"""
        camera cucina parco strada spiaggia campo giardino foresta città paesaggio ufficio stanza
        cortile villaggio deserto prato mondo biblioteca ristorante caffè negozio museo cielo mare
        lago montagna salotto bosco
        """
),
    settings=words(
"""
        strada muro parete pavimento erba spiaggia cielo sentiero campo collina montagna isola terra
        prato palco bordo angolo lato sfondo immagine foto mondo viaggio tela carta orizzonte
        marciapiede soffitto parco giardino foresta città cucina camera stanza mare lago deserto
        stile piedi
        """
),
    containers=words(
"""
        scatola ciotola cesto cestino tazza bicchiere bottiglia borsa zaino valigia gabbia cassetto
        secchio pentola
        """
),
    before_noun=words(
"""
        grande grandi piccolo piccola piccoli piccole vecchio vecchia nuovo nuova buon buono buona
        bel bello bella giovane primo prima secondo seconda altro altra stesso stessa enorme gran
        antico antica due tre quattro cinque
        """
),
    adverbs=frozenset(table("accanto | davanti")),
    weak_on=("su",),
    weak_in=("in",),
    contractions=_contractions(),
    elisions=words("d' l' c' un' dell' all' dall' nell' sull' s'"),
    skipped=words(
"""
        proprio direttamente leggermente molto esattamente immediatamente anche lì qui là
        """
),
)  # fmt: skip
