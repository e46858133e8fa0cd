"""What a user sees: the screen as Neovim sends it to its user interface, one picture per flush."""

from __future__ import annotations

from typing import Any

WIDTH, HEIGHT = 80, 24


class Screen:
    """Builds pictures out of redraw events: ``rows`` is the screen, ``frames`` all of them."""

    def __init__(self) -> None:
        self.rows = [[" "] * WIDTH for _ in range(HEIGHT)]
        self.cursor = (0, 0)
        self.frames: list[list[str]] = []

    def take(self, events: list[list[Any]]) -> None:
        """One redraw notification."""
        for name, *calls in events:
            for arguments in calls:
                if name == "grid_line":
                    self._line(*arguments[:4])
                elif name == "grid_scroll":
                    self._scroll(*arguments[1:6])
                elif name == "grid_clear":
                    self.rows = [[" "] * WIDTH for _ in range(HEIGHT)]
                elif name == "grid_cursor_goto":
                    self.cursor = (arguments[1], arguments[2])
                elif name == "flush":
                    self.frames.append([self.text(row) for row in range(HEIGHT)])

    def text(self, row: int) -> str:
        return "".join(self.rows[row]).rstrip()

    def frames_of(self, row: int) -> list[str]:
        """One line of the screen at every flush."""
        return [frame[row] for frame in self.frames]

    def after_cursor(self) -> str:
        """What stands between the cursor and the end of its line."""
        row, column = self.cursor
        return "".join(self.rows[row][column:]).rstrip()

    def _line(self, _grid: int, row: int, column: int, cells: list[list[Any]]) -> None:
        for text, *rest in cells:
            count = rest[1] if len(rest) > 1 else 1
            self.rows[row][column : column + count] = [text] * count
            column += count

    def _scroll(self, top: int, bottom: int, left: int, right: int, distance: int) -> None:
        copy = [row[:] for row in self.rows]
        for row in range(top, bottom):
            if top <= row + distance < bottom:
                self.rows[row][left:right] = copy[row + distance][left:right]
