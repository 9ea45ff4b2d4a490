"""Designs from outside: the worked example of the docs, `pe check`, and a separately installed
package.
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "docs/examples/five_bit_pe.py"

PACKAGE = '''
from dataclasses import dataclass
from typing import ClassVar
from sparqsim import PEDesign
from sparqsim.pe import Step

@dataclass(frozen=True)
class Halver(PEDesign):
    """A PE that drops the least bit of every activation."""
    name: ClassVar[str] = "halver"
    lanes: ClassVar[int] = 1
    signed_activations: ClassVar[bool] = False

    def step(self, xs, ws, signed=False):
        return Step((xs[0] & 254) * ws[0])

    def used_activations(self, x):
        return x & 254
'''


def sparqsim_command(*arguments, folders=()):
    """Run the command line as another process, with further folders of packages."""
    path = os.pathsep.join(map(str, (*folders, ROOT)))
    return subprocess.run(
        [sys.executable, "-m", "sparqsim", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which pip installed a wheel that offers one design."""
    folder = tmp_path_factory.mktemp("package")
    info = "halver_pe-1.0.dist-info/"
    files = {
        "halver_pe.py": PACKAGE,
        info + "METADATA": "Metadata-Version: 2.1\nName: halver-pe\nVersion: 1.0\n",
        info
        + "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        info
        + "entry_points.txt": "[sparqsim.pe]\nhalver = halver_pe:Halver\nhollow = halver_pe:Missing\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, info + "RECORD"))
    with zipfile.ZipFile(folder / "halver_pe-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in {**files, info + "RECORD": record}.items():
            wheel.writestr(name, text)
    pytest.importorskip("pip", reason="pip is not there to install the package")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--target",
            folder / "site",
            *folder.glob("*.whl"),
        ],
        check=True,
    )
    return folder / "site"


def test_installed_package_is_listed_shown_checked_and_simulated(installed, small_path):
    listed = sparqsim_command("pe", "list", folders=[installed])
    assert "halver: from another package (halver_pe:Halver)" in listed.stdout
    assert (
        "drops the least bit"
        in sparqsim_command("pe", "show", "halver", folders=[installed]).stdout
    )
    checked = sparqsim_command("pe", "check", "halver", folders=[installed])
    assert (checked.returncode, checked.stdout.count("  ok  ")) == (0, 19 - 1 + 7)
    report = small_path.with_name("report.json")
    words = ("simulate", small_path, "--pe", "halver", "-o", report)
    run = sparqsim_command(*words, folders=[installed])
    assert (run.returncode, run.stderr) == (0, "")
    assert '"name": "halver"' in report.read_text()


def test_not_installed_is_not_known():
    run = sparqsim_command("pe", "show", "halver")
    assert run.returncode == 2
    assert run.stderr.startswith("sparqsim: PE design 'halver' is not known")


def test_entry_point_without_its_class_is_bad_input(installed):
    run = sparqsim_command("pe", "check", "hollow", folders=[installed])
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert "entry point 'hollow' of group sparqsim.pe cannot be loaded" in run.stderr


def test_the_worked_example_keeps_its_contract(run):
    ended = run("pe", "check", f"{EXAMPLE}:FiveBit")
    assert (ended.code, ended.out.count("  ok  "), ended.out.count("FAILED")) == (
        0,
        2 * 19 - 2 + 14,
        0,
    )


def test_the_worked_example_runs(run, small_path):
    report = small_path.with_name("report.json")
    ended = run("simulate", small_path, "--pe", f"{EXAMPLE}:FiveBit:placement=top", "-o", report)
    assert (ended.code, ended.err) == (0, "")
    assert '"spec": "five-bit:placement=top"' in report.read_text()


def test_the_worked_example_by_hand():
    from sparqsim import get_pe

    pe = get_pe(f"{EXAMPLE}:FiveBit")
    # 201 = 0b11001001 keeps 11001|001 -> 25 << 3; 99 = 0b1100011 keeps 110|0011 -> 6 << 4; a lone
    # value keeps all.
    assert pe.step((201, 99), (3, -5)).value == 200 * 3 + 96 * -5
    assert pe.step((0, 99), (3, -5)).value == 99 * -5
    assert pe.step((201, 0), (3, -5)).value == 201 * 3


def test_a_failed_check_ends_in_1_and_names_operands(run, tmp_path):
    file = tmp_path / "broken.py"
    file.write_text(EXAMPLE.read_text().replace("(lone & 7)", "(lone & 3)"))
    ended = run("pe", "check", f"{file}:FiveBit:placement=top")
    assert ended.code == 1
    assert "FAILED  matmul = step, all pairs of activations: x=(0, 4) w=" in ended.out
    assert ended.out.endswith("4 checks failed\n")


@pytest.mark.parametrize(
    ("design", "message"),
    [
        ("nowhere.py:FiveBit", "'nowhere.py' is not a file"),
        (f"{EXAMPLE}:FiveBits", "did you mean FiveBit?"),
        (f"{EXAMPLE}:FiveBit:placement=low", "expected one of leading-one, top"),
        (f"{EXAMPLE}:BITS", "expected a subclass of sparqsim.PEDesign"),
    ],
)
def test_bad_input_ends_in_2_on_one_line(design, message, run):
    ended = run("pe", "check", design)
    assert (ended.code, ended.err.count("\n"), ended.out) == (2, 1, "")
    assert message in ended.err


def test_a_key_without_default_is_bad_input(run, tmp_path):
    file = tmp_path / "needy.py"
    file.write_text(PACKAGE.replace("    lanes:", "    depth: int\n    lanes:"))
    ended = run("pe", "check", f"{file}:Halver")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "depth" in ended.err
