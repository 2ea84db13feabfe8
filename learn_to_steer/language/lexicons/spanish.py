"""Spanish."""

from ..relations import Relation
from .lexicon import Lexicon, table, words


def _side(word: str, adjective: str) -> tuple[str, ...]:
    return table(
        f"a la {word} de | a {word} de | a mano {word} de | en el lado {adjective} de | al lado {adjective} de | "
        f"hacia la {word} de | del lado {adjective} de | por la {word} de"
    )


def _corner(row: str, column: str) -> tuple[str, ...]:
    return table(
        f"en la parte {row} {column} de | arriba a la {column} de | arriba y a la {column} de"
        if row == "superior"
        else f"en la parte {row} {column} de | abajo a la {column} de | abajo y a la {column} de"
    )


SPANISH = Lexicon(
    code="es",
    name="Spanish",
    indefinite=words("un una unos unas"),
    numerals=words("dos tres cuatro cinco seis siete ocho varios varias algunos algunas muchos muchas"),
    definite=words("el la los las este esta estos estas ese esa esos esas aquel aquella"),
    possessive=words("mi mis tu tus su sus nuestro nuestra nuestros nuestras"),
    negative=words("ningún ninguna ninguno"),
    relations={
        Relation.LEFT: _side("izquierda", "izquierdo"),
        Relation.RIGHT: _side("derecha", "derecho"),
        Relation.ABOVE: table(
"""
        encima de | encima | por encima de | sobre | arriba de | en lo alto de | en la cima de
        """
),
        Relation.BELOW: table("debajo de | debajo | por debajo de | bajo | abajo de"),
        Relation.NEXT_TO: table(
"""
        al lado de | junto a | cerca de | próximo a | próxima a | pegado a | pegada a | al lado
        """
),
        Relation.INSIDE: table("dentro de | dentro | en el interior de | adentro de"),
        Relation.IN_FRONT_OF: table(
"""
        delante de | delante | enfrente de | frente a | en frente de | adelante de
        """
),
        Relation.BEHIND: table(
"""
        detrás de | detrás | tras | atrás de | por detrás de | oculto por | oculta por | tapado por
        | tapada por | escondido tras | escondida tras
        """
),
        Relation.BETWEEN: table("entre"),
        Relation.ABOVE_LEFT: _corner("superior", "izquierda"),
        Relation.ABOVE_RIGHT: _corner("superior", "derecha"),
        Relation.BELOW_LEFT: _corner("inferior", "izquierda"),
        Relation.BELOW_RIGHT: _corner("inferior", "derecha"),
    },
    positions={
        (-1, 0): table(
"""
        a la izquierda | a mano izquierda | en el lado izquierdo | en la izquierda | del lado
        izquierdo | al lado izquierdo | en la parte izquierda
        """
),
        (1, 0): table(
"""
        a la derecha | a mano derecha | en el lado derecho | en la derecha | del lado derecho | al
        lado derecho | en la parte derecha
        """
),
        (0, -1): table("arriba | en la parte superior | en la parte de arriba"),
        (0, 1): table("abajo | en la parte inferior | en la parte de abajo"),
        (0, 0): table("en el centro | en el medio | en medio"),
        (-1, -1): table("arriba a la izquierda | en la esquina superior izquierda"),
        (1, -1): table("arriba a la derecha | en la esquina superior derecha"),
        (-1, 1): table("abajo a la izquierda | en la esquina inferior izquierda"),
        (1, 1): table("abajo a la derecha | en la esquina inferior derecha"),
    },
    conjunctions=words("y e o u"),
    separators=words("mientras pero sino luego entonces"),
    having=words("con"),
    relative=words("que cual quien donde"),
    pronouns=words("él ella ellos ellas ello"),
    negations=words("no nunca tampoco"),
    verbs=words(
"""
        es son era está están estaba estaban se encuentra encuentran ubica ubicado ubicada situado
        situada sentado sentada parado parada acostado acostada tumbado tumbada colgado colgada
        cuelga cuelgan duerme duermen vuela vuelan flota flotan nada nadan descansa yace espera
        crece aparcado aparcada estacionado estacionada colocado colocada puesto puesta apoyado
        apoyada escondido escondida oculto oculta de pie salta corre camina juega aparece queda
        sentados sentadas volando flotando durmiendo durmiente colgando descansando caminando
        corriendo nadando saltando
        """
) - words("de pie"),
    exists=table("hay | se ve | se ven | había | existe | veo | vemos"),
    of=words("de"),
    attaching=words(
"""
        a en para por desde hasta sin contra hacia según durante lleva llevando sostiene sosteniendo
        comiendo montando hecho hecha como
        """
),
    artworks=words(
"""
        pintura dibujo ilustración cuadro retrato boceto acuarela póster cartel
        """
),
    frames=words("foto fotografía imagen escena vista render fondo primer plano"),
    places=words(
"""
        habitación cocina parque calle playa campo jardín bosque ciudad paisaje oficina cuarto patio
        pueblo desierto prado mundo biblioteca restaurante café tienda museo cielo mar lago montaña
        sala
        """
),
    settings=words(
"""
        calle pared suelo hierba playa cielo camino campo colina montaña isla tierra césped
        escenario borde esquina lado fondo imagen foto mundo español viaje lienzo papel horizonte
        acera techo piso base
        """
),
    containers=words(
"""
        caja cuenco tazón cesta taza vaso botella bolsa mochila maleta jaula cajón cubo olla
        """
),
    before_noun=words(
"""
        gran grande grandes pequeño pequeña pequeños pequeñas viejo vieja nuevo nueva buen buena mal
        mala hermoso hermosa bello bella joven primer primera segundo segunda tercer tercera otro
        otra mismo misma enorme lindo linda antiguo antigua dos tres cuatro cinco
        """
),
    adverbs=frozenset(table("encima | debajo | al lado | dentro | delante | detrás")),
    weak_on=("sobre",),
    contractions={"del": "de el", "al": "a el"},
    skipped=words(
"""
        justo directamente ligeramente muy bien exactamente inmediatamente también allí aquí ahí
        """
),
)  # fmt: skip
