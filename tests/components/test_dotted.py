"""Code is named by dotted path; a path that does not work says which part."""

from pathlib import Path

import pytest
from torch import nn

from components.dotted import import_object
from components.errors import InvalidInputError


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with modules that fail in one way each."""
    name = f"pkg_{tmp_path.name.lower()}"
    folder = tmp_path / name
    folder.mkdir()
    for module, text in {
        "__init__": "",
        "good": "def network(): return 3\nnetwirk = 1\n",
        "raises": "raise ZeroDivisionError('no\\nnetwork')\n",
        "needs": "import nowhere_to_be_found\n",
        "exits": "import sys\nsys.exit('done')\n",
        "typo": "def network(:\n",
    }.items():
        (folder / f"{module}.py").write_text(text)
    (folder / "sub").mkdir()
    (folder / "sub" / "__init__.py").write_text("import nowhere_to_be_found\n")
    (folder / "sub" / "inner.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return name


def refused(path: str) -> str:
    with pytest.raises(InvalidInputError) as caught:
        import_object(path, "model.build")
    return str(caught.value)


def test_a_name_in_a_module_is_found(package: str) -> None:
    assert import_object("torch.nn:Conv2d", "model.build") is nn.Conv2d
    assert import_object(f"{package}.good:network", "model.build")() == 3


@pytest.mark.parametrize(
    "path", ["torch.nn.Conv2d", "torch.nn", "", ":", "torch:", ":nn", "torch:nn.Conv2d", "my-code:f", "a..b:f", "a:b:c"]
)
def test_what_is_no_dotted_path_is_refused(path: str) -> None:
    assert refused(path) == f"model.build: found {path!r}. Hint: write package.module:name."


def test_the_part_that_is_missing_is_named(package: str) -> None:
    hint = "Hint: is it installed, or in the working directory?"
    for path, missing in {
        "nowhere.at.all:f": "nowhere",
        f"{package}.nets.unet:f": f"{package}.nets",
        f"{package}.good.unet:f": f"{package}.good.unet",  # a module holds no modules
    }.items():
        assert refused(path) == f"model.build: {path!r}: there is no module {missing!r}. {hint}"


def test_a_missing_name_comes_with_the_nearest_one(package: str) -> None:
    path = f"{package}.good:netwrok"
    assert refused(path) == (
        f"model.build: {path!r}: the module '{package}.good' has no 'netwrok'. "
        f"Hint: did you mean {package}.good:network?"
    )
    assert refused(f"{package}.good:xyz").endswith(f"the module '{package}.good' has no 'xyz'.")


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("raises", "ZeroDivisionError: no\nnetwork"),
        ("needs", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("sub.inner", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("exits", "SystemExit: done"),
        ("typo", "SyntaxError: "),
    ],
)
def test_a_module_that_fails_when_imported_says_how(package: str, module: str, reason: str) -> None:
    said = refused(f"{package}.{module}:f")
    assert said.startswith(f"model.build: '{package}.{module}:f': importing '{package}.{module}' failed with {reason}")
