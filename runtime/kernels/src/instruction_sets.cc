// Which instruction sets this CPU has.
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__linux__)
#include <sys/auxv.h>
#else
#include <sys/sysctl.h>
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
#else
namespace {
struct Arm { bool dot_product = false, i8mm = false; };

Arm probe_cpu() {
  Arm cpu;
#if defined(__linux__)
  cpu.dot_product = getauxval(AT_HWCAP) & 1u << 20;  // HWCAP_ASIMDDP and HWCAP2_I8MM, which older headers lack
  cpu.i8mm = getauxval(AT_HWCAP2) & 1u << 13;
#else
  int found = 0;
  size_t size = sizeof found;
  cpu.dot_product = true;  // on every Mac with such a CPU
  cpu.i8mm = sysctlbyname("hw.optional.arm.FEAT_I8MM", &found, &size, nullptr, 0) == 0 && found;
#endif
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
  static const Arm cpu = probe_cpu();
  if (std::strcmp(name, "NEON DOTPROD") == 0) return cpu.dot_product;
  if (std::strcmp(name, "I8MM") == 0) return cpu.i8mm;
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
