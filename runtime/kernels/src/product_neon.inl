// Sums of products on NEON without dot products, exact: SMLAL multiplies eight signed bytes by eight and adds in 16
// bits. A nibble by an activation is at most 15 · 128 = 1,920: a lane holds the eight products of a block, and those of
// its neighbour too, before they must be widened. With 8-bit weights it holds two.
//
// Eight bytes are two columns by four inputs. Two rows by eight vectors of narrow sums leave registers for the weights
// and the activations; four rows by half the columns take a tenth more instructions.

constexpr int kMostRows = 2;

template <int ROWS>
struct Inputs { int32x4_t low[ROWS], high[ROWS]; };  // 16 activations of a row for low nibbles, 16 for high ones

// weights: of four columns by the four inputs whose activations stand four times in x.
inline void add_products(int16x8_t* narrow, int8x16_t weights, int8x16_t x) {
  narrow[0] = vmlal_s8(narrow[0], vget_low_s8(weights), vget_low_s8(x));
  narrow[1] = vmlal_high_s8(narrow[1], weights, x);
}

// Inputs 4 · STEP ... + 3 of a block of 16.
template <int STEP, int ROWS>
inline void add_step(int16x8_t (&narrow)[ROWS][8], const Inputs<ROWS>& x, const uint8_t* panel) {
  int8x16_t x_low[ROWS], x_high[ROWS];
#pragma GCC unroll 2
  for (int r = 0; r < ROWS; r++) {
    x_low[r] = vreinterpretq_s8_s32(vdupq_laneq_s32(x.low[r], STEP));
    x_high[r] = vreinterpretq_s8_s32(vdupq_laneq_s32(x.high[r], STEP));
  }
#pragma GCC unroll 4
  for (int v = 0; v < 4; v++) {
    const uint8x16_t bytes = vld1q_u8(panel + 64 * STEP + 16 * v);
    const int8x16_t low = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
    const int8x16_t high = vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4));
#pragma GCC unroll 2
    for (int r = 0; r < ROWS; r++) {
      add_products(&narrow[r][2 * v], low, x_low[r]);
      add_products(&narrow[r][2 * v], high, x_high[r]);
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
#pragma GCC unroll 2
    for (int r = 0; r < ROWS; r++) {
      inputs.low[r] = vreinterpretq_s32_s8(vld1q_s8(x + r * stride + block));
      inputs.high[r] = vreinterpretq_s32_s8(vld1q_s8(x + r * stride + count + block));
    }
    int16x8_t narrow[ROWS][8] = {};
    add_step<0>(narrow, inputs, panel);
    add_step<1>(narrow, inputs, panel);
    add_step<2>(narrow, inputs, panel);
    add_step<3>(narrow, inputs, panel);
#pragma GCC unroll 2
    for (int r = 0; r < ROWS; r++)
      for (int v = 0; v < 4; v++)
        sum[r][v] = vpadalq_s16(sum[r][v], vpaddq_s16(narrow[r][2 * v], narrow[r][2 * v + 1]));
  }
  for (int r = 0; r < ROWS; r++)
    for (int v = 0; v < 4; v++) vst1q_s32(sums[r] + 4 * v, sum[r][v]);
}
