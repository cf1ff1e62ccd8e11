import pytest
import torch

from cmr_hub.models.dropout import Dropout


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_what_is_dropped(share):
    torch.manual_seed(0)
    layer = Dropout(share)
    rows = torch.rand(1001, 207) + 1
    out = layer(rows)
    kept = out != 0
    expected = 1 - layer.dropped / 256
    assert abs(expected - (1 - share)) < 1 / 256 + 1e-9
    assert kept.float().mean().item() == pytest.approx(expected, abs=0.005)
    torch.testing.assert_close(out[kept], rows[kept] / expected)
    # Neighbours come from one 64-bit word: they must not go together.
    both = (kept[:, 1:] & kept[:, :-1]).float().mean().item()
    assert both == pytest.approx(expected**2, abs=0.005)
    assert kept.float().mean(0).std() < 0.03


def test_seeds():
    layer, rows = Dropout(0.5), torch.ones(9, 13)
    torch.manual_seed(1)
    first, second = layer(rows), layer(rows)
    torch.manual_seed(1)
    assert torch.equal(layer(rows), first)
    assert not torch.equal(first, second)


def test_gradients_go_where_the_rows_were_kept():
    rows = torch.ones(5, 7, requires_grad=True)
    out = Dropout(0.5)(rows)
    out.sum().backward()
    assert torch.equal(rows.grad, out.detach())


def test_nothing_is_dropped_when_not_training():
    rows = torch.rand(3, 4)
    assert Dropout(0.5).eval()(rows) is rows
    assert Dropout(0.0)(rows) is rows


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_shares_out_of_range(share):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\)"):
        Dropout(share)
