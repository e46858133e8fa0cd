"""completion-server: inline code completion that runs on the developer's own machine."""

from completion_server.environment import silence_libraries

silence_libraries()

__version__ = "0.1.0"
