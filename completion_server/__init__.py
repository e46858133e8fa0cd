"""completion-server: inline code completion that runs on the developer's own machine."""

__version__ = "0.1.0"
