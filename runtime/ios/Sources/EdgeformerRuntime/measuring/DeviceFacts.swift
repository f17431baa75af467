import Foundation

/// Instruction sets that decide how fast int8, fp16 and attention are; names of /proc/cpuinfo.
private let knownFeatures = [
    "avx", "avx2", "f16c", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "amx_int8", "amx_bf16", "neon", "asimd", "asimdhp", "asimddp", "fphp", "i8mm", "bf16", "sve", "sve2",
]

/// A device as probed, what can't be read is nil. Clocks in MHz, memory in bytes.
public struct DeviceFacts: Sendable {
    public let machine: String?
    public let system: String
    public let deviceModel: String?
    public let cpuModel: String?
    public let cpuFeatures: [String]
    public let cores: Int
    public let physicalCores: Int?
    public let memoryTotalBytes: Int?
    public let memoryAvailableBytes: Int?
    public let cpuGovernor: String?
    public let cpuClockMhz: Double?
    public let cpuMaxClockMhz: Double?

    /// What decides whether results and times found here hold.
    var processor: String { "\(machine ?? ""), \(cpuModel ?? ""), \(cpuFeatures), \(system)" }
}

#if os(Linux)
/// The facts of this device, read anew.
public func deviceFacts() -> DeviceFacts {
    let cpuinfo = text(of: "/proc/cpuinfo") ?? ""
    let memory = text(of: "/proc/meminfo") ?? ""
    let frequency = "/sys/devices/system/cpu/cpu0/cpufreq"
    let features = (field(cpuinfo, "flags") ?? field(cpuinfo, "Features") ?? "").split(separator: " ").map(String.init)
    let product = ["sys_vendor", "product_name"].compactMap { text(of: "/sys/class/dmi/id/\($0)") }
    func mhz(_ name: String) -> Double? { text(of: "\(frequency)/\(name)").flatMap(Double.init).map { $0 / 1000 } }
    return DeviceFacts(
        machine: uname(\.machine),
        system: "\(uname(\.sysname) ?? "Linux") \(uname(\.release) ?? "")",
        deviceModel: text(of: "/proc/device-tree/model") ?? (product.isEmpty ? nil : product.joined(separator: " ")),
        cpuModel: field(cpuinfo, "model name"),
        cpuFeatures: knownFeatures.filter(features.contains),
        cores: ProcessInfo.processInfo.activeProcessorCount,
        physicalCores: nil,
        memoryTotalBytes: kib(memory, "MemTotal"),
        memoryAvailableBytes: kib(memory, "MemAvailable"),
        cpuGovernor: text(of: "\(frequency)/scaling_governor"),
        cpuClockMhz: mhz("scaling_cur_freq"),
        cpuMaxClockMhz: mhz("cpuinfo_max_freq")
    )
}

/// The most memory that this process has held so far.
func peakRssBytes() -> Int? { kib(text(of: "/proc/self/status") ?? "", "VmHWM") }

/// A small file of /proc or /sys; nil where it can't be read.
func text(of path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil } // Foundation goes by sizes, which are 0 there
    defer { fclose(file) }
    var content = [UInt8](repeating: 0, count: 1 << 18)
    let count = fread(&content, 1, content.count, file)
    let text = String(decoding: content[..<count].filter { $0 != 0 }, as: UTF8.self)
        .trimmingCharacters(in: .whitespacesAndNewlines)
    return text.isEmpty ? nil : text
}

private func field(_ text: String, _ key: String) -> String? {
    for line in text.split(separator: "\n") {
        guard let colon = line.firstIndex(of: ":") else { continue }
        if line[..<colon].trimmingCharacters(in: .whitespaces) == key {
            let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
            return value.isEmpty ? nil : value
        }
    }
    return nil
}

private func kib(_ text: String, _ key: String) -> Int? {
    field(text, key)?.split(separator: " ").first.flatMap { Int($0) }.map { $0 * 1024 }
}
#else
/// The facts of this device, read anew.
public func deviceFacts() -> DeviceFacts {
    DeviceFacts(
        machine: uname(\.machine),
        system: ProcessInfo.processInfo.operatingSystemVersionString,
        deviceModel: control("hw.model"),
        cpuModel: control("machdep.cpu.brand_string"),
        cpuFeatures: [],
        cores: ProcessInfo.processInfo.activeProcessorCount,
        physicalCores: number("hw.physicalcpu"),
        memoryTotalBytes: Int(clamping: ProcessInfo.processInfo.physicalMemory),
        memoryAvailableBytes: nil,
        cpuGovernor: nil,
        cpuClockMhz: nil,
        cpuMaxClockMhz: nil
    )
}

/// The most memory that this process has held so far.
func peakRssBytes() -> Int? {
    var usage = rusage()
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : nil // bytes on Apple's systems
}

private func control(_ name: String) -> String? {
    var count = 0
    if sysctlbyname(name, nil, &count, nil, 0) != 0 || count == 0 { return nil }
    var value = [CChar](repeating: 0, count: count)
    return sysctlbyname(name, &value, &count, nil, 0) == 0 ? String(cString: value) : nil
}

private func number(_ name: String) -> Int? {
    var (value, count) = (Int32(0), MemoryLayout<Int32>.size)
    return sysctlbyname(name, &value, &count, nil, 0) == 0 ? Int(value) : nil
}
#endif

private func uname<Field>(_ field: KeyPath<utsname, Field>) -> String? {
    var names = utsname()
    if Foundation.uname(&names) != 0 { return nil }
    return withUnsafeBytes(of: names[keyPath: field]) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
