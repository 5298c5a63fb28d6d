"""Two masks that sum to one, and guidance that starts as nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hsm.config import TINY
from hsm.features import CELL_BANDS, FRAMES_PER_COLUMN, PATCH_BANDS, STFT_BINS
from hsm.networks.mask_decoder import ConvBlock, FiLM, Guidance, MaskDecoder

W, D, E, COLUMNS = 32, 32, 16, 4
T = COLUMNS * FRAMES_PER_COLUMN + 1
EXTRACT, REMOVE = torch.tensor([0, 0]), torch.tensor([1, 1])


def fresh() -> MaskDecoder:
    torch.manual_seed(0)
    return MaskDecoder(TINY.mask, W, D, E).eval()


def trained() -> MaskDecoder:
    """With the weights drawn that are zero at first."""
    network = fresh()
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return network


@pytest.fixture(scope="module")
def given() -> tuple[Tensor, Tensor, Guidance]:
    """What was heard of two mixtures, text and guidance."""
    torch.manual_seed(1)
    guidance = Guidance(torch.randn(2, D), torch.randn(2, COLUMNS * PATCH_BANDS, D))
    return torch.randn(2, T, TINY.mask.width), torch.randn(2, W), guidance


Given = tuple[Tensor, Tensor, Guidance]


@pytest.mark.parametrize("task", [EXTRACT, REMOVE])
def test_guidance_is_nothing_at_first(given: Given, task: Tensor) -> None:
    heard, text, guidance = given
    network = fresh()
    assert torch.equal(network(heard, text, task, guidance), network(heard, text, task, None))


def test_guidance_can_be_learnt_from_the_first_step(given: Given) -> None:
    heard, text, guidance = given
    network = fresh()
    for block in network.modules():
        if isinstance(block, FiLM) and block.linear is not None:
            nn.init.normal_(block.linear.weight, std=0.1)
    network(heard, text, EXTRACT, guidance).square().sum().backward()
    for guide in (network.task_in, network.global_in, network.local_in):
        assert guide.weight.grad is not None
        assert guide.weight.grad.abs().sum() > 0


def test_once_learnt_every_part_of_the_guidance_matters(given: Given) -> None:
    heard, text, guidance = given
    network = trained()
    usual = network(heard, text, EXTRACT, guidance)
    others = (
        network(heard, text, EXTRACT, None),
        network(heard, text, EXTRACT, guidance._replace(global_target=guidance.global_target + 1)),
        network(heard, text, EXTRACT, guidance._replace(local_target=guidance.local_target + 1)),
        -network(heard, text, REMOVE, guidance),
        network(heard, text + 1, EXTRACT, guidance),
        network(heard + 1, text, EXTRACT, guidance),
    )
    for other in others:
        assert not torch.allclose(usual, other, atol=1e-3)


def test_the_two_masks_sum_to_one_in_every_bin(given: Given) -> None:
    heard, text, guidance = given
    logits = trained()(10 * heard, text, REMOVE, guidance)
    assert logits.shape == (2, T, STFT_BINS)
    assert torch.allclose(logits.sigmoid() + (-logits).sigmoid(), torch.ones_like(logits))


def test_without_guidance_extracting_and_removing_are_mirror_images(given: Given) -> None:
    heard, text, _ = given
    network = trained()
    kept, removed = (network(heard, text, task, None) for task in (EXTRACT, REMOVE))
    assert torch.equal(kept, -removed)
    assert kept.abs().max() > 0.01


def test_each_example_of_a_batch_has_its_own_task(given: Given) -> None:
    heard, text, guidance = given
    network = trained()
    mixed = network(heard, text, torch.tensor([0, 1]), guidance)
    assert torch.allclose(mixed[0], network(heard, text, EXTRACT, guidance)[0], atol=1e-5)
    assert torch.allclose(mixed[1], network(heard, text, REMOVE, guidance)[1], atol=1e-5)


def test_a_column_guides_its_five_frames_and_the_last_goes_on() -> None:
    columns = torch.arange(COLUMNS).float().reshape(1, -1, 1).expand(1, -1, 8)
    frames = MaskDecoder._to_frames(columns, T)
    assert frames.shape == (1, T, 8)
    for frame in range(T):
        assert torch.equal(frames[0, frame], torch.full((8,), float(min(frame // FRAMES_PER_COLUMN, COLUMNS - 1))))
    assert torch.equal(MaskDecoder._to_frames(columns, 7), frames[:, :7])


def test_hearing_depends_on_the_spectrum_and_on_the_sound_encoder() -> None:
    network = trained()
    torch.manual_seed(2)
    magnitude, cells = torch.rand(2, T, STFT_BINS), torch.randn(2, 4, CELL_BANDS, E)
    heard = network.encode(magnitude, cells)
    assert heard.shape == (2, T, TINY.mask.width)
    assert not torch.allclose(heard, network.encode(2 * magnitude, cells), atol=1e-3)
    assert not torch.allclose(heard, network.encode(magnitude, cells.flip(2)), atol=1e-3), "which band matters"
    alone = network.encode(magnitude[:1], cells[:1])
    assert torch.allclose(heard[:1], alone, atol=1e-5), "mixtures of a batch do not hear each other"


def test_film_is_the_identity_at_first_and_scales_and_shifts_by_its_condition() -> None:
    film, x, condition = FiLM(3, 2), torch.randn(1, 4, 2), torch.tensor([[1.0, 0.0, 0.0]])
    assert torch.equal(film(x, condition), x)
    with torch.no_grad():
        film.linear.weight[:, 0] = torch.tensor([0.5, -1.0, 7.0, 0.0])  # scales, then shifts
    assert torch.allclose(film(x, condition), torch.stack([1.5 * x[..., 0] + 7, 0 * x[..., 1]], -1))


@pytest.mark.parametrize("condition_width", [0, 3])
@pytest.mark.parametrize("dilation", [1, 2, 8])
def test_a_block_sees_three_dilations_to_either_side(dilation: int, condition_width: int) -> None:
    block = ConvBlock(4, condition_width, dilation)
    x = torch.randn(1, 61, 4, requires_grad=True)
    out = block(x, torch.randn(1, 3) if condition_width else None)
    assert out.shape == x.shape
    out[0, 30].sum().backward()
    assert x.grad is not None
    reached = x.grad[0].abs().sum(-1).nonzero()[:, 0]
    assert (int(reached.min()), int(reached.max())) == (30 - 3 * dilation, 30 + 3 * dilation)
