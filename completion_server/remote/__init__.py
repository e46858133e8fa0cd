"""A model server that somebody else runs, behind the same protocols as the engine in this process."""
