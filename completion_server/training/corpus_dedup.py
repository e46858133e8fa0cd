"""Near-duplicate files are found by MinHash over word 5-grams (Broder 1997; Lee et al. 2022, arXiv 2107.06499)."""

from __future__ import annotations

import hashlib
import re

from completion_server.training.error import TrainingError

_WORD = re.compile(r"\w+|[^\w\s]")
_GRAM_WORDS = 5
_NUM_PERMUTATIONS = 64
_MAX_GRAMS = 4000


class NearDuplicates:
    """Remembers the files that it has been shown. Raises TrainingError where datasketch is not installed."""

    def __init__(self, threshold: float = 0.8) -> None:
        """``threshold``: estimated Jaccard similarity of two files from which they count as the same."""
        try:
            from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]
        except ImportError as error:
            raise TrainingError(
                "building a corpus needs datasketch: pip install 'completion-server[train]'"
            ) from error
        self._new_minhash = MinHash
        self._index = MinHashLSH(threshold=threshold, num_perm=_NUM_PERMUTATIONS)
        self._exact: set[bytes] = set()

    def is_new(self, text: str) -> bool:
        """Whether no near-duplicate of ``text`` was shown before; remembers it if so."""
        words = _WORD.findall(text)
        digest = hashlib.blake2b(" ".join(words).encode("utf-8", "replace"), digest_size=16).digest()
        if digest in self._exact:
            return False
        grams = {" ".join(words[i : i + _GRAM_WORDS]) for i in range(max(len(words) - _GRAM_WORDS + 1, 1))}
        # Enough of a long file to know it again; the choice depends on the gram only, so that copies agree.
        hashed = sorted(hashlib.blake2b(gram.encode("utf-8", "replace"), digest_size=8).digest() for gram in grams)
        minhash = self._new_minhash(num_perm=_NUM_PERMUTATIONS)
        minhash.update_batch(hashed[:_MAX_GRAMS])
        if self._index.query(minhash):
            return False
        self._exact.add(digest)
        self._index.insert(digest, minhash)
        return True
