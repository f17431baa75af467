// Cutting a problem into tasks, and choosing the instruction set.
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <cstdlib>
#include <cstring>

#include "local_attention.h"

namespace edgeformer {

#if defined(__x86_64__)
namespace avx512 { bool run_task(const Plan& plan, size_t task); }
namespace avx2 { bool run_task(const Plan& plan, size_t task); }
#elif defined(__aarch64__)
namespace neon { bool run_task(const Plan& plan, size_t task); }
#endif

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

Plan make_plan(const Problem& problem, int64_t threads) {
  Plan plan;
  plan.problem = problem;
  for (int64_t i = 0; i < problem.global_count; i++)
    if (problem.global_tokens[i] < problem.length)
      plan.globals.push_back(static_cast<int32_t>(problem.global_tokens[i]));
  if (!plan.globals.empty()) {
    plan.is_global.assign(static_cast<size_t>(problem.length), 0);
    for (int32_t position : plan.globals) plan.is_global[position] = 1;
  }
  if (problem.length == 0 || problem.batch == 0 || problem.heads == 0) return plan;
  plan.classes = smaller(problem.dilation, problem.length);
  int64_t longest = ceil_div(problem.length, problem.dilation);
  plan.left = smaller(problem.left, longest);
  plan.right = problem.causal ? 0 : smaller(problem.right, longest);
  plan.tiles = ceil_div(longest, kTile);
  int64_t units = problem.batch * problem.heads * plan.classes;
  plan.spans = smaller(ceil_div(4 * (threads < 1 ? 1 : threads), units), plan.tiles);
  plan.tiles_per_span = ceil_div(plan.tiles, plan.spans);
  plan.spans = ceil_div(plan.tiles, plan.tiles_per_span);
  plan.global_tasks = problem.batch * problem.heads * ceil_div(static_cast<int64_t>(plan.globals.size()), kTile);
  plan.tasks = static_cast<size_t>(units * plan.spans + plan.global_tasks);
  return plan;
}

#if defined(__x86_64__)
namespace {
struct X86 { bool avx2 = false, avx512 = false; };

// Asked of the CPU itself: __builtin_cpu_supports says no to everything in a library linked by Zig. Bits are those of
// Intel's manual, volume 2A, CPUID. XCR0 tells which registers the operating system keeps across threads.
X86 probe() {
  X86 cpu;
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 27)) return cpu;  // OSXSAVE: XGETBV may be used
  bool fma = c & 1u << 12, avx = c & 1u << 28, f16c = c & 1u << 29;
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return cpu;
  const unsigned wide = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // AVX512 F, DQ, BW, VL
  cpu.avx2 = fma && avx && f16c && (b & 1u << 5) && (low & 0x06) == 0x06;
  cpu.avx512 = (b & wide) == wide && (low & 0xe6) == 0xe6;
  return cpu;
}
}  // namespace
#endif

std::vector<Implementation> implementations() {
  std::vector<Implementation> found;
#if defined(__x86_64__)
  X86 cpu = probe();
  if (cpu.avx2 && cpu.avx512) found.push_back({"AVX512", avx512::run_task});
  if (cpu.avx2) found.push_back({"AVX2", avx2::run_task});
#elif defined(__aarch64__)
  found.push_back({"NEON", neon::run_task});
#endif
  return found;
}

static const Implementation* choose() {
  static Implementation chosen;
  const char* wanted = std::getenv("EDGEFORMER_KERNELS_ISA");
  for (const Implementation& candidate : implementations())
    if (wanted == nullptr || *wanted == 0 || std::strcmp(wanted, candidate.name) == 0) {
      chosen = candidate;
      return &chosen;
    }
  return nullptr;
}

const Implementation* chosen_implementation() {
  static const Implementation* const chosen = choose();
  return chosen;
}

}  // namespace edgeformer
