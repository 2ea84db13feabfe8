"""French."""

from ..relations import Relation
from .lexicon import Lexicon, table, words


def _side(word: str, adjective: str) -> tuple[str, ...]:
    return table(
        f"à {word} de | à la {word} de | sur la {word} de | du côté {adjective} de | sur le côté {adjective} de | "
        f"au côté {adjective} de | vers la {word} de"
    )


def _corner(row: str, column: str) -> tuple[str, ...]:
    return table(f"en {row} à {column} de | {row} et à {column} de")


FRENCH = Lexicon(
    code="fr",
    name="French",
    indefinite=words("un une des"),
    numerals=words("deux trois quatre cinq six sept huit plusieurs quelques"),
    definite=words("le la les l' ce cet cette ces"),
    possessive=words("mon ma mes ton ta tes son sa ses notre nos votre vos leur leurs"),
    negative=words("aucun aucune"),
    relations={
        Relation.LEFT: _side("gauche", "gauche"),
        Relation.RIGHT: _side("droite", "droit"),
        Relation.ABOVE: table(
"""
        au dessus de | au dessus | par dessus | sur | en haut de | dessus | au sommet de
        """
),
        Relation.BELOW: table(
"""
        au dessous de | au dessous | en dessous de | en dessous | sous | dessous | par dessous
        """
),
        Relation.NEXT_TO: table("à côté de | à côté | près de | auprès de | à proximité de | proche de"),
        Relation.INSIDE: table("dans | à l'intérieur de | à l'intérieur | dedans"),
        Relation.IN_FRONT_OF: table("devant | en face de | au devant de"),
        Relation.BEHIND: table(
"""
        derrière | caché par | cachée par | masqué par | masquée par | à l'arrière de
        """
),
        Relation.BETWEEN: table("entre"),
        Relation.ABOVE_LEFT: _corner("haut", "gauche"),
        Relation.ABOVE_RIGHT: _corner("haut", "droite"),
        Relation.BELOW_LEFT: _corner("bas", "gauche"),
        Relation.BELOW_RIGHT: _corner("bas", "droite"),
    },
    positions={
        (-1, 0): table(
"""
        à gauche | sur la gauche | à la gauche | sur le côté gauche | du côté gauche | dans la
        partie gauche
        """
),
        (1, 0): table(
"""
        à droite | sur la droite | à la droite | sur le côté droit | du côté droit | dans la partie
        droite
        """
),
        (0, -1): table("en haut | dans la partie supérieure"),
        (0, 1): table("en bas | dans la partie inférieure"),
        (0, 0): table("au centre | au milieu"),
        (-1, -1): table("en haut à gauche | dans le coin supérieur gauche"),
        (1, -1): table("en haut à droite | dans le coin supérieur droit"),
        (-1, 1): table("en bas à gauche | dans le coin inférieur gauche"),
        (1, 1): table("en bas à droite | dans le coin inférieur droit"),
    },
    conjunctions=words("et ou"),
    separators=words("tandis mais puis alors pendant"),
    having=words("avec"),
    relative=words("qui que où dont lequel laquelle"),
    pronouns=words("lui elle il ils eux elles"),
    negations=words("pas jamais"),
    verbs=words(
"""
        est sont était étaient se trouve trouvent situé située placé placée posé posée assis assise
        debout allongé allongée couché couchée accroché accrochée suspendu suspendue dort dorment
        vole volent flotte flottent nage nagent repose attend pousse garé garée appuyé appuyée caché
        cachée saute court marche joue apparaît pend pendu pendue perché perchée volant flottant
        dormant s' tient tenant stationné stationnée
        """
),
    exists=table(
"""
        il y a | on voit | on peut voir | je vois | nous voyons | voici | voilà | y a
        """
),
    of=words("de d'"),
    attaching=words(
"""
        à en pour par depuis sans contre vers chez selon pendant porte portant tient mangeant
        montant fait faite comme on dirait c' j' n' ne qu'
        """
),
    artworks=words(
"""
        peinture dessin illustration portrait croquis aquarelle tableau affiche
        """
),
    frames=words("photo photographie image scène vue rendu fond"),
    places=words(
"""
        chambre cuisine parc rue plage champ jardin forêt ville paysage bureau pièce cour village
        désert prairie monde bibliothèque restaurant café magasin musée ciel mer lac montagne salon
        """
),
    settings=words(
"""
        rue mur sol herbe plage ciel chemin champ colline montagne île terre pelouse scène bord coin
        côté fond image photo monde toile papier horizon trottoir plafond parc jardin forêt ville
        cuisine chambre salon pièce mer lac désert village air eau bureau paysage prairie cour style
        """
),
    containers=words(
"""
        boîte bol panier tasse verre bouteille sac valise cage tiroir seau casserole
        """
),
    before_noun=words(
"""
        grand grande grands grandes petit petite petits petites vieux vieille nouveau nouvelle bon
        bonne mauvais mauvaise beau belle bel joli jolie jeune gros grosse premier première second
        seconde autre même énorme haut haute long longue deux trois quatre cinq
        """
),
    adverbs=frozenset(
        table(
            """
            au dessus | dessus | par dessus | au dessous |
            en dessous | dessous | à côté | à l'intérieur | dedans
            """
        )
    ),
    weak_on=("sur", "dans"),
    contractions={"d'": "de", "qu'": "que", "du": "de le", "au": "à le", "aux": "à les"},
    elisions=words("d' l' c' s' n' qu' j'"),
    skipped=words(
"""
        juste directement légèrement très bien exactement immédiatement aussi là ici tout
        """
),
)  # fmt: skip
