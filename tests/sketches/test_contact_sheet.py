from PIL import Image

from cmr_hub_sketches.contact_sheet import main


def test_contact_sheet(tmp_path, capsys):
    main(tmp_path / "sheet.png")
    assert str(tmp_path / "sheet.png") in capsys.readouterr().out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (1536, 1346)
        assert len(sheet.convert("RGB").resize((64, 64)).getcolors(5000)) > 1000
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
