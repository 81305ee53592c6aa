"""Special functions written in elementary ones are torch's to float32 accuracy."""

from collections.abc import Callable

import pytest
import torch

from swkpu.frontend import special_functions as ours
from swkpu.frontend.decompositions import frexp, histc

SEED = torch.Generator().manual_seed(1)
LINE = torch.cat([torch.randn(500, generator=SEED) * 3, torch.linspace(0.01, 40, 500), torch.tensor([0.0, 1.0, 2.0])])
POSITIVE = LINE.abs() + 0.01
PROBABILITY = torch.cat([torch.rand(500, generator=SEED), torch.tensor([1e-6, 0.0, 1.0])])

Function = Callable[[torch.Tensor], torch.Tensor]

FUNCTIONS: dict[str, tuple[Function, Function, torch.Tensor]] = {
    "lgamma": (ours.lgamma, torch.lgamma, LINE),
    "digamma": (ours.digamma, torch.digamma, LINE),
    "trigamma": (lambda x: ours.polygamma(1, x), lambda x: torch.polygamma(1, x), POSITIVE - 5),
    "erfinv": (ours.erfinv, torch.erfinv, PROBABILITY * 2 - 1),
    "ndtri": (ours.ndtri, torch.special.ndtri, PROBABILITY),
    "erfcx": (ours.erfcx, torch.special.erfcx, LINE.clamp(min=-5)),
    "log_ndtr": (ours.log_ndtr, torch.special.log_ndtr, LINE),
    "i0": (ours.i0, torch.special.i0, LINE),
    "i0e": (ours.i0e, torch.special.i0e, LINE),
    "i1": (ours.i1, torch.special.i1, LINE),
    "i1e": (ours.i1e, torch.special.i1e, LINE),
    "k0": (ours.modified_bessel_k0, torch.special.modified_bessel_k0, LINE),
    "k1": (ours.modified_bessel_k1, torch.special.modified_bessel_k1, LINE),
    "scaled_k0": (ours.scaled_k0, torch.special.scaled_modified_bessel_k0, LINE),
    "scaled_k1": (ours.scaled_k1, torch.special.scaled_modified_bessel_k1, LINE),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_function(name: str) -> None:
    function, reference, x = FUNCTIONS[name]
    expected = reference(x.double()).float()
    torch.testing.assert_close(function(x), expected, rtol=1e-4, atol=1e-5, equal_nan=True)


def test_frexp_is_exact() -> None:
    powers = torch.exp2(torch.arange(-120.0, 120.0))
    x = torch.cat([LINE, powers, -powers, torch.nextafter(powers, torch.zeros(())), torch.tensor([0.0, torch.inf])])
    mantissa, exponent = frexp(x)
    assert torch.equal(mantissa, torch.frexp(x).mantissa) and torch.equal(exponent, torch.frexp(x).exponent)


@pytest.mark.parametrize("limits", [(0.0, 0.0), (-1.0, 2.0)])
def test_histc(limits: tuple[float, float]) -> None:
    assert torch.equal(histc(LINE, 7, *limits), torch.histc(LINE, 7, *limits))
