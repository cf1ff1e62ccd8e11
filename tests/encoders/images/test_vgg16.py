import numpy as np
import torch
from PIL import Image

from cmr_hub.encoders.images.vgg16 import VGG16Encoder, vgg16


def test_fc7_is_torchvisions():
    """138 million weights: one test, one picture."""
    with torch.device("meta"):
        network = vgg16()
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, blueprint in network.state_dict().items():
        # Without a bias above zero a random network of this depth goes dark.
        bound = (6 / blueprint[0].numel()) ** 0.5 if blueprint.ndim > 1 else 0.1
        state[name] = torch.empty(blueprint.shape).uniform_(-bound, bound, generator=generator)
    encoder = VGG16Encoder(state, "file")
    cells = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    picture = Image.fromarray(cells).resize((300, 260))

    network.load_state_dict(state, assign=True)
    seen = []
    # After the second ReLU, before the dropout and the last layer.
    network.classifier[4].register_forward_hook(lambda *call: seen.append(call[2].clone()))
    with torch.inference_mode():
        network.eval()(encoder.preprocessing(picture)[None])

    features = encoder.encode([picture])
    assert features.shape == (1, 4096)
    assert encoder.preprocessing.crop == 224
    assert features.min() == 0
    assert features.std() > 0.01
    np.testing.assert_allclose(features, seen[0].numpy(), rtol=1e-4, atol=1e-4)

    # Cut before fc6 and between fc6 and fc7.
    for blocks, shape in ((2, (1, 512, 7, 7)), (1, (1, 4096))):
        frozen, tail = encoder.cut(blocks)
        with torch.inference_mode():
            between = frozen(encoder.preprocessing(picture)[None])
            assert between.shape == shape
            np.testing.assert_allclose(tail(between).numpy(), features, rtol=1e-4, atol=1e-4)
