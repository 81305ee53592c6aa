"""Elementwise nn ops that are functions of analysis: exponentials, logarithms, roots, circular and hyperbolic ones.

All on floats, angles in radians; outside its domain a function gives NaN or an infinity, as in PyTorch.
"""

from __future__ import annotations

from xdsl.irdl import irdl_op_definition

from swkpu.dialects.nn_unary import UnaryOp


@irdl_op_definition
class ExpOp(UnaryOp):
    """e^x"""

    name = "nn.exp"


@irdl_op_definition
class Exp2Op(UnaryOp):
    """2^x"""

    name = "nn.exp2"


@irdl_op_definition
class Expm1Op(UnaryOp):
    """e^x - 1, exact near 0"""

    name = "nn.expm1"


@irdl_op_definition
class LogOp(UnaryOp):
    """natural logarithm"""

    name = "nn.log"


@irdl_op_definition
class Log2Op(UnaryOp):
    """logarithm to base 2"""

    name = "nn.log2"


@irdl_op_definition
class Log10Op(UnaryOp):
    """logarithm to base 10"""

    name = "nn.log10"


@irdl_op_definition
class Log1pOp(UnaryOp):
    """log(1 + x), exact near 0"""

    name = "nn.log1p"


@irdl_op_definition
class SqrtOp(UnaryOp):
    """square root"""

    name = "nn.sqrt"


@irdl_op_definition
class RsqrtOp(UnaryOp):
    """1 / sqrt(x)"""

    name = "nn.rsqrt"


@irdl_op_definition
class ErfOp(UnaryOp):
    """Gauss error function"""

    name = "nn.erf"


@irdl_op_definition
class ErfcOp(UnaryOp):
    """1 - erf(x), exact for large x"""

    name = "nn.erfc"


@irdl_op_definition
class SinOp(UnaryOp):
    """sine"""

    name = "nn.sin"


@irdl_op_definition
class CosOp(UnaryOp):
    """cosine"""

    name = "nn.cos"


@irdl_op_definition
class TanOp(UnaryOp):
    """tangent"""

    name = "nn.tan"


@irdl_op_definition
class AsinOp(UnaryOp):
    """inverse sine"""

    name = "nn.asin"


@irdl_op_definition
class AcosOp(UnaryOp):
    """inverse cosine"""

    name = "nn.acos"


@irdl_op_definition
class AtanOp(UnaryOp):
    """inverse tangent"""

    name = "nn.atan"


@irdl_op_definition
class SinhOp(UnaryOp):
    """hyperbolic sine"""

    name = "nn.sinh"


@irdl_op_definition
class CoshOp(UnaryOp):
    """hyperbolic cosine"""

    name = "nn.cosh"


@irdl_op_definition
class TanhOp(UnaryOp):
    """hyperbolic tangent"""

    name = "nn.tanh"


@irdl_op_definition
class AsinhOp(UnaryOp):
    """inverse hyperbolic sine"""

    name = "nn.asinh"


@irdl_op_definition
class AcoshOp(UnaryOp):
    """inverse hyperbolic cosine"""

    name = "nn.acosh"


@irdl_op_definition
class AtanhOp(UnaryOp):
    """inverse hyperbolic tangent"""

    name = "nn.atanh"


FUNCTIONS: tuple[type[UnaryOp], ...] = (
    ExpOp, Exp2Op, Expm1Op, LogOp, Log2Op, Log10Op, Log1pOp, SqrtOp, RsqrtOp, ErfOp, ErfcOp, SinOp, CosOp, TanOp,
    AsinOp, AcosOp, AtanOp, SinhOp, CoshOp, TanhOp, AsinhOp, AcoshOp, AtanhOp,
)  # fmt: skip
