"""The interface between passes and converters: what a pass may put into a model beside ordinary torch modules."""

from .integer_weight import IntegerWeight, WeightFormat
from .local_attention import LocalAttention, LocalPattern
from .quantized_embedding import QuantizedEmbedding
from .quantized_linear import QuantizedLinear

__all__ = ["IntegerWeight", "LocalAttention", "LocalPattern", "QuantizedEmbedding", "QuantizedLinear", "WeightFormat"]
