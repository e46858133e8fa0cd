"""What became of suggestions, and why: counts and numbers on this disk, never source text, never sent anywhere."""
