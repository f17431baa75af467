import Foundation

/// Seconds of processor time since the start: of all programs, of this one, and those that a hypervisor gave to others.
struct CpuSeconds: Sendable {
    let atS: Double
    let busyS: Double
    let ownS: Double
    let stolenS: Double
}

/// Cores that other programs, or a hypervisor, kept busy between two looks; nil below one second.
func otherCores(_ before: CpuSeconds?, _ after: CpuSeconds?) -> Double? {
    guard let before, let after, after.atS - before.atS >= 1 else { return nil }
    let all: Double = after.busyS - before.busyS + after.stolenS - before.stolenS
    let others: Double = all - (after.ownS - before.ownS)
    return max(0, others) / (after.atS - before.atS)
}

#if os(Linux)
private let ticksPerS = 100.0 // USER_HZ
private let cpufreq = "/sys/devices/system/cpu/cpufreq"

/// Clock, governor and load of this device; what can't be read is nil.
struct Monitor: Sendable {
    let clock: Clock
    private let policies: [String]

    init(clock: @escaping Clock) {
        self.clock = clock
        let names = (try? FileManager.default.contentsOfDirectory(atPath: cpufreq)) ?? []
        policies = names.filter { $0.hasPrefix("policy") }.sorted().map { "\(cpufreq)/\($0)" }
    }

    /// Of the fastest core; the kernel's unit is kHz.
    func clockMhz() -> Double? {
        let clocksKhz = policies.compactMap { text(of: "\($0)/scaling_cur_freq").flatMap(Double.init) }
        return clocksKhz.filter { $0 > 0 }.max().map { $0 / 1000 }
    }

    func governor() -> String? {
        let names = Set(policies.compactMap { text(of: "\($0)/scaling_governor") })
        return names.isEmpty ? nil : names.sorted().joined(separator: ", ")
    }

    func loadAverage() -> Double? { text(of: "/proc/loadavg")?.split(separator: " ").first.flatMap { Double($0) } }

    func cpuSeconds() -> CpuSeconds? {
        guard let all = text(of: "/proc/stat")?.split(separator: "\n").first(where: { $0.hasPrefix("cpu ") }),
              let own = text(of: "/proc/self/stat"), let name = own.lastIndex(of: ")")
        else { return nil }
        // user nice system idle iowait irq softirq steal
        let ticks = all.split(separator: " ").dropFirst().compactMap { Double($0) }
        // Behind the name: state, then numbers; user and system time, own and of children, are the 11th to 14th of
        // these.
        let numbers = own[own.index(after: name)...].split(separator: " ").dropFirst().compactMap { Double($0) }
        if ticks.count < 8 || numbers.count < 14 { return nil }
        let busy: Double = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]
        return CpuSeconds(
            atS: Double(clock()) / 1e9, busyS: busy / ticksPerS, ownS: numbers[10..<14].reduce(0, +) / ticksPerS,
            stolenS: ticks[7] / ticksPerS
        )
    }
}
#else
/// Apple's systems tell an app neither clock nor the processor time of others.
struct Monitor: Sendable {
    let clock: Clock

    init(clock: @escaping Clock) { self.clock = clock }

    func clockMhz() -> Double? { nil }

    func governor() -> String? { nil }

    func loadAverage() -> Double? {
        var averages = [0.0]
        return getloadavg(&averages, 1) == 1 ? averages[0] : nil
    }

    func cpuSeconds() -> CpuSeconds? { nil }
}
#endif
