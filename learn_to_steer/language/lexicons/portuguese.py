"""Portuguese."""

from ..relations import Relation
from .lexicon import Lexicon, table, words


def _side(word: str, adjective: str) -> tuple[str, ...]:
    return table(
        f"à {word} de | a {word} de | na {word} de | no lado {adjective} de | do lado {adjective} de | "
        f"ao lado {adjective} de | para a {word} de | pela {word} de"
    )


def _corner(row: str, column: str, adjective: str) -> tuple[str, ...]:
    where = "acima" if row == "superior" else "abaixo"
    return table(f"na parte {row} {column} de | no canto {row} {adjective} de | {where} à {column} de")


PORTUGUESE = Lexicon(
    code="pt",
    name="Portuguese",
    indefinite=words("um uma uns umas"),
    numerals=words("dois duas três quatro cinco seis sete oito vários várias alguns algumas muitos muitas"),
    definite=words("o a os as este esta estes estas esse essa esses essas aquele aquela"),
    possessive=words(
"""
        meu minha meus minhas teu tua seu sua seus suas nosso nossa nossos nossas dele dela
        """
),
    negative=words("nenhum nenhuma"),
    relations={
        Relation.LEFT: _side("esquerda", "esquerdo"),
        Relation.RIGHT: _side("direita", "direito"),
        Relation.ABOVE: table(
"""
        acima de | acima | em cima de | em cima | por cima de | por cima | sobre | no topo de | no
        alto de
        """
),
        Relation.BELOW: table(
"""
        abaixo de | abaixo | embaixo de | embaixo | debaixo de | por baixo de | por baixo | sob | em
        baixo de
        """
),
        Relation.NEXT_TO: table(
"""
        ao lado de | ao lado | perto de | junto a | junto de | próximo a | próximo de | próxima a |
        próxima de
        """
),
        Relation.INSIDE: table("dentro de | dentro | no interior de"),
        Relation.IN_FRONT_OF: table(
"""
        em frente a | em frente de | na frente de | na frente | à frente de | diante de | defronte a
        """
),
        Relation.BEHIND: table(
"""
        atrás de | atrás | por trás de | detrás de | escondido por | escondida por | encoberto por |
        encoberta por | oculto por | oculta por
        """
),
        Relation.BETWEEN: table("entre"),
        Relation.ABOVE_LEFT: _corner("superior", "esquerda", "esquerdo"),
        Relation.ABOVE_RIGHT: _corner("superior", "direita", "direito"),
        Relation.BELOW_LEFT: _corner("inferior", "esquerda", "esquerdo"),
        Relation.BELOW_RIGHT: _corner("inferior", "direita", "direito"),
    },
    positions={
        (-1, 0): table(
"""
        à esquerda | na esquerda | no lado esquerdo | do lado esquerdo | ao lado esquerdo | na parte
        esquerda
        """
),
        (1, 0): table(
"""
        à direita | na direita | no lado direito | do lado direito | ao lado direito | na parte
        direita
        """
),
        (0, -1): table("no topo | no alto | na parte superior | na parte de cima"),
        (0, 1): table("na parte inferior | na parte de baixo"),
        (0, 0): table("no centro | no meio"),
        (-1, -1): table("no canto superior esquerdo"),
        (1, -1): table("no canto superior direito"),
        (-1, 1): table("no canto inferior esquerdo"),
        (1, 1): table("no canto inferior direito"),
    },
    conjunctions=words("e ou"),
    separators=words("enquanto mas então depois"),
    having=words("com"),
    relative=words("que qual quem onde"),
    pronouns=words("ele ela eles elas"),
    negations=words("não nunca nem"),
    verbs=words(
"""
        é são era está estão estava estavam fica ficam se encontra encontram localizado localizada
        situado situada sentado sentada parado parada deitado deitada pendurado pendurada dorme
        dormem voa voam flutua flutuam nada nadam descansa repousa espera cresce estacionado
        estacionada colocado colocada apoiado apoiada escondido escondida salta pula corre caminha
        brinca aparece voando flutuando dormindo pendendo descansando andando correndo nadando
        pulando senta
        """
),
    exists=table("há | tem | existe | existem | vê-se | vejo | vemos"),
    of=words("de"),
    attaching=words(
"""
        em para por desde até sem contra durante segundo veste vestindo usando segura segurando
        comendo montando feito feita como
        """
),
    artworks=words(
"""
        pintura desenho ilustração quadro retrato esboço aquarela pôster cartaz
        """
),
    frames=words("foto fotografia imagem cena vista render fundo"),
    places=words(
"""
        quarto cozinha parque rua praia campo jardim floresta cidade paisagem escritório sala pátio
        vila deserto prado mundo biblioteca restaurante café loja museu céu mar lago montanha
        """
),
    settings=words(
"""
        rua parede chão grama praia céu caminho campo colina montanha ilha terra gramado palco beira
        esquina lado fundo imagem foto mundo português viagem tela papel horizonte calçada teto piso
        """
),
    containers=words(
"""
        caixa tigela cesta xícara copo garrafa bolsa mochila mala gaiola gaveta balde panela
        """
),
    before_noun=words(
"""
        grande grandes pequeno pequena pequenos pequenas velho velha novo nova bom boa mau má belo
        bela lindo linda jovem primeiro primeira segundo segunda terceiro terceira outro outra mesmo
        mesma enorme antigo antiga dois duas três quatro cinco
        """
),
    adverbs=frozenset(
        table(
            """
            acima | em cima | por cima | abaixo | embaixo |
            por baixo | ao lado | dentro | na frente | atrás
            """
        )
    ),
    weak_on=("sobre",),
    contractions={
        "do": "de o", "da": "de a", "dos": "de os", "das": "de as", "no": "em o", "na": "em a", "nos": "em os",
        "nas": "em as", "ao": "a o", "aos": "a os", "à": "a a", "às": "a as", "pelo": "por o", "pela": "por a",
        "num": "em um", "numa": "em uma", "dum": "de um", "duma": "de uma",
    },
    skipped=words(
"""
        logo diretamente ligeiramente bem exatamente imediatamente também ali aqui lá muito
        """
),
)  # fmt: skip
