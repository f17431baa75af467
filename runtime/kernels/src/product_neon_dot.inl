// Sums of products on NEON with SDOT, exact: it multiplies 16 signed bytes by 16 and adds four neighbours in 32 bits,
// here four columns by four inputs.
//
// Four rows by four vectors of sums leave registers for the weights and activations.

constexpr int kMostRows = 4;

template <int ROWS>
struct Inputs { int8x16_t low[ROWS], high[ROWS]; };  // 16 activations of a row for low nibbles, 16 for high ones

// Inputs 4 · STEP ... + 3 of a block of 16.
template <int STEP, int ROWS>
inline void add_step(int32x4_t (&sum)[ROWS][4], const Inputs<ROWS>& x, const uint8_t* panel) {
#pragma GCC unroll 4
  for (int v = 0; v < 4; v++) {
    const uint8x16_t bytes = vld1q_u8(panel + 64 * STEP + 16 * v);
    const int8x16_t low = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
    const int8x16_t high = vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4));
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; r++) {
      sum[r][v] = vdotq_laneq_s32(sum[r][v], low, x.low[r], STEP);
      sum[r][v] = vdotq_laneq_s32(sum[r][v], high, x.high[r], STEP);
    }
  }
}

// sums[r][n] = the sum over k < count of x[r][k] · low nibble [k][n] + x[r][count + k] · high nibble [k][n];
// panel: bytes [count / 4][16][4], count a multiple of 16.
template <int ROWS>
void product(const int8_t* x, int64_t stride, const uint8_t* panel, int64_t count, int32_t (*sums)[kPanel]) {
  int32x4_t sum[ROWS][4] = {};
  for (int64_t block = 0; block < count; block += 16, panel += 256) {
    Inputs<ROWS> inputs;
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; r++) {
      inputs.low[r] = vld1q_s8(x + r * stride + block);
      inputs.high[r] = vld1q_s8(x + r * stride + count + block);
    }
    add_step<0>(sum, inputs, panel);
    add_step<1>(sum, inputs, panel);
    add_step<2>(sum, inputs, panel);
    add_step<3>(sum, inputs, panel);
  }
  for (int r = 0; r < ROWS; r++)
    for (int v = 0; v < 4; v++) vst1q_s32(sums[r] + 4 * v, sum[r][v]);
}
