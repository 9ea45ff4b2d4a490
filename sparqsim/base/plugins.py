"""Classes that users bring: `FILE.py:CLASS`, and entry points of installed packages.

Loading one runs its code. So a name that stands in a file (a grid, a result, an accelerator) may
not be of the first kind: `refuse_code` says so. What a class must be to be used is its registry's
to check.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TypeVar

from sparqsim.base.errors import InputError, nearest, shown

Base = TypeVar("Base")

SOURCE_CLASS = re.compile(r"(.+\.py):(\w+)(?::(.*))?", re.DOTALL)
#: Also of a file without a class, which is a name that was not finished.
SOURCE_FILE = re.compile(r"\.py(:|$)")
EXPECTED = "FILE.py:CLASS"
#: What the names of modules made of users' sources begin with.
USER_MODULE = "sparqsim_user_"


@dataclass(frozen=True)
class SourceClass:
    """A class in a file of Python, as 'FILE.py:CLASS[:KEYS]' names it; `what` it is, in words."""

    path: str
    class_name: str
    keys: str
    what: str

    @classmethod
    def parse(cls, spec: str, what: str) -> SourceClass | None:
        """Return what a spec names, None for a plain name.

        Raises
        ------
        InputError
            For a file without a class.
        """
        named = SOURCE_CLASS.fullmatch(spec)
        if named is not None:
            return cls(named[1], named[2], named[3] or "", what)
        if re.search(r"\.py:?$", spec):
            raise InputError(
                f"{what} {spec!r}: names a file but no class in it"
                f"{_classes_in(spec.rstrip(':'))}; expected {EXPECTED}"
            )
        return None

    @property
    def origin(self) -> str:
        """What messages call the class: 'FILE.py:CLASS'."""
        return f"{self.path}:{self.class_name}"

    @property
    def file(self) -> Path:
        """The file. Raises InputError where there is none."""
        file = Path(self.path)
        if not file.is_file():
            raise InputError(
                f"{self.what} file {self.path!r} is not a file; expected a name or {EXPECTED}"
            )
        return file

    def load(self, base: type[Any] | tuple[type[Any], ...]) -> Any:
        """Run the file and return what it has under the class's name.

        Raises
        ------
        InputError
            For a file that is not Python or cannot be run, or has nothing of that name: then with
            the subclasses of `base` that it has.
        """
        module = self._module()
        if hasattr(module, self.class_name):
            return getattr(module, self.class_name)
        known = [each.__name__ for each in classes_of(module, base)]
        raise InputError(
            f"{self.path}: no class {self.class_name!r}{nearest(self.class_name, known)}; "
            f"expected one of {', '.join(known) or f'(the file holds no {self.what})'}"
        )

    def _module(self) -> ModuleType:
        file = self.file
        name = _module_name(file)
        loader = _AsItIsNow(name, str(file))
        module_spec = importlib.util.spec_from_file_location(name, file, loader=loader)
        if module_spec is None or module_spec.loader is None:
            raise InputError(
                f"{self.what} file {self.path!r} is not Python source; expected {EXPECTED}"
            )
        module = importlib.util.module_from_spec(module_spec)
        sys.modules[module_spec.name] = module  # dataclasses look their module up
        try:
            module_spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise InputError(f"{self.what} file {self.path!r} cannot be run: {error!r}") from error
        return module


class _AsItIsNow(SourceFileLoader):
    """Runs a file's text, and keeps nothing of it.

    What Python keeps beside a file stands for all versions of it of one second and one length.
    """

    def get_code(self, fullname: str) -> CodeType:
        """Compile what the file holds."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _module_name(file: Path) -> str:
    """Return what the module of a file is called; files of one name in two folders are two."""
    place = hashlib.sha256(str(file.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{USER_MODULE}{file.stem}_{place[:8]}"


def user_place(error: BaseException) -> str | None:
    """Return 'FILE:LINE' of the last line of a user's source that led to an error, if one did."""
    frames = traceback.walk_tb(error.__traceback__)
    places = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in frames
        if str(frame.f_globals.get("__name__")).startswith(USER_MODULE)
    ]
    return places[-1] if places else None


def named_file(spec: str) -> str | None:
    """Return the file of 'FILE.py:CLASS', None for a name without one."""
    named = SOURCE_CLASS.fullmatch(spec)
    return None if named is None else named[1]


def names_a_file(spec: str) -> bool:
    """Return whether the text names a file of Python, which would be run."""
    return named_file(spec) is not None or SOURCE_FILE.search(spec) is not None


def refuse_code(spec: str, what: str, origin: str, remedy: str) -> None:
    """Raise InputError where a name that a file holds stands for Python source, which would be run.

    Parameters
    ----------
    spec : str
        'NAME' or 'FILE.py:CLASS'.
    what : str
        What it names: 'PE design', 'dataflow'.
    origin : str
        The file that holds the name.
    remedy : str
        What a user can do who wants it run.
    """
    if names_a_file(spec):
        raise InputError(
            f"{origin}: {what} {shown(spec)} is Python code in a file, which is not run because "
            f"another file names it; expected a {what.rsplit(maxsplit=1)[-1]} that ships or is "
            f"installed, or {remedy}"
        )


def classes_of(
    module: ModuleType, base: type[Base] | tuple[type[Base], ...]
) -> Iterator[type[Base]]:
    """Yield the subclasses of `base` that a module itself defines, and that have a name."""
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, base)
            and value.__module__ == module.__name__
            and "name" in vars(value)
        ):
            yield value


@cache
def shipped_classes(package: str, base: type[Base], text: str = "") -> tuple[type[Base], ...]:
    """Return the subclasses of `base` in the files of a package's folder, in order of the files.

    With `text` only files are loaded that hold it, and those whose source is not there.
    """
    folder = importlib.import_module(package).__path__
    modules = [
        importlib.import_module(f"{package}.{entry.name}")
        for entry in pkgutil.iter_modules(folder)
        if not text or _may_hold(entry, text)
    ]
    return tuple(each for module in modules for each in classes_of(module, base))


def _may_hold(entry: pkgutil.ModuleInfo, text: str) -> bool:
    """Return whether the source of a module has a text in it, or cannot be read."""
    folder = Path(getattr(entry.module_finder, "path", ""))
    source = folder / entry.name / "__init__.py" if entry.ispkg else folder / f"{entry.name}.py"
    try:
        return text in source.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return True


def installed(group: str) -> dict[str, EntryPoint]:
    """Return what installed packages offer in a group of entry points, by name, not loaded."""
    return {entry.name: entry for entry in entry_points(group=group)}


def described(entry: EntryPoint) -> str:
    """Return how messages name an entry point."""
    return f"entry point {entry.name!r} of group {entry.group}"


def load_installed(entry: EntryPoint) -> Any:
    """Return what an entry point stands for. Raises InputError where loading it fails."""
    try:
        return entry.load()
    except Exception as error:
        raise InputError(f"{described(entry)} cannot be loaded: {error!r}") from error


def _classes_in(path: str) -> str:
    """Return ' (it has X, Y)' for the classes that a file's source defines, without running it."""
    try:
        source = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    names = re.findall(r"^class (\w+)", source, re.MULTILINE)
    return f" (it has {', '.join(names)})" if names else ""
