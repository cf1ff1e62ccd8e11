from PIL import Image
from typer.testing import CliRunner

from cmr_hub.cli import app


def test_contact_sheet(tmp_path):
    run = CliRunner().invoke(
        app, ["data", "sketches", "--contact-sheet", str(tmp_path / "sheet.png")]
    )
    assert run.exit_code == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (1536, 1346)
        assert len(sheet.convert("RGB").resize((64, 64)).getcolors(5000)) > 1000
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_only_sketches_have_one(tmp_path):
    run = CliRunner().invoke(app, ["data", "flickr8k", "--contact-sheet", str(tmp_path / "a.png")])
    assert run.exit_code == 2
    assert "only sketches" in run.output
    assert not list(tmp_path.iterdir())
