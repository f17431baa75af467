// Random problems against a float64 reference, for every implementation that this CPU executes, on buffers of exactly
// the size that the problem says, so that a sanitizer sees each step outside.
// usage: fuzz_local_attention [problems] [seed]
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>

#include "../src/local_attention.h"

using namespace edgeformer;

namespace {

std::mt19937_64 generator;
int64_t draw(int64_t low, int64_t high) { return low + static_cast<int64_t>(generator() % (high - low + 1)); }
bool coin(int one_in) { return draw(1, one_in) == 1; }
float normal() { return std::normal_distribution<float>(0.0f, 1.0f)(generator); }

// Half floats are made from numbers that they hold exactly, so no conversion of our own is tested against itself.
uint16_t half_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  int exponent = static_cast<int>(bits >> 23 & 255) - 112;
  uint16_t sign = bits >> 16 & 0x8000;
  return exponent <= 0 ? sign : static_cast<uint16_t>(sign | exponent << 10 | (bits >> 13 & 1023));
}
float float_of(uint16_t h) {
  float sign = h & 0x8000 ? -1.0f : 1.0f;
  int exponent = h >> 10 & 31, fraction = h & 1023;
  return exponent == 0 ? sign * std::ldexp(static_cast<float>(fraction), -24)
                       : sign * std::ldexp(1.0f + fraction / 1024.0f, exponent - 15);
}

struct Tensor {
  std::unique_ptr<float[]> values;
  std::unique_ptr<uint16_t[]> halves;
  size_t size;
  explicit Tensor(size_t n) : values(new float[n]), halves(new uint16_t[n]), size(n) {
    for (size_t i = 0; i < n; i++) {
      halves[i] = half_of(normal());
      values[i] = float_of(halves[i]);
    }
  }
};

bool sees(const Problem& p, int64_t b, int64_t i, int64_t j) {
  if (p.keep && p.keep[b * p.length + j] == 0) return false;
  if (p.causal && j > i) return false;
  for (int64_t g = 0; g < p.global_count; g++)
    if (p.global_tokens[g] == i || p.global_tokens[g] == j) return true;
  int64_t offset = (j - i) / p.dilation;
  return (j - i) % p.dilation == 0 && offset >= -p.left && offset <= (p.causal ? 0 : p.right);
}

void reference(const Problem& p, const float* q, const float* k, const float* v, double* out) {
  int64_t n = p.length, d = p.head_dim;
  std::unique_ptr<double[]> weights(new double[n + 1]);
  for (int64_t bh = 0; bh < p.batch * p.heads; bh++)
    for (int64_t i = 0; i < n; i++) {
      int64_t b = bh / p.heads, h = bh % p.heads, kv = b * p.kv_heads + h / (p.heads / p.kv_heads);
      double top = -INFINITY, sum = 0;
      for (int64_t j = 0; j < n; j++) {
        if (!sees(p, b, i, j)) continue;
        double score = 0;
        for (int64_t c = 0; c < d; c++) score += double(q[(bh * n + i) * d + c]) * k[(kv * n + j) * d + c];
        score *= p.scale;
        int64_t offset = (j - i) / p.dilation;
        if (p.bias && (j - i) % p.dilation == 0 && offset >= -p.left && offset <= p.right)
          score += p.bias[h * (p.left + p.right + 1) + offset + p.left];
        weights[j] = score;
        top = std::fmax(top, score);
      }
      double* row = out + (bh * n + i) * d;
      for (int64_t c = 0; c < d; c++) row[c] = 0;
      for (int64_t j = 0; j < n; j++) {
        if (!sees(p, b, i, j)) continue;
        double weight = std::exp(weights[j] - top);
        sum += weight;
        for (int64_t c = 0; c < d; c++) row[c] += weight * v[(kv * n + j) * d + c];
      }
      for (int64_t c = 0; c < d; c++) row[c] = sum > 0 ? row[c] / sum : 0;
    }
}

