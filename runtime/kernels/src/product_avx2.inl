// Sums of products on AVX2, exact: VPMADDUBSW multiplies unsigned by signed bytes and adds two neighbours in 16 bits.
// Of nibbles and activations such a sum is at most 2 · 15 · 128 = 3,840, so that eight of them fit in 16 bits before
// they must be widened: two instructions for 32 products, where 8-bit weights, whose sums don't fit, take four.
//
// Four rows by two vectors of sums leave registers for the weights, the activations and the products. Five and six are
// no faster, and GCC then keeps some sums in memory.

constexpr int kMostRows = 4;

inline __m256i four_bytes(const int8_t* x) {
  int32_t bytes;
  std::memcpy(&bytes, x, 4);
  return _mm256_set1_epi32(bytes);
}

// sums[r][n] = the sum over k < count of x[r][k] · low nibble [k][n] + x[r][count + k] · high nibble [k][n];
// panel: bytes [count / 4][16][4], count a multiple of 16.
template <int ROWS>
void product(const int8_t* x, int64_t stride, const uint8_t* panel, int64_t count, int32_t (*sums)[kPanel]) {
  const __m256i ones = _mm256_set1_epi16(1), low_nibble = _mm256_set1_epi8(15);
  alignas(32) int32_t total[ROWS][2][8] = {};
  for (int64_t block = 0; block < count; block += 16) {
    __m256i narrow[ROWS][2];
#pragma GCC unroll 4
    for (int step = 0; step < 4; step++, panel += 64) {
      const __m256i p0 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel));
      const __m256i p1 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel + 32));
      const int8_t* at = x + block + 4 * step;
      __m256i w0 = _mm256_and_si256(p0, low_nibble), w1 = _mm256_and_si256(p1, low_nibble);
#pragma GCC unroll 4
      for (int r = 0; r < ROWS; r++) {
        const __m256i a = four_bytes(at + r * stride);
        const __m256i first = _mm256_maddubs_epi16(w0, a), second = _mm256_maddubs_epi16(w1, a);
        narrow[r][0] = step == 0 ? first : _mm256_add_epi16(narrow[r][0], first);
        narrow[r][1] = step == 0 ? second : _mm256_add_epi16(narrow[r][1], second);
      }
      w0 = _mm256_and_si256(_mm256_srli_epi16(p0, 4), low_nibble);
      w1 = _mm256_and_si256(_mm256_srli_epi16(p1, 4), low_nibble);
#pragma GCC unroll 4
      for (int r = 0; r < ROWS; r++) {
        const __m256i a = four_bytes(at + count + r * stride);
        narrow[r][0] = _mm256_add_epi16(narrow[r][0], _mm256_maddubs_epi16(w0, a));
        narrow[r][1] = _mm256_add_epi16(narrow[r][1], _mm256_maddubs_epi16(w1, a));
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; r++)
      for (int v = 0; v < 2; v++) {
        __m256i* wide = reinterpret_cast<__m256i*>(total[r][v]);
        _mm256_store_si256(wide, _mm256_add_epi32(_mm256_load_si256(wide), _mm256_madd_epi16(narrow[r][v], ones)));
      }
  }
  std::memcpy(sums, total, sizeof total);
}
