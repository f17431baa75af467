import XCTest

@testable import EdgeformerRuntime

final class TensorTest: XCTestCase {
    func testEveryTypeKeepsItsValues() throws {
        let values: [Double] = [0, 1, 1, 0]
        for dtype in DType.allCases {
            let tensor = try Tensor(dtype, values, [2, 2])
            XCTAssertEqual(tensor.toDoubles(), values)
            XCTAssertEqual(tensor.toFloats(), values.map(Float.init))
            XCTAssertEqual(tensor.toInts(), values.map(Int.init))
            XCTAssertEqual(tensor.bytes.count, 4 * dtype.sizeBytes)
        }
    }

    func testValuesBeyondATypeDontEndTheProcess() throws {
        XCTAssertEqual(try Tensor(.int64, [1e300, -.infinity, .nan], [3]).toInts(), [.max, .min, 0])
        XCTAssertThrowsError(try Tensor(.int64, [1], [2])) { XCTAssert($0 is InputError) }
        XCTAssertThrowsError(try Tensor(zeros: .float32, [1 << 40, 1 << 40])) { XCTAssert($0 is InputError) }
        XCTAssertThrowsError(try Tensor([Float(1)], [-1])) { XCTAssert($0 is InputError) }
    }

    func testHalvesAreRoundedToTheNearestEvenOne() {
        for half in UInt16.min...UInt16.max {
            let value = floatOf(half: half)
            XCTAssertEqual(halfOf(value), value.isNaN ? half & 0x8000 | 0x7e00 : half)
        }
        XCTAssertEqual(halfOf(1 + 0x1p-11), 0x3c00)
        XCTAssertEqual(halfOf(1 + 3 * 0x1p-11), 0x3c02)
        XCTAssertEqual(halfOf(65519), 0x7bff)
        XCTAssertEqual(halfOf(65520), 0x7c00)
        XCTAssertEqual(halfOf(0x1p-25), 0)
        XCTAssertEqual(halfOf(-0x1.8p-25), 0x8001)
    }
}