Problem random_problem() {
  static const int64_t dims[] = {1, 8, 16, 24, 32, 40, 64, 72, 80, 96, 128, 200, 256};
  Problem p;
  p.dtype = coin(3) ? Dtype::kFloat16 : Dtype::kFloat32;
  p.batch = draw(1, 3);
  p.kv_heads = draw(1, 2);
  p.heads = p.kv_heads * draw(1, 3);
  p.length = coin(3) ? draw(1, 20) : draw(1, 300);
  p.head_dim = dims[draw(0, 12)];
  p.dilation = coin(3) ? draw(2, 70) : 1;
  p.left = coin(8) ? draw(0, 400) : draw(0, 90);
  p.causal = coin(4);
  p.right = p.causal ? 0 : coin(4) ? draw(0, 400) : p.left;
  if (p.left + p.right == 0) p.left = 1;
  p.scale = 1.0f / std::sqrt(static_cast<float>(p.head_dim)) * (coin(5) ? 8.0f : 1.0f);
  return p;
}

double check(const Implementation& implementation) {
  Problem p = random_problem();
  size_t queries = p.batch * p.heads * p.length * p.head_dim, keys = p.batch * p.kv_heads * p.length * p.head_dim;
  Tensor q(queries), k(keys), v(keys), out(queries);
  std::unique_ptr<float[]> keep(new float[p.batch * p.length]), bias(new float[p.heads * (p.left + p.right + 1)]);
  if (!coin(4)) {
    p.keep = keep.get();
    for (int64_t b = 0; b < p.batch; b++) {
      int64_t live = coin(6) ? 0 : draw(1, p.length);
      for (int64_t j = 0; j < p.length; j++) keep[b * p.length + j] = j < live && !coin(20) ? 1.0f : 0.0f;
    }
  }
  if (coin(3)) {
    p.bias = bias.get();
    for (int64_t i = 0; i < p.heads * (p.left + p.right + 1); i++) bias[i] = normal();
  }
  std::unique_ptr<int64_t[]> globals(new int64_t[100]);
  if (coin(2)) {
    int64_t next = coin(2) ? 0 : draw(0, p.length), most = coin(6) ? 100 : draw(1, 5);
    for (; p.global_count < most; next += coin(2) ? 1 : draw(1, 40)) globals[p.global_count++] = next;
    p.global_tokens = globals.get();
  }
  bool halves = p.dtype == Dtype::kFloat16;
  p.query = halves ? static_cast<void*>(q.halves.get()) : q.values.get();
  p.key = halves ? static_cast<void*>(k.halves.get()) : k.values.get();
  p.value = halves ? static_cast<void*>(v.halves.get()) : v.values.get();
  p.output = halves ? static_cast<void*>(out.halves.get()) : out.values.get();
  Plan plan = make_plan(p, draw(1, 8));
  for (size_t task = plan.tasks; task-- > 0;)
    if (!implementation.run(plan, task)) return INFINITY;
  std::unique_ptr<double[]> expected(new double[queries]);
  reference(p, q.values.get(), k.values.get(), v.values.get(), expected.get());
  // Rounding grows with the scores themselves, whose deviation is scale * sqrt(head_dim).
  double spread = std::fmax(1.0, p.scale * std::sqrt(static_cast<double>(p.head_dim)));
  double worst = 0;
  for (size_t i = 0; i < queries; i++) {
    double got = halves ? float_of(out.halves[i]) : out.values[i];
    double allowed = halves ? 1e-3 * (1 + std::fabs(expected[i])) : 1e-5 * spread;
    double error = std::fabs(got - expected[i]) / allowed;
    if (!(error <= worst)) worst = error;
  }
  if (!(worst <= 1))
    std::printf("%s: length %ld head_dim %ld left %ld right %ld dilation %ld causal %d globals %ld bias %d keep %d "
                "half %d\n",
                implementation.name, long(p.length), long(p.head_dim), long(p.left), long(p.right), long(p.dilation),
                p.causal, long(p.global_count), p.bias != nullptr, p.keep != nullptr, halves);
  return worst;
}

}  // namespace

int main(int count, char** arguments) {
  int problems = count > 1 ? std::atoi(arguments[1]) : 200;
  uint64_t seed = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 1;
  if (implementations().empty()) {
    std::printf("this CPU is not covered\n");
    return 77;
  }
  for (const Implementation& implementation : implementations()) {
    generator.seed(seed);
    double worst = 0;
    for (int i = 0; i < problems; i++) {
      double error = check(implementation);
      if (!(error <= worst)) worst = error;
      if (!(error <= 1)) {
        std::printf("%s: problem %d of seed %llu: %g times the allowed error\n", implementation.name, i,
                    static_cast<unsigned long long>(seed), error);
        return 1;
      }
    }
    std::printf("%s: %d problems, worst error %.2f of what is allowed\n", implementation.name, problems, worst);
  }
  return 0;
}
