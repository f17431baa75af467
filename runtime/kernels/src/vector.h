// Vectors of LANES floats in the compilers' own vector extension, so that one source serves AVX512, AVX2 and NEON.
// Included once an instruction set, inside its namespace.

typedef float vf __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

static inline vf broadcast(float x) { return x - (vf){}; }
static inline vi broadcast_int(int32_t x) { return x - (vi){}; }
static inline vf load(const float* p) { return *reinterpret_cast<const vf*>(p); }
static inline vi load_int(const int32_t* p) { return *reinterpret_cast<const vi*>(p); }
static inline void store(float* p, vf v) { *reinterpret_cast<vf*>(p) = v; }
static inline vf maximum(vf a, vf b) { return a > b ? a : b; }

static inline vi lane_numbers() {
  vi v = {};
  for (int lane = 0; lane < LANES; lane++) v[lane] = lane;
  return v;
}

// The largest lane, in log2(LANES) steps: a scalar loop would be a chain of dependent instructions.
static inline float largest(vf v) {
#if LANES == 16
  v = maximum(v, __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  v = maximum(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
  v = maximum(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  v = maximum(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));
#elif LANES == 8
  v = maximum(v, __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3));
  v = maximum(v, __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5));
  v = maximum(v, __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6));
#else
  v = maximum(v, __builtin_shufflevector(v, v, 2, 3, 0, 1));
  v = maximum(v, __builtin_shufflevector(v, v, 1, 0, 3, 2));
#endif
  return v[0];
}

static inline float total(vf v) {
  float sum = 0;
  for (int lane = 0; lane < LANES; lane++) sum += v[lane];
  return sum;
}

// exp(x) for x <= 0, after Cephes' expf (Moshier): x = k ln 2 + f, a polynomial in f, 2^k by its exponent bits. Below
// -69 (1e-30, far less than a float32 sum beside 1 can hold) the result is exactly 0, so that no denormal number
// appears, which would cost hundreds of cycles each. NaN gives NaN.
static inline vf exponential(vf x) {
  const vf floor = broadcast(-69.0f), magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  vi tiny = x < floor;
  x = tiny ? floor : x;
  vf rounded = x * broadcast(1.44269504f) + magic;
  vf k = rounded - magic;
  vf f = x - k * broadcast(0.693359375f);
  f = f - k * broadcast(-2.12194440e-4f);
  vf p = broadcast(1.9875691500e-4f);
  p = p * f + broadcast(1.3981999507e-3f);
  p = p * f + broadcast(8.3334519073e-3f);
  p = p * f + broadcast(4.1665795894e-2f);
  p = p * f + broadcast(1.6666665459e-1f);
  p = p * f + broadcast(5.0000001201e-1f);
  p = p * f * f + f + broadcast(1.0f);
  vi exponent = ((vi)rounded - (vi)magic + 127) << 23;
  return tiny ? (vf){} : p * (vf)exponent;
}

// Rows of float32 or float16 in memory, float32 inside.
static inline float to_float(float x) { return x; }
static inline void from_float(float x, float* out) { *out = x; }
#if defined(__x86_64__)
struct half { uint16_t bits; };
static inline float to_float(half x) { return _cvtsh_ss(x.bits); }
static inline void from_float(float x, half* out) { out->bits = _cvtss_sh(x, 0); }
#else
typedef __fp16 half;
static inline float to_float(half x) { return static_cast<float>(x); }
static inline void from_float(float x, half* out) { *out = static_cast<half>(x); }
#endif
