#define ISA neon
#define LANES 4
#define PRODUCT "product_neon.inl"
#include "quantized_linear.inl"
