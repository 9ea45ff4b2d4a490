"""The package's structure, drawn from its imports: `python docs/structure.py` (needs the extra
`lint`).

With the names of installed packages, as `python docs/structure.py simpy httpx`, their figures stand
below.

First the rooms (what stands directly in `sparqsim/`), top floor first, each with its files, lines,
and the rooms it imports. A room stands one floor above the highest room that it imports; rooms that
import each other in a circle would share a floor, and are named. Then figures of functions and
files, measured as those of the codebases that this one is compared with: function lengths are
without their docstrings, density is the number of syntax-tree nodes per line of code.

Exit code 1 if rooms or modules form a circle.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles

import grimp
import networkx as nx

PACKAGE = "sparqsim"
ROOT = Path(__file__).resolve().parent.parent / PACKAGE

Function = ast.FunctionDef | ast.AsyncFunctionDef
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def room_of(module: str) -> str:
    """Return what of `sparqsim/` a module stands in; the package itself is the room '__init__'."""
    return module.split(".")[1] if "." in module else "__init__"


def imports() -> nx.DiGraph[str]:
    """Return the modules, with an arrow to each module that they import."""
    graph = grimp.build_graph(PACKAGE)
    modules: nx.DiGraph[str] = nx.DiGraph()
    modules.add_nodes_from(graph.modules)
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            modules.add_edge(module, imported)
    return modules


def rooms_of(modules: nx.DiGraph[str]) -> nx.DiGraph[str]:
    """Return the rooms, with an arrow to each room that they import.

    Arrows to the package itself are left out: its names are imported from the rooms when first
    used.
    """
    rooms: nx.DiGraph[str] = nx.DiGraph()
    rooms.add_nodes_from(room_of(module) for module in modules if module != PACKAGE)
    for source, target in modules.edges:
        outside = PACKAGE in {source, target}
        if not outside and room_of(source) != room_of(target):
            rooms.add_edge(room_of(source), room_of(target))
    return rooms


def circles(graph: nx.DiGraph[str]) -> list[list[str]]:
    """Return the circles of a graph, each as its sorted members."""
    return [
        sorted(members) for members in nx.strongly_connected_components(graph) if len(members) > 1
    ]


def floors(rooms: nx.DiGraph[str]) -> dict[str, int]:
    """Return each room's floor, from 1; the rooms of a circle share one."""
    condensed = nx.condensation(rooms)
    floor: dict[int, int] = {}
    for circle in reversed(list(nx.topological_sort(condensed))):
        below = (floor[imported] for imported in condensed.successors(circle))
        floor[circle] = 1 + max(below, default=0)
    return {
        room: floor[circle] for circle in condensed for room in condensed.nodes[circle]["members"]
    }


def drawn(rooms: nx.DiGraph[str]) -> Iterator[str]:
    """Yield a line per room, top floor first."""
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        files[parts[0].removesuffix(".py")].append(path)
    yield f"{'floor':5} {'room':12} {'files':>5} {'lines':>6}  imports"
    by_floor = sorted(floors(rooms).items(), key=lambda entry: (-entry[1], entry[0]))
    for room, floor in by_floor:
        lines = sum(len(path.read_text().splitlines()) for path in files[room])
        imported = ", ".join(sorted(rooms.successors(room)))
        yield f"{floor:5} {room:12} {len(files[room]):5} {lines:6,}  {imported}"


@dataclass(frozen=True)
class Measured:
    """A function: its lines without the docstring, its syntax-tree nodes, what it documents."""

    lines: int
    nodes: int
    documented: bool
    public: bool
    typed: bool


def measured(function: Function) -> Measured:
    """Return the figures of one function."""
    docstring = ast.get_docstring(function, clean=False)
    length = (function.end_lineno or function.lineno) - function.lineno + 1
    if docstring is not None:
        length -= docstring.count("\n") + 1
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    given = [argument for argument in arguments if argument.arg not in {"self", "cls"}]
    return Measured(
        lines=length,
        nodes=sum(1 for _ in ast.walk(function)),
        documented=docstring is not None,
        public=not function.name.startswith("_"),
        typed=function.returns is not None and all(argument.annotation for argument in given),
    )


def figures(paths: Iterable[Path]) -> Iterator[str]:
    """Yield lines of figures over source files."""
    trees, sizes = [], []
    for path in paths:
        text = path.read_text()
        trees.append(ast.parse(text))
        sizes.append(len(text.splitlines()))
    functions = [
        measured(node) for tree in trees for node in ast.walk(tree) if isinstance(node, Function)
    ]
    lengths = [function.lines for function in functions]
    density = [function.nodes / function.lines for function in functions]
    public = [function.documented for function in functions if function.public]
    typed = [function.typed for function in functions]
    comprehensions = sum(
        isinstance(node, COMPREHENSIONS) for tree in trees for node in ast.walk(tree)
    )
    yield f"files {len(sizes)}, lines {sum(sizes):,}, median file {median(sizes):.0f}"
    yield (
        f"function lines: median {median(lengths):.0f}, p90 {tenth(lengths):.0f}, over 50: "
        f"{share(length > 50 for length in lengths):.1f} %"
    )
    yield (
        f"syntax-tree nodes per line of a function: median {median(density):.1f}, "
        f"p90 {tenth(density):.1f}; per function: median "
        f"{median(function.nodes for function in functions):.0f}, "
        f"p90 {tenth([function.nodes for function in functions]):.0f}"
    )
    yield f"comprehensions per 100 lines {100 * comprehensions / sum(sizes):.1f}"
    yield f"public functions with a docstring {share(public):.1f} %, typed {share(typed):.1f} %"


def sources_of(package: str) -> list[Path]:
    """Return the source files of a package that can be imported, its tests and what was generated
    left out.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package}: no such package here; expected one that is installed")
    folder = Path(spec.origin).parent
    left_out = {"tests", "autogen"}
    return [path for path in sorted(folder.rglob("*.py")) if left_out.isdisjoint(path.parts)]


def tenth(values: list[int] | list[float]) -> float:
    """Return the value that a tenth of the values exceed."""
    return quantiles(values, n=10)[-1]


def share(answers: Iterable[bool]) -> float:
    """Return the share of true answers in percent."""
    every = list(answers)
    return 100 * sum(every) / len(every)


def main() -> int:
    """Print rooms, circles and figures."""
    modules = imports()
    rooms = rooms_of(modules)
    print(*drawn(rooms), sep="\n")
    knots = [("rooms", circle) for circle in circles(rooms)]
    knots += [("modules", circle) for circle in circles(modules)]
    for kind, circle in knots:
        print(f"circle of {kind}: {', '.join(circle)}")
    for package in (PACKAGE, *sys.argv[1:]):
        print(f"\n{package}")
        print(*figures(sources_of(package)), sep="\n")
    return 1 if knots else 0


if __name__ == "__main__":
    sys.exit(main())
