"""Classes of one kind found by name: the files of a folder, entry points of other packages, or a
file of the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, is_dataclass
from importlib.metadata import EntryPoint
from typing import Any, Generic

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.keys import with_keys
from sparqsim.base.plugins import (
    Base,
    SourceClass,
    described,
    installed,
    load_installed,
    shipped_classes,
)


@dataclass(frozen=True)
class Registry(Generic[Base]):
    """What the names of one kind lead to.

    what: the kind in words, 'PE design'. base: what every class of it derives from. package: whose
    files hold those that ship. group: of entry points. checked: takes a class from outside and what
    messages call it; returns the class if it is a finished one, and raises InputError otherwise.
    """

    what: str
    base: type[Base]
    package: str
    group: str
    checked: Callable[[Any, str], type[Base]]

    def shipped(self) -> dict[str, type[Base]]:
        """Return every class that ships with the package, by name."""
        classes = shipped_classes(self.package, self.base)  # type: ignore[arg-type] # is hashable
        return dict(sorted((getattr(each, "name", ""), each) for each in classes))

    def shipped_named(self, name: str) -> type[Base] | None:
        """Return the class of a name that ships with the package, None if there is none.

        Only files are loaded in which the name stands in quotes: all take longer than a short run.
        """
        classes = shipped_classes(self.package, self.base, f'"{name}"')  # type: ignore[arg-type]
        return next((each for each in classes if getattr(each, "name", "") == name), None)

    def outside(self) -> dict[str, EntryPoint]:
        """Return what installed packages offer, by name, not loaded."""
        return installed(self.group)

    def names(self) -> list[str]:
        """Return the names of all, shipped and installed."""
        return list(dict.fromkeys((*self.shipped(), *self.outside())))

    def class_named(self, name: str) -> type[Base]:
        """Return the class of a name. Raises InputError, with the nearest one, if there is none."""
        if (shipped := self.shipped_named(name)) is not None:
            return shipped
        if (entry := self.outside().get(name)) is not None:
            return self.checked(load_installed(entry), described(entry))
        raise unknown(self.what, name, self.names())

    def found(self, spec: str) -> tuple[type[Base], str]:
        """Return the class that a spec names, and the text of its keys.

        A file is run, so this is for what a user has typed.

        Raises
        ------
        InputError
            For an unknown name, or a file without the class.
        """
        source = SourceClass.parse(spec, self.what)
        if source is not None:
            return self.checked(source.load(self.base), source.origin), source.keys
        name, _, keys = spec.partition(":")
        return self.class_named(name), keys

    def made(self, spec: str) -> Base:
        """Return the object that 'NAME[:key=value,...]' or 'FILE.py:CLASS[:key=value,...]' names.

        The last one runs the file, so this is for what a user has typed.

        Raises
        ------
        InputError
            For an unknown name, an unknown key, a value out of range, or a file without the class.
        """
        kind, keys = self.found(spec)
        return with_keys(kind, keys, spec, self.what)


def unknown(what: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for a name that leads to nothing, with the nearest that does."""
    names = list(known)
    return InputError(
        f"{what} {name!r} is not known{nearest(name, names)}; expected one of "
        f"{', '.join(names)}, or FILE.py:CLASS"
    )


def finished(
    base: type[Base], expected: str, stated: Collection[str] = ("name",)
) -> Callable[[Any, str], type[Base]]:
    """Return what takes a class from outside as a finished dataclass of `base`.

    expected: what it must have, in words. stated: names of what it says of itself.
    """

    def checked(value: Any, origin: str) -> type[Base]:
        """Return the class. Raises InputError where it is another one, or unfinished."""
        if not (isinstance(value, type) and issubclass(value, base)):
            raise InputError(f"{origin} is {value!r}, expected a subclass of {base.__qualname__}")
        says_all = all(hasattr(value, each) for each in stated)
        complete = not getattr(value, "__abstractmethods__", None) and is_dataclass(value)
        if not (complete and says_all):
            raise InputError(f"{origin} is unfinished: expected {expected}")
        return value

    return checked
