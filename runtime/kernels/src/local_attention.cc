// Cutting local attention into tasks, and choosing the instruction set.
#include "instruction_sets.h"
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

std::vector<Implementation> implementations() {
  std::vector<Implementation> found;
#if defined(__x86_64__)
  if (covers("AVX512")) found.push_back({"AVX512", avx512::run_task});
  if (covers("AVX2")) found.push_back({"AVX2", avx2::run_task});
#elif defined(__aarch64__)
  found.push_back({"NEON", neon::run_task});
#endif
  return found;
}

const Implementation* chosen_implementation() {
  static const std::vector<Implementation> found = implementations();
  for (const Implementation& candidate : found)
    if (is_allowed(candidate.name)) return &candidate;
  return nullptr;
}

}  // namespace edgeformer
