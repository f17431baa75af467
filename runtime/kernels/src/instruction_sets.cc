// Which instruction sets this CPU has.
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <cstdlib>
#include <cstring>

#include "instruction_sets.h"

namespace edgeformer {

#if defined(__x86_64__)
namespace {
struct X86 { bool avx2 = false, avx512 = false, vnni = false; };

// Asked of the CPU itself: __builtin_cpu_supports says no to everything in a library linked by Zig. Bits are those of
// Intel's manual, volume 2A, CPUID. XCR0 tells which registers the operating system keeps across threads.
X86 probe_cpu() {
  X86 cpu;
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 27)) return cpu;  // OSXSAVE: XGETBV may be used
  bool fma = c & 1u << 12, avx = c & 1u << 28, f16c = c & 1u << 29;
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return cpu;
  const unsigned wide = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // AVX512 F, DQ, BW, VL
  cpu.avx2 = fma && avx && f16c && (b & 1u << 5) && (low & 0x06) == 0x06;
  bool avx512_vnni = c & 1u << 11;
  cpu.avx512 = (b & wide) == wide && (low & 0xe6) == 0xe6;
  cpu.vnni = cpu.avx512 && avx512_vnni;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) cpu.vnni |= cpu.avx2 && (a & 1u << 4);  // AVX-VNNI
  return cpu;
}
}  // namespace
#endif

bool covers(const char* name) {
#if defined(__x86_64__)
  static const X86 cpu = probe_cpu();
  if (std::strcmp(name, "AVX2") == 0) return cpu.avx2;
  if (std::strcmp(name, "VNNI") == 0) return cpu.vnni;
  if (std::strcmp(name, "AVX512") == 0) return cpu.avx2 && cpu.avx512;
  return false;
#else
  return std::strcmp(name, "NEON") == 0;
#endif
}

bool is_asked_for(const char* name) {
  const char* wanted = std::getenv("EDGEFORMER_KERNELS_ISA");
  return wanted != nullptr && std::strcmp(wanted, name) == 0;
}

bool is_allowed(const char* name) {
  const char* wanted = std::getenv("EDGEFORMER_KERNELS_ISA");
  return wanted == nullptr || *wanted == 0 || is_asked_for(name);
}

}  // namespace edgeformer
