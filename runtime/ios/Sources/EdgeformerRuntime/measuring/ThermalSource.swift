import Foundation

/// What slows a device down, as an app can ask for it. `name` says what is asked, `active` what slows it now, in words.
public protocol ThrottleSource: Sendable {
    var name: String { get }

    func active() -> Set<String>
}

/// Those of this platform: the system's thermal state on Apple's, none elsewhere.
public func throttleSources() -> [any ThrottleSource] {
    #if canImport(Darwin)
    return [ThermalState()]
    #else
    return []
    #endif
}

#if canImport(Darwin)
/// `ProcessInfo.thermalState`: from "serious" on the system slows its processors down.
private struct ThermalState: ThrottleSource {
    let name = "ProcessInfo.thermalState"

    func active() -> Set<String> {
        switch ProcessInfo.processInfo.thermalState {
        case .nominal, .fair: return []
        case .serious: return ["thermal state serious"]
        case .critical: return ["thermal state critical"]
        @unknown default: return ["a thermal state that this runtime doesn't know"]
        }
    }
}
#endif
