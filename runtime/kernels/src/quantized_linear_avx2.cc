#define ISA avx2
#define LANES 8
#define PRODUCT "product_avx2.inl"
#include "quantized_linear.inl"
