"""The command line: parse, call the library, print."""

from sparqsim.cli.app import main

__all__ = ["main"]
