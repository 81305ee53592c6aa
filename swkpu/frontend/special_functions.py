"""Special functions in terms of elementary ones, to the accuracy of float32.

Polynomials are those of Abramowitz and Stegun, Handbook of Mathematical Functions (A&S), chapter 9, where no other
source is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from math import log, pi, sqrt

import torch
from torch import Tensor
from torch._ops import OpOverload

from swkpu.frontend.decompositions import decomposition

aten = torch.ops.aten


Function = Callable[[Tensor], Tensor]


def special_function(operator: OpOverload) -> Callable[[Function], Function]:
    """Register a function of floats: it is computed in float32, and rounded to the type of floats that it is given."""

    def register(function: Function) -> Function:
        @wraps(function)
        def in_float32(x: Tensor) -> Tensor:
            return function(x.float()).to(x.dtype if x.is_floating_point() else torch.float32)

        decomposition(operator)(in_float32)
        return function

    return register


def horner(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """The polynomial with these coefficients, that of x⁰ first."""
    *rest, last = coefficients
    result = torch.full_like(x, last)
    for coefficient in reversed(rest):
        result = result * x + coefficient
    return result


# ---- the gamma function ----


@special_function(aten.lgamma.default)
def lgamma(x: Tensor) -> Tensor:
    """Stirling's series at x + 8; the reflection formula below 1/2."""
    reflected = x < 0.5
    z = torch.where(reflected, 1 - x, x)
    product = z
    for i in range(1, 8):
        product = product * (z + i)
    near = z < 8
    w = torch.where(near, z + 8, z)
    series = horner(1 / (w * w), (1 / 12, -1 / 360, 1 / 1260, -1 / 1680)) / w
    result = (w - 0.5) * torch.log(w) - w + 0.5 * log(2 * pi) + series
    result = torch.where(near, result - torch.log(product), result)
    result = torch.where(z == torch.inf, torch.inf, result)
    fraction = x - torch.floor(x)
    return torch.where(reflected, log(pi) - torch.log(torch.sin(pi * fraction).abs()) - result, result)


@special_function(aten.digamma.default)
def digamma(x: Tensor) -> Tensor:
    """A&S 6.3.18 at x + 6; the reflection formula 6.3.7 below 0."""
    reflected = x < 0
    z = torch.where(reflected, 1 - x, x)
    steps = sum((1 / (z + i) for i in range(1, 6)), 1 / z)
    w = z + 6
    inverse = 1 / (w * w)
    result = torch.log(w) - 0.5 / w - inverse * horner(inverse, (1 / 12, -1 / 120, 1 / 252, -1 / 240)) - steps
    fraction = x - torch.trunc(x)
    result = torch.where(reflected, result - pi / torch.tan(pi * fraction), result)
    pole = torch.where(x == 0, -torch.copysign(torch.full_like(x, torch.inf), x), torch.nan)
    return torch.where((x <= 0) & (fraction == 0), pole, result)


@decomposition(aten.polygamma.default)
def polygamma(n: int, x: Tensor) -> Tensor:
    """For n = 0 and n = 1 only."""
    if n == 0:
        return torch.digamma(x)
    return _trigamma(x.float()).to(x.dtype if x.is_floating_point() else torch.float32) if n == 1 else NotImplemented


def _trigamma(x: Tensor) -> Tensor:
    """A&S 6.4.12 at x + 8; the reflection formula 6.4.7 below 1/2."""
    reflected = x < 0.5
    z = torch.where(reflected, 1 - x, x)
    steps = sum(((z + i) ** -2 for i in range(1, 8)), z**-2)
    w = z + 8
    inverse = 1 / (w * w)
    result = steps + 1 / w + 0.5 * inverse + inverse / w * horner(inverse, (1 / 6, -1 / 30, 1 / 42, -1 / 30))
    sine = torch.sin(pi * (x - torch.floor(x)))
    return torch.where(reflected, (pi / sine) ** 2 - result, result)


# ---- the error function ----


@special_function(aten.erfinv.default)
def erfinv(x: Tensor) -> Tensor:
    """M. Giles, Approximating the erfinv function (GPU Computing Gems, 2011)."""
    result = x * _erfinv_factor(-torch.log((1 - x) * (1 + x)))
    return torch.where(x.abs() == 1, x * torch.inf, result)


def _erfinv_factor(w: Tensor) -> Tensor:
    centre = (1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087,
              -4.39150654e-06, -3.5233877e-06, 3.43273939e-07, 2.81022636e-08)  # fmt: skip
    tail = (2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773,
            -0.00367342844, 0.00134934322, 0.000100950558, -0.000200214257)  # fmt: skip
    return torch.where(w < 5, horner(w - 2.5, centre), horner(torch.sqrt(w) - 3, tail))


@special_function(aten.special_ndtri.default)
def ndtri(p: Tensor) -> Tensor:
    result = sqrt(2) * (2 * p - 1) * _erfinv_factor(-torch.log(4 * p * (1 - p)))
    return torch.where(p == 0, -torch.inf, torch.where(p == 1, torch.inf, result))


