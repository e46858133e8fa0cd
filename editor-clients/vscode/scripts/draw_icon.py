"""Draws images/icon.png: two lines of code, a cursor, and the rest of the line as ghost text.

usage: python scripts/draw_icon.py
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

SIZE = 128
SAMPLES = 4  # per pixel and direction: smooth edges

Colour = tuple[int, int, int]
Bar = tuple[float, float, float, float, float, Colour]

BACKGROUND: Colour = (22, 32, 44)
CODE: Colour = (226, 232, 240)
CURSOR: Colour = (80, 200, 160)
GHOST: Colour = (110, 126, 144)

BARS: list[Bar] = [  # left, top, right, bottom, corner radius, colour; the later one covers the earlier
    (4, 4, 124, 124, 26, BACKGROUND),
    (24, 32, 78, 42, 5, CODE),
    (36, 58, 62, 68, 5, CODE),
    (68, 50, 74, 76, 2, CURSOR),
    (80, 58, 106, 68, 5, GHOST),
    (36, 84, 84, 94, 5, GHOST),
]


def is_inside(x: float, y: float, bar: Bar) -> bool:
    """Whether a point lies in a rectangle with round corners."""
    left, top, right, bottom, radius, _ = bar
    dx = max(left + radius - x, 0, x - (right - radius))
    dy = max(top + radius - y, 0, y - (bottom - radius))
    return left <= x <= right and top <= y <= bottom and dx * dx + dy * dy <= radius * radius


def pixel(column: int, row: int) -> bytes:
    """Red, green, blue and opacity, averaged over the samples of one pixel."""
    red = green = blue = covered = 0
    for sample in range(SAMPLES * SAMPLES):
        x = column + (sample % SAMPLES + 0.5) / SAMPLES
        y = row + (sample // SAMPLES + 0.5) / SAMPLES
        hit = next((bar for bar in reversed(BARS) if is_inside(x, y, bar)), None)
        if hit is not None:
            red, green, blue = red + hit[5][0], green + hit[5][1], blue + hit[5][2]
            covered += 1
    if not covered:
        return bytes(4)
    return bytes([red // covered, green // covered, blue // covered, 255 * covered // SAMPLES**2])


def chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png() -> bytes:
    """The whole file: 8 bits per channel, with opacity."""
    rows = b"".join(b"\0" + b"".join(pixel(column, row) for column in range(SIZE)) for row in range(SIZE))
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 6, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


if __name__ == "__main__":
    target = Path(__file__).resolve().parent.parent / "images" / "icon.png"
    target.write_bytes(png())
