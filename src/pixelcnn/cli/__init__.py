"""The command line: a thin, typed skin over the library.

A command is: parse, call the library, print. Nothing here imports torch before a command needs it.
"""

from pixelcnn.cli.app import app, main

__all__ = ["app", "main"]
