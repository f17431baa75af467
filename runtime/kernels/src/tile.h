// Tiles of queries and keys, and the attention of one to the other with an online softmax.
// Included once an instruction set, inside its namespace, after vector.h.

constexpr int kRows = 6;                       // rows of a register block: with kColumns it fills the registers,
constexpr int kColumns = LANES == 8 ? 2 : 4;   // 16 of AVX2, 32 of AVX512 and NEON
constexpr float kMinusInfinity = -INFINITY;

// A tile of packed keys and values.
struct Keys {
  float* keys;     // [head_dim][64]
  float* values;   // [64][width], width = head_dim filled up with zeros to whole vectors
  int32_t* seen;   // [64], -1 where the key exists and is kept, else 0
  int count;       // keys that exist
  bool all_seen;   // nothing to mask, up to whole vectors of count
  bool any_seen;
};

// A tile of queries and what the online softmax knows of them.
struct Queries {
  float* scaled;                // [64][head_dim]
  float* output;                // [64][width]
  int rows;
  int head_dim, width;
  float maximum[kTile];
  vf sum[kTile];                // by lane; added up at the end
  int32_t position[kTile];
};

// Which keys of a tile each query may see, beside Keys::seen.
struct Visibility {
  int first[kTile], last[kTile];       // key numbers inside the tile, ascending with the row; may lie outside of it
  const float* bias = nullptr;         // bias of row r, key j: bias[r * bias_step + j]
  int bias_step = 0;
  const int32_t* positions = nullptr;  // a tile of global keys: theirs; keys inside a query's window are left out
  const int32_t* in_class = nullptr;   // -1 where that key could lie in the window
  int32_t reach_left = 0, reach_right = 0;
  bool causal = false;
};

// C[R][columns] (+)= A[R][begin..end) B[begin..end)[columns]; columns in vectors.
template <int R, int COLUMNS, bool ACCUMULATE>
inline __attribute__((always_inline)) void block(const float* a, int lda, const float* b, int ldb, float* c, int ldc,
                                                 int begin, int end) {
  vf sum[R][COLUMNS];
  for (int r = 0; r < R; r++)
    for (int v = 0; v < COLUMNS; v++) sum[r][v] = ACCUMULATE ? load(c + r * ldc + v * LANES) : (vf){};
  for (int k = begin; k < end; k++) {
    vf row[COLUMNS];
    for (int v = 0; v < COLUMNS; v++) row[v] = load(b + static_cast<int64_t>(k) * ldb + v * LANES);
    for (int r = 0; r < R; r++) {
      vf x = broadcast(a[r * lda + k]);
      for (int v = 0; v < COLUMNS; v++) sum[r][v] += x * row[v];
    }
  }
  for (int r = 0; r < R; r++)
    for (int v = 0; v < COLUMNS; v++) store(c + r * ldc + v * LANES, sum[r][v]);
}

template <int R, bool ACCUMULATE>
inline void multiply(const float* a, int lda, const float* b, int ldb, float* c, int ldc, int begin, int end, int first,
                     int last) {
  int v = first;
  for (; v + kColumns <= last; v += kColumns)
    block<R, kColumns, ACCUMULATE>(a, lda, b + v * LANES, ldb, c + v * LANES, ldc, begin, end);
  if (kColumns > 2 && v + 2 <= last) {
    block<R, 2, ACCUMULATE>(a, lda, b + v * LANES, ldb, c + v * LANES, ldc, begin, end);
    v += 2;
  }
  if (v < last) block<R, 1, ACCUMULATE>(a, lda, b + v * LANES, ldb, c + v * LANES, ldc, begin, end);
}

inline vi visible(const Visibility& visibility, const Keys& tile, int row, int32_t position, int j) {
  vi seen = load_int(tile.seen + j);
  if (visibility.positions != nullptr) {
    vi at = load_int(visibility.positions + j);
    vi in_window = load_int(visibility.in_class + j) & (at >= broadcast_int(position - visibility.reach_left)) &
                   (at <= broadcast_int(position + visibility.reach_right));
    seen &= ~in_window;
    if (visibility.causal) seen &= at <= broadcast_int(position);
    return seen;
  }
  vi number = lane_numbers() + j;
  return seen & (number >= broadcast_int(visibility.first[row])) & (number <= broadcast_int(visibility.last[row]));
}

// Scores of one row become exp(score - maximum); the row's sum, maximum and output so far follow.
inline void soften(Queries& queries, const Keys& tile, const Visibility& visibility, int row, float* scores, int first,
                   int last) {
  bool masked = !tile.all_seen || visibility.positions != nullptr || visibility.first[row] > first * LANES ||
                visibility.last[row] < last * LANES - 1;
  const float* bias = visibility.bias ? visibility.bias + static_cast<int64_t>(row) * visibility.bias_step : nullptr;
  vf top = broadcast(kMinusInfinity);
  if (masked || bias != nullptr) {
    for (int v = first; v < last; v++) {
      vf x = load(scores + v * LANES);
      if (bias != nullptr) x += load(bias + v * LANES);
      if (masked) x = visible(visibility, tile, row, queries.position[row], v * LANES) ? x : broadcast(kMinusInfinity);
      store(scores + v * LANES, x);
      top = maximum(top, x);
    }
  } else {
    for (int v = first; v < last; v++) top = maximum(top, load(scores + v * LANES));
  }
  float before = queries.maximum[row], found = largest(top);
  float now = !(found <= before) ? found : before;  // NaN stays
  vf shift = broadcast(now == kMinusInfinity ? 0.0f : now), sum = {};
  for (int v = first; v < last; v++) {
    vf e = exponential(load(scores + v * LANES) - shift);
    store(scores + v * LANES, e);
    sum += e;
  }
  if (!(now == before)) {
    vf factor = exponential(broadcast(before) - shift);
    float* output = queries.output + row * queries.width;
    for (int d = 0; d < queries.width; d += LANES) store(output + d, load(output + d) * factor);
    queries.sum[row] *= factor;
    queries.maximum[row] = now;
  }
  queries.sum[row] += sum;
}

// R queries against one tile of keys. Only the vectors that one of them can see are touched.
template <int R>
inline void attend_rows(Queries& queries, const Keys& tile, const Visibility& visibility, int row) {
  int begin = std::max(0, visibility.first[row]), end = std::min(tile.count, visibility.last[row + R - 1] + 1);
  if (begin >= end) return;
  int first = begin / LANES, last = (end + LANES - 1) / LANES;
  alignas(64) float scores[R * kTile];
  multiply<R, false>(queries.scaled + row * queries.head_dim, queries.head_dim, tile.keys, kTile, scores, kTile, 0,
                     queries.head_dim, first, last);
  for (int r = 0; r < R; r++) soften(queries, tile, visibility, row + r, scores + r * kTile, first, last);
  float* output = queries.output + row * queries.width;
  multiply<R, true>(scores, kTile, tile.values, queries.width, output, queries.width, begin, end, 0,
                    queries.width / LANES);
}

template <int R>
inline void attend_rest(Queries& queries, const Keys& tile, const Visibility& visibility, int row) {
  if (queries.rows - row == R) return attend_rows<R>(queries, tile, visibility, row);
  if constexpr (R > 1) attend_rest<R - 1>(queries, tile, visibility, row);
}

void attend(Queries& queries, const Keys& tile, const Visibility& visibility) {
  if (!tile.any_seen) return;
  int row = 0;
  for (; row + kRows <= queries.rows; row += kRows) attend_rows<kRows>(queries, tile, visibility, row);
  attend_rest<kRows - 1>(queries, tile, visibility, row);
}
