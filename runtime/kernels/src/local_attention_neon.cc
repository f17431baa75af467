#define ISA neon
#define LANES 4
#include "local_attention.inl"
