"""The nn dialect runs: on torch CPU tensors, storage types native. Each group of ops has its own file.

Contractions and reductions decode floats to f32 and give f32; integers are summed exactly. Elementwise operators
compute in f32 whatever they are stored in. Only `nn.cast` rounds.
"""

from __future__ import annotations

from xdsl.interpreter import register_impls

from swkpu.interp.nn_contractions import ContractionFunctions
from swkpu.interp.nn_elementwise import ElementwiseFunctions
from swkpu.interp.nn_movement import MovementFunctions
from swkpu.interp.nn_normalization import NormalizationFunctions
from swkpu.interp.nn_quantized import QuantizedFunctions
from swkpu.interp.nn_reductions import ReductionFunctions
from swkpu.interp.nn_windows import WindowFunctions


@register_impls
class NNFunctions(
    ContractionFunctions,
    ElementwiseFunctions,
    MovementFunctions,
    NormalizationFunctions,
    QuantizedFunctions,
    ReductionFunctions,
    WindowFunctions,
):
    """Every nn op."""