@special_function(aten.special_erfcx.default)
def erfcx(x: Tensor) -> Tensor:
    """W. Press et al., Numerical Recipes, erfcc: relative error 1.2e-7."""
    size = x.abs()
    t = 1 / (1 + 0.5 * size)
    right = t * torch.exp(
        horner(t, (-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806,
                   0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277))
    )  # fmt: skip
    return torch.where(x < 0, 2 * torch.exp(x * x) - right, right)


@special_function(aten.special_log_ndtr.default)
def log_ndtr(x: Tensor) -> Tensor:
    t = x / sqrt(2)
    left = torch.log(torch.special.erfcx(-t) / 2) - t * t
    return torch.where(x < -1, left, torch.log1p(-torch.erfc(t) / 2))


# ---- modified Bessel functions: A&S 9.8.1 to 9.8.8 ----

_I0 = (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813)
_I0_FAR = (0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281,
           -0.02057706, 0.02635537, -0.01647633, 0.00392377)  # fmt: skip
_I1 = (0.5, 0.87890594, 0.51498869, 0.15084934, 0.02658733, 0.00301532, 0.00032411)
_I1_FAR = (0.39894228, -0.03988024, -0.00362018, 0.00163801, -0.01031555,
           0.02282967, -0.02895312, 0.01787654, -0.00420059)  # fmt: skip
_K0 = (-0.57721566, 0.42278420, 0.23069756, 0.03488590, 0.00262698, 0.00010750, 0.00000740)
_K0_FAR = (1.25331414, -0.07832358, 0.02189568, -0.01062446, 0.00587872, -0.00251540, 0.00053208)
_K1 = (1.0, 0.15443144, -0.67278579, -0.18156897, -0.01919402, -0.00110404, -0.00004686)
_K1_FAR = (1.25331414, 0.23498619, -0.03655620, 0.01504268, -0.00780353, 0.00325614, -0.00068245)


def _i_scaled(size: Tensor, near: Sequence[float], far: Sequence[float]) -> Tensor:
    """e^-x I0(x), or e^-x I1(x) / x near 0, for x >= 0."""
    close = horner((size / 3.75) ** 2, near) * torch.exp(-size)
    return torch.where(size < 3.75, close, horner(3.75 / size, far) / torch.sqrt(size))


@special_function(aten.special_i0e.default)
def i0e(x: Tensor) -> Tensor:
    return _i_scaled(x.abs(), _I0, _I0_FAR)


@special_function(aten.special_i1e.default)
def i1e(x: Tensor) -> Tensor:
    size = x.abs()
    close = size * horner((size / 3.75) ** 2, _I1) * torch.exp(-size)
    return torch.sign(x) * torch.where(size < 3.75, close, horner(3.75 / size, _I1_FAR) / torch.sqrt(size))


@special_function(aten.i0.default)
def i0(x: Tensor) -> Tensor:
    return torch.special.i0e(x) * torch.exp(x.abs())


@special_function(aten.special_i1.default)
def i1(x: Tensor) -> Tensor:
    return torch.special.i1e(x) * torch.exp(x.abs())


@special_function(aten.special_modified_bessel_i0.default)
def modified_bessel_i0(x: Tensor) -> Tensor:
    return torch.special.i0(x)


@special_function(aten.special_modified_bessel_i1.default)
def modified_bessel_i1(x: Tensor) -> Tensor:
    return torch.special.i1(x)


@special_function(aten.special_scaled_modified_bessel_k0.default)
def scaled_k0(x: Tensor) -> Tensor:
    near = horner((x / 2) ** 2, _K0) - torch.log(x / 2) * torch.special.i0(x)
    return _k(x, near * torch.exp(x), _K0_FAR)


@special_function(aten.special_scaled_modified_bessel_k1.default)
def scaled_k1(x: Tensor) -> Tensor:
    near = horner((x / 2) ** 2, _K1) / x + torch.log(x / 2) * torch.special.i1(x)
    return _k(x, near * torch.exp(x), _K1_FAR)


def _k(x: Tensor, near: Tensor, far: Sequence[float]) -> Tensor:
    result = torch.where(x <= 2, near, horner(2 / x, far) / torch.sqrt(x))
    return torch.where(x == 0, torch.inf, torch.where(x < 0, torch.nan, result))


@special_function(aten.special_modified_bessel_k0.default)
def modified_bessel_k0(x: Tensor) -> Tensor:
    return torch.special.scaled_modified_bessel_k0(x) * torch.exp(-x)


@special_function(aten.special_modified_bessel_k1.default)
def modified_bessel_k1(x: Tensor) -> Tensor:
    return torch.special.scaled_modified_bessel_k1(x) * torch.exp(-x)


@special_function(aten.special_spherical_bessel_j0.default)
def spherical_j0(x: Tensor) -> Tensor:
    near = horner(x * x, (1.0, -1 / 6, 1 / 120, -1 / 5040))
    return torch.where(x.abs() < 0.5, near, torch.where(x.isinf(), 0.0, torch.sin(x) / x))
