"""The page on choosing a loss: its Python runs, its study files pass every check, its table is that of the presets."""

import re
from pathlib import Path

import pytest

from components import LossManager
from tests.toys import tiny_data
from tuning.checks import check_study
from tuning.study_file import read_study_file

PAGE = (Path(__file__).parent.parent / "docs" / "how_to" / "choose_a_loss.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "choose_a_loss.md", "exec"), {})  # noqa: S102 - our own
    assert (tmp_path / "losses.html").exists() == ("write_html" in code)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_the_study_files_pass_every_check(text: str, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(text)
    names = {parameter.name for parameter in check_study(read_study_file(file).load(), tiny_data()).parameters}
    assert names & {"loss.preset", "loss.terms.region.kind"}


def test_every_preset_is_in_the_table_with_its_weights() -> None:
    rows = {row[1].strip(" `"): row for row in (line.split("|")[1:] for line in PAGE.splitlines()) if len(row) == 5}
    for name, preset in LossManager.presets().items():
        terms = [term.split(" ")[1] for term in rows[name][2].strip().split(" + ")]
        assert terms == list(preset.config["weights"])
        assert preset.source in rows[name][3]
