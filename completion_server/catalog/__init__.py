"""Which models exist, where they come from, and how their files become a directory the engine can load."""
