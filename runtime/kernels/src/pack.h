// Between a problem's arrays and tiles: packing, scratch memory, and writing rows out.
// Included once an instruction set, inside its namespace, after tile.h.

struct Free { void operator()(void* p) const { std::free(p); } };
using Memory = std::unique_ptr<float, Free>;

Memory allocate(size_t floats) {
  size_t bytes = (floats * sizeof(float) + 63) / 64 * 64;
  return Memory(static_cast<float*>(std::aligned_alloc(64, bytes ? bytes : 64)));
}

// What a task reads and writes, for one head of one row of the batch.
template <class T>
struct Head {
  const T *query, *key, *value;
  T* output;
  const float* keep;
  int64_t number;
};

template <class T>
Head<T> head_of(const Problem& p, int64_t batch_and_head) {
  int64_t b = batch_and_head / p.heads, h = batch_and_head % p.heads, size = p.length * p.head_dim;
  int64_t kv = b * p.kv_heads + h / (p.heads / p.kv_heads);
  return {static_cast<const T*>(p.query) + batch_and_head * size, static_cast<const T*>(p.key) + kv * size,
          static_cast<const T*>(p.value) + kv * size, static_cast<T*>(p.output) + batch_and_head * size,
          p.keep ? p.keep + b * p.length : nullptr, h};
}

// Keys and values are read at position(0 ... count - 1). Those not kept are never read: their memory may hold anything.
template <class T, class Position>
void pack(Keys& tile, const Head<T>& head, int head_dim, int width, int count, Position position) {
  int whole = (count + LANES - 1) / LANES * LANES;
  tile.count = count;
  tile.all_seen = whole == count;
  tile.any_seen = false;
  for (int j = 0; j < kTile; j++) {
    bool seen = j < count && (head.keep == nullptr || head.keep[position(j)] != 0.0f);
    tile.seen[j] = seen ? -1 : 0;
    if (j < whole && !seen) tile.all_seen = false;
    tile.any_seen |= seen;
  }
  if (!tile.any_seen) return;
  for (int j0 = 0; j0 < whole; j0 += 16)
    for (int d0 = 0; d0 < head_dim; d0 += 16) {
      int columns = std::min(16, head_dim - d0), rows = std::min(16, whole - j0);
      for (int j = j0; j < j0 + rows; j++) {
        float* out = tile.keys + d0 * kTile + j;
        if (tile.seen[j]) {
          const T* from = head.key + position(j) * head_dim + d0;
          for (int d = 0; d < columns; d++) out[d * kTile] = to_float(from[d]);
        } else {
          for (int d = 0; d < columns; d++) out[d * kTile] = 0.0f;
        }
      }
    }
  for (int j = 0; j < count; j++) {
    float* out = tile.values + j * width;
    if (tile.seen[j]) {
      const T* from = head.value + position(j) * head_dim;
      for (int d = 0; d < head_dim; d++) out[d] = to_float(from[d]);
      std::fill(out + head_dim, out + width, 0.0f);
    } else {
      std::fill(out, out + width, 0.0f);
    }
  }
}

template <class T, class Position>
void begin_queries(Queries& queries, const Head<T>& head, float scale, int rows, Position position) {
  queries.rows = rows;
  for (int r = 0; r < rows; r++) {
    int64_t at = position(r);
    queries.position[r] = static_cast<int32_t>(at);
    const T* from = head.query + at * queries.head_dim;
    for (int d = 0; d < queries.head_dim; d++) queries.scaled[r * queries.head_dim + d] = to_float(from[d]) * scale;
    queries.maximum[r] = kMinusInfinity;
    queries.sum[r] = (vf){};
  }
  std::fill(queries.output, queries.output + rows * queries.width, 0.0f);
}

template <class T>
void finish_row(const Queries& queries, const Head<T>& head, int row) {
  float sum = total(queries.sum[row]), inverse = sum == 0.0f ? 0.0f : 1.0f / sum;
  const float* from = queries.output + row * queries.width;
  T* to = head.output + static_cast<int64_t>(queries.position[row]) * queries.head_dim;
  for (int d = 0; d < queries.head_dim; d++) from_float(from[d] * inverse, to + d);
}

// Scratch memory of a task: queries, outputs, and tiles of keys.
struct Scratch {
  Memory floats;
  std::unique_ptr<Keys, Free> tiles;
  Queries queries;
  float* rest = nullptr;

  bool prepare(int head_dim, int64_t count, int64_t extra) {
    int width = (head_dim + LANES - 1) / LANES * LANES;
    size_t tile = static_cast<size_t>(kTile) * (head_dim + width + 1);
    size_t own = static_cast<size_t>(kTile) * (head_dim + width);
    floats = allocate(own + static_cast<size_t>(count) * tile + static_cast<size_t>(extra));
    tiles.reset(static_cast<Keys*>(std::malloc(static_cast<size_t>(count) * sizeof(Keys))));
    if (!floats || !tiles) return false;
    float* next = floats.get();
    auto take = [&next](size_t n) { float* p = next; next += n; return p; };
    queries.head_dim = head_dim;
    queries.width = width;
    queries.scaled = take(static_cast<size_t>(kTile) * head_dim);
    queries.output = take(static_cast<size_t>(kTile) * width);
    for (int64_t t = 0; t < count; t++) {
      Keys& keys = tiles.get()[t];
      keys.keys = take(static_cast<size_t>(kTile) * head_dim);
      keys.values = take(static_cast<size_t>(kTile) * width);
      keys.seen = reinterpret_cast<int32_t*>(take(kTile));
    }
    rest = next;
    return true;
  }
};

// Global keys in tiles, with the positions and classes that Visibility wants. Returns the number of tiles.
template <class T>
int64_t pack_globals(Keys* tiles, int32_t* positions, int32_t* in_class, const Plan& plan, const Head<T>& head,
                     const Queries& queries, int64_t remainder) {
  int64_t count = static_cast<int64_t>(plan.globals.size()), number = (count + kTile - 1) / kTile;
  for (int64_t t = 0; t < number; t++) {
    const int32_t* own = plan.globals.data() + t * kTile;
    int here = static_cast<int>(std::min<int64_t>(kTile, count - t * kTile));
    pack(tiles[t], head, queries.head_dim, queries.width, here, [own](int j) { return static_cast<int64_t>(own[j]); });
    for (int j = 0; j < kTile; j++) {
      positions[t * kTile + j] = j < here ? own[j] : 0;
      in_class[t * kTile + j] = j < here && own[j] % plan.problem.dilation == remainder ? -1 : 0;
    }
  }
  return number;
}
