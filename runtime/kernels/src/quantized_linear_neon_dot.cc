#define ISA neon_dot
#define LANES 4
#define PRODUCT "product_neon_dot.inl"
#include "quantized_linear.inl"
