"""Show or hide: the probability that a suggestion is right, against a threshold."""
