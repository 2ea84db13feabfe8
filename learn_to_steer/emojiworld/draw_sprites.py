"""Draw the sprite sheet from the Noto Color Emoji font (Debian package fonts-noto-color-emoji).

    python -m learn_to_steer.emojiworld.draw_sprites

Needed only after a change of ``OBJECTS``; the sheet ships with the package.
"""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from .render import CELL, SPRITE_SHEET
from .world import OBJECTS

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
GLYPHS = dict(zip(OBJECTS, "🐶🧸🐸🚙🎈🌻🐧🌵☂🐷🐘🦊", strict=True))


def main() -> None:
    """Write ``SPRITE_SHEET``."""
    font = ImageFont.truetype(FONT, 109)  # the only size that the bitmap font has
    sheet = Image.new("RGBA", (CELL * len(OBJECTS), CELL))
    for i, name in enumerate(OBJECTS):
        glyph = Image.new("RGBA", (180, 180))
        ImageDraw.Draw(glyph).text((16, 16), GLYPHS[name], font=font, embedded_color=True)
        glyph = glyph.crop(glyph.getchannel("A").getbbox())
        glyph.thumbnail((CELL - 8, CELL - 8), Image.Resampling.LANCZOS)
        sheet.paste(glyph, (i * CELL + (CELL - glyph.width) // 2, (CELL - glyph.height) // 2))
    SPRITE_SHEET.parent.mkdir(exist_ok=True)
    sheet.save(SPRITE_SHEET, optimize=True)


if __name__ == "__main__":
    main()
