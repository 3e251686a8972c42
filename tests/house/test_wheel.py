"""What `make wheel` built can be installed and used without its sources. It runs there, not in `make test`."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.house.source import ROOT

pytestmark = pytest.mark.heavy

PROGRAM = """
import laneway, laneway._core, laneway.bundle, pathlib
package = pathlib.Path(laneway.__file__).parent
assert laneway.bundle.path("config/catalog.toml").is_relative_to(package)
assert pathlib.Path(laneway._core.__file__).parent == package
assert laneway.Failure.__module__ == "laneway.failure"
print(package)
"""


def _built(pattern: str) -> Path:
    (found,) = (ROOT / "dist").glob(pattern)
    return found


def test_the_wheel_works_where_there_are_no_sources(tmp_path: Path) -> None:
    with zipfile.ZipFile(_built("laneway-*.whl")) as wheel:
        wheel.extractall(tmp_path)
    # -S leaves out the editable installation, and the libraries are added by name.
    libraries = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {sysconfig.get_path('purelib')!r}]"
    command = [sys.executable, "-I", "-S", "-c", f"{libraries}\n{PROGRAM}"]
    ran = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert ran.stdout.strip() == str(tmp_path / "laneway"), ran.stderr


def test_the_wheel_holds_what_runs_and_no_more() -> None:
    with zipfile.ZipFile(_built("laneway-*.whl")) as wheel:
        names = wheel.namelist()
    assert {"laneway/py.typed", "laneway/_core.pyi", "laneway/data/config/catalog.toml"} <= set(names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert len([name for name in names if name.endswith((".so", ".pyd"))]) == 1
    assert not [name for name in names if not name.startswith("laneway")]
    assert not [name for name in names if name.endswith((".cpp", ".hpp", ".toml")) and "/data/" not in name]
