import subprocess
import sys

import pytest

from cmr_hub.encoders.texts import TEXT_ENCODERS, text_encoder, text_encoder_from_state
from cmr_hub.errors import CMRError, UnknownNameError


@pytest.mark.parametrize("name", sorted(TEXT_ENCODERS))
def test_every_name_gives_its_encoder(name: str) -> None:
    assert text_encoder(name).name == name


def test_unknown_name() -> None:
    for call in (text_encoder, lambda name: text_encoder_from_state(name, {}, {})):
        with pytest.raises(UnknownNameError, match="choose one of: bow, concat, glove"):
            call("bert")


@pytest.mark.parametrize("name", sorted(TEXT_ENCODERS))
def test_unknown_option_names_the_known_ones(name: str) -> None:
    with pytest.raises(CMRError, match=rf"^{name}: no option 'colour'; the options are: \w+"):
        text_encoder(name, colour="red")


@pytest.mark.parametrize("value", [0, "many", None, 1.5])
def test_wrong_value_names_the_option(value: object) -> None:
    with pytest.raises(CMRError, match=r"^bow: option 'min_df': .* \(got "):
        text_encoder("bow", min_df=value)


def test_the_registry_imports_nothing_heavy() -> None:
    code = (
        "import sys, cmr_hub.encoders.texts; "
        "heavy = {'numpy', 'torch', 'sklearn', 'gensim', 'transformers'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
