"""Function words of languages that are not read, so that a prompt in one of them can be told what it is."""

from .lexicon import words

OTHER = {
    "Dutch": words(
"""
        een het de van met naast boven onder achter voor op links rechts tussen zit staat ligt en is
        zijn niet
        """
),
    "Polish": words(
"""
        na obok pod nad przed za i jest są po lewej prawej stronie od w z między się stoi leży
        siedzi nie
        """
),
    "Swedish": words(
"""
        en ett och på bredvid till vänster höger om under över framför bakom är med av från mellan
        sitter står ligger inte
        """
),
    "Danish or Norwegian": words(
"""
        en et og på ved siden af av til venstre højre høyre om under over foran bak bag bagved er
        med mellem mellom sidder sitter står ikke
        """
),
    "Czech": words(
"""
        na vedle pod nad před za a je jsou vlevo vpravo od v s mezi se stojí leží sedí nalevo
        napravo není
        """
),
    "Turkish": words(
"""
        bir ve bu solunda sağında üstünde altında yanında önünde arkasında içinde ile arasında duran
        var değil
        """
),
    "Romanian": words(
"""
        un o și lângă la stânga dreapta sub peste în fața spatele pe de este cu între deasupra
        dedesubtul stă
        """
),
    "Hungarian": words(
"""
        egy és az mellett alatt fölött felett előtt mögött között balra jobbra tól től van ül áll
        nem
        """
),
    "Finnish": words(
"""
        ja on vieressä alla yllä päällä edessä takana vasemmalla oikealla puolella välissä istuu
        seisoo ei
        """
),
    "Indonesian": words(
"""
        sebuah seekor di sebelah kiri kanan atas bawah depan belakang dari dan yang dengan antara
        duduk
        """
),
    "Vietnamese": words("một con cái bên trái phải của trên dưới trước sau và cạnh giữa là có"),
    "Catalan": words(
"""
        un una al costat del de la dreta esquerra l' d' a sota sobre davant darrere entre i amb és està
        dins hi
        """
),
}  # fmt: skip
