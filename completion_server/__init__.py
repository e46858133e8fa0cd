"""completion-server: inline code completion that runs on the developer's own machine."""

from completion_server.environment import prepare_process

__version__ = "0.1.0"

prepare_process()  # here, because every process of ours imports the package first
