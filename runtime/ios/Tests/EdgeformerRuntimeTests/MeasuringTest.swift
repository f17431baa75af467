import Foundation
import XCTest

@testable import EdgeformerRuntime

/// Measuring by a clock of our own, and real reports, which run.sh gives to `edgeformer report compare`.
final class MeasuringTest: XCTestCase {
    private let now = Locked<UInt64>(0)

    private var clock: Clock { { [now] in now.with { $0 } } }

    /// A run that takes so many ms of the test's clock, the last of them from then on.
    private func taking(_ ms: [Double]) -> () -> Void {
        var left = ms
        return { [now] in
            now.with { $0 += UInt64(left[0] * 1e6) }
            if left.count > 1 { left.removeFirst() }
        }
    }

    func testRepeatsEndByTheirAmount() throws {
        func runs(_ ms: Double, _ amount: Amount) -> Int { timed(taking([ms]), amount, clock).latenciesMs.count }
        XCTAssertEqual(runs(1, Amount(leastRuns: 20, leastS: 0.005)), 20)
        XCTAssertEqual(runs(1, Amount(leastRuns: 20, leastS: 0.05)), 50)
        XCTAssertEqual(runs(900, Amount(leastRuns: 20, giveUpS: 1)), 3)
        XCTAssertEqual(runs(1, Amount(mostRuns: 7)), 7)
        XCTAssertEqual(try shares(7, nil, 3).map(\.mostRuns), [3, 2, 2])
        XCTAssertEqual(try shares(2, nil, 5).count, 2)
        XCTAssertThrowsError(try shares(0, nil, 5)) { XCTAssert($0 is InputError) }
        XCTAssertThrowsError(try shares(nil, .nan, 5)) { XCTAssert($0 is InputError) }
    }

    func testWarmingUpEndsWhenTheMedianStandsStill() {
        let settled = warmUp(taking((0..<15).map { 100 - 5 * Double($0) } + [20]), clock, 0)
        XCTAssert(settled.settled && (20...25).contains(settled.runs), "\(settled)")
        XCTAssertFalse(warmUp(taking((0..<2000).map { 1 + Double($0) }), clock, 0).settled)
    }

    func testPercentilesAreThoseOfNumpy() {
        let few = LatencySummary(of: [4, 1, 2, 3])
        XCTAssertEqual([few.p50, few.p90, few.p95, few.min, few.max], [2.5, 3.7, 3.8499999999999996, 1, 4])
        XCTAssertEqual(few.stdev!, 1.2909944487358056, accuracy: 1e-12)
        XCTAssertNil(few.p99)
        XCTAssertNil(LatencySummary(of: [1]).stdev)
        XCTAssertEqual(LatencySummary(of: (0..<1000).map(Double.init)).p99!, 989.01, accuracy: 1e-9)
    }

    func testADisturbedMeasurementDoesntCount() {
        func verdict(
            medians: [Double] = [1, 1.01, 1.02], clock: CpuClock? = nil, events: [String] = [], others: Double = 0.01,
            settled: Bool = true
        ) -> Verdict {
            let load = Load(cores: 2, otherCores: others, loadAverageBefore: 0.1)
            return judge(
                .standard, Warmup(runs: 30, settled: settled), mediansMs: medians, clock, throttleEvents: events, load
            )
        }
        let slowed = CpuClock(
            governorBefore: nil, governorAfter: nil, idleMhz: nil, startMhz: 2000, lowestMhz: 1500
        )
        XCTAssertEqual(verdict().invalid + verdict().notes, [])
        XCTAssert(verdict(medians: [1, 1, 1.06]).invalid[0].contains("medians of the 3 repeats"))
        XCTAssert(verdict(others: 0.3).invalid[0].contains("kept 0.30 of 2 cores"))
        XCTAssert(verdict(others: 0.1).notes[0].contains("kept 0.10 of 2 cores"))
        XCTAssert(verdict(events: ["severe"]).invalid[0].contains("throttled itself: severe"))
        XCTAssert(verdict(clock: slowed).invalid[0].contains("fell from 2000 to 1500"))
        XCTAssert(verdict(settled: false).notes[0].contains("still moving"))
        XCTAssert(verdict(medians: [1]).notes[0].contains("one repeat only"))
    }

    func testReportsHaveAReasonForEachNull() async throws {
        for name in ["text-classification", "image-classification"] {
            let session = try await Session.open(Checkout.bundle(name))
            let report = try await session.benchmark(.quick)
            XCTAssertGreaterThanOrEqual(report.runs, 30)
            let json = try readJson(Array(report.toJson().utf8), name)
            let reasons = try json["reasons"].object()
            for key in ["energy", "thermal", "sustained", "temperature_c", "accuracy", "sequence_length"] {
                if try json[key].isNull { XCTAssertNotNil(reasons[key], key) }
            }
            XCTAssert(try !json["first_inference_ms"].isNull)
            let folder = try Checkout.prepared("EDGEFORMER_REPORTS")
            try Data(report.toJson().utf8).write(to: folder.appendingPathComponent("\(name).json"))
        }
    }

    func testThrottlingSpoilsAReport() async throws {
        struct Hot: ThrottleSource {
            let name = "thermal status"

            func active() -> Set<String> { ["severe"] }
        }
        let session = try await Session.open(Checkout.bundle("text-classification"))
        let report = try await session.benchmark(.quick, runs: 6, sequenceLength: 5, throttles: [Hot()])
        XCTAssertEqual(report.runs, 6)
        XCTAssert(report.invalid.contains { $0.contains("severe") })
        await assertThrows(InputError.self) { try await session.benchmark(.quick, sequenceLength: 0) }
    }
}
