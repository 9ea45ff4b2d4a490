"""How `--help` looks: plain text as wide as the terminal; no name is cut, no word broken."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from sparqsim.base.errors import InputError

#: Lines longer than this are hard to read, however wide the terminal is.
WIDEST = 100
#: Options longer than this get a line of their own; in narrow terminals already those of half the
#: width.
LONGEST_OPTION = 26
#: What typer adds for programmers: braces around an argument, and its type in Python.
BRACES = re.compile(r"\{(?P<name>[^{}]+)\}(?P<more>(\.\.\.)?)")
PYTHON_TYPE = re.compile(r" <(str|int|float|list\[\w+\])>(?=`|$)")
DEFAULT_IN_PARENTHESES = re.compile(r"\[default: \(([^()]*)\)")
RANGE = re.compile(r"\b(\d+)<=x<=(\d+)")
LOWER_LIMIT = re.compile(r"\bx>=(\d+)")
#: Of click, under whatever name typer has it.
Context: Any = TyperGroup.context_class


class WholeWords(Context.formatter_class):  # type: ignore[misc]
    """A formatter that breaks lines at spaces only: names have hyphens, and are copied."""

    def write_text(self, text: str) -> None:
        """Write paragraphs, indented."""
        indent = " " * self.current_indent
        for number, paragraph in enumerate(_paragraphs(text)):
            lines = _wrapped(paragraph, self.width - self.current_indent)
            self.write(("\n" if number else "") + "".join(f"{indent}{line}\n" for line in lines))

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the usage line; arguments stand under their own names."""
        super().write_usage(prog, in_users_words(args), prefix)

    def write_dl(
        self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write names and what they mean beside them, or below them where names are long."""
        rows = [(in_users_words(name), in_users_words(meaning)) for name, meaning in rows]
        longest = min(col_max, LONGEST_OPTION, self.width // 2)
        beside = max((len(name) for name, _ in rows if len(name) <= longest), default=0)
        indent = " " * self.current_indent
        below = indent + " " * (beside + col_spacing)
        for name, meaning in rows:
            lines = _wrapped(" ".join(_paragraphs(meaning)), self.width - len(below))
            if len(name) <= beside and lines:
                self.write(f"{indent}{name:{beside + col_spacing}}{lines.pop(0)}\n")
            else:
                self.write(f"{indent}{name}\n")
            self.write("".join(f"{below}{line}\n" for line in lines))


def in_users_words(text: str) -> str:
    """Return help text without what typer adds: braces, types of Python, `x` for a value."""
    text = BRACES.sub(lambda match: f"{match['name'].removesuffix('...')}{match['more']}", text)
    text = PYTHON_TYPE.sub("", text)
    text = DEFAULT_IN_PARENTHESES.sub(r"[default: \1", text)
    text = RANGE.sub(r"\1 to \2", text)
    return LOWER_LIMIT.sub(r"at least \1", text)


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


class HelpContext(Context):  # type: ignore[misc]
    """The context of a command whose help is written by `WholeWords`."""

    formatter_class = WholeWords


class Commands(TyperGroup):
    """A group of commands, each listed with its whole first sentence."""

    context_class = HelpContext

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show what there is where no command is named. Raises InputError."""
        if not args and not self.invoke_without_command and not ctx.resilient_parsing:
            typer.echo(self.get_help(ctx))
            names = ", ".join(self.commands)
            raise InputError(
                f"`{ctx.command_path}` names no command, expected one of {names} behind it"
            )
        return list(super().parse_args(ctx, args))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command of this group, which shows its help in the same way."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            command.context_class = HelpContext
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands; by default their descriptions would be cut to a line."""
        listed = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, _paragraphs(command.help or "")[0]) for name, command in listed]
            )


def command_group(what: str, cls: type[Commands] = Commands, **settings: Any) -> typer.Typer:
    """Return an empty group of commands that is described by `what`."""
    return typer.Typer(
        cls=cls, help=what, rich_markup_mode=None, pretty_exceptions_enable=False, **settings
    )
