"""How languages write comments, strings and brackets: enough to tell code from text, character by character.

``rules``: what a lexicon is. ``languages``, ``markup``: the lexicons. ``table``: which language id means which.
``scanner``: the automaton; ``frames``: what it tells.
"""

from completion_server.lexicon.frames import Event, Frame, Kind
from completion_server.lexicon.rules import CLOSER_OF, Lexicon
from completion_server.lexicon.scanner import Scanner, scan
from completion_server.lexicon.table import family_of, lexicon_of

__all__ = ["CLOSER_OF", "Event", "Frame", "Kind", "Lexicon", "Scanner", "family_of", "lexicon_of", "scan"]
